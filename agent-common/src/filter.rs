//! What is sampled, decided in the kernel before anything is unwound.

/// Bits of the `FILTER` global. 0: everything.
pub const FILTER_PIDS: u32 = 1;
pub const FILTER_CGROUPS: u32 = 2;
/// Children of a process in the filter are added to it.
pub const FILTER_CHILDREN: u32 = 4;
/// Cgroups have policies ([`CgroupPolicy`]).
pub const FILTER_POLICY: u32 = 8;

/// Value of the `PIDS` map (key: thread group id).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PidFilter {
    /// Start of the process in clock ticks since boot, as `/proc/PID/stat` has it (field 22):
    /// another process with the same pid is not meant.
    pub start: u64,
    /// Samples count from this `self_exec_id` on: a command that the agent starts is the agent's
    /// own image until its exec.
    pub exec: u32,
    pub padding: u32,
}

/// ns in a clock tick of `/proc` (USER_HZ is 100 on both architectures).
pub const NS_PER_TICK: u64 = 10_000_000;

/// Most levels of nested cgroups that are looked at. Below a pod's there are its containers' and what
/// these make themselves; above it there may be a whole container that plays a machine.
pub const CGROUP_LEVELS: u32 = 20;

/// Value of the `CGROUP_POLICIES` map (key: kernfs id of a cgroup): what holds for the processes in
/// the cgroup and below it, down to cgroups with policies of their own.
///
/// The clock fires at the highest rate that anybody wants. Who wants less gets a random choice of
/// these samples, each of which stands for more time, so that their sum is the CPU time all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CgroupPolicy {
    /// A sample is taken if a random number is below this; [`TAKE_ALL`] without asking for one.
    pub take: u32,
    pub padding: u32,
    /// ns that a sample stands for.
    pub value: u64,
}

pub const TAKE_ALL: u32 = u32::MAX;

/// Key of the policy that holds where no cgroup on the way to the root has one. No cgroup has this
/// id.
pub const NO_CGROUP: u64 = 0;

/// Policies that there is room for: a node has some hundred pods at most.
pub const CGROUP_POLICIES: u32 = 4096;

impl CgroupPolicy {
    /// Nothing is sampled.
    pub const NONE: Self = Self {
        take: 0,
        padding: 0,
        value: 0,
    };

    /// `rate` samples a second of a clock that fires `base` times; at most all of them.
    pub fn at(rate: u64, base: u64) -> Self {
        // Rates are some thousands. (Of 128 bits BPF's back end loses the upper half.)
        let base = base.clamp(1, u32::MAX as u64);
        let rate = rate.min(base);
        if rate == 0 {
            return Self::NONE;
        }
        let take = if rate == base {
            TAKE_ALL
        } else {
            // Below 2^32, since `rate` is below `base`.
            ((rate << 32) / base) as u32
        };
        Self {
            take,
            padding: 0,
            value: 1_000_000_000 / rate,
        }
    }
}
