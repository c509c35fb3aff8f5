//! What is sampled, decided in the kernel before anything is unwound.

/// Bits of the `FILTER` global. 0: everything.
pub const FILTER_PIDS: u32 = 1;
pub const FILTER_CGROUPS: u32 = 2;
/// Children of a process in the filter are added to it.
pub const FILTER_CHILDREN: u32 = 4;

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

/// Most levels of nested cgroups that are looked at.
pub const CGROUP_LEVELS: u32 = 12;
