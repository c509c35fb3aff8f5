//! Times of a store. The wall clock is what people ask for, and it jumps; the time since boot does
//! not, and says how old something is as long as the machine was not started anew.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// ns since 1970.
    pub wall: u64,
    /// ns, also while the machine sleeps.
    pub since_boot: u64,
    /// Which boot: equal numbers mean the same one.
    pub boot: u64,
}

/// Where the time comes from: the machine, or a test.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Now + Send + Sync>);

impl Clock {
    pub fn of_this_machine() -> Self {
        Self::from_function(|| Now {
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, nanoseconds),
            since_boot: clock_gettime(ClockId::CLOCK_BOOTTIME)
                .map_or(0, |time| nanoseconds(time.into())),
            boot: boot(),
        })
    }

    pub fn from_function(now: impl Fn() -> Now + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub fn now(&self) -> Now {
        (self.0)()
    }
}

pub fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// From the kernel's id of this boot. Where it can't be read, each process takes its life for a boot
/// of its own.
fn boot() -> u64 {
    static BOOT: OnceLock<u64> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        let number = digits.get(..16);
        let number = number.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.unwrap_or_else(|| RandomState::new().hash_one(std::process::id()))
    })
}
