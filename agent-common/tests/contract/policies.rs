//! Policies of cgroups: whatever the rate, the samples that are taken stand for all of the time.

use agent_common::filter::{CgroupPolicy, TAKE_ALL};

#[test]
fn samples_of_each_rate_stand_for_the_whole_time() {
    for base in [1, 2, 19, 99, 997, 100_000] {
        for rate in (1..=base).step_by((base as usize / 50).max(1)) {
            let policy = CgroupPolicy::at(rate, base);
            let taken = match policy.take {
                TAKE_ALL => 1.0,
                take => f64::from(take) / 4_294_967_296.0,
            };
            assert_eq!(policy.take == TAKE_ALL, rate == base, "{rate} of {base}");
            let second = base as f64 * taken * policy.value as f64;
            assert!(
                (second / 1e9 - 1.0).abs() < 1e-4,
                "{rate} of {base}: {second} ns in a second"
            );
        }
    }
}

#[test]
fn rates_that_cannot_be() {
    assert_eq!(CgroupPolicy::at(0, 99), CgroupPolicy::NONE);
    assert_eq!(CgroupPolicy::at(100, 99), CgroupPolicy::at(99, 99));
    assert_eq!(CgroupPolicy::at(1, 0).take, TAKE_ALL);
    assert_eq!(CgroupPolicy::at(u64::MAX, u64::MAX).take, TAKE_ALL);
    assert_eq!(CgroupPolicy::NONE.take, 0);
}
