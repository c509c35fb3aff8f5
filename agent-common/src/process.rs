//! Identity of a process.

/// A process: its pid alone may be used again, its start time survives exec, so the count of execs
/// (`task_struct.self_exec_id`) completes the identity. A reused pid or an exec inherits nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct ProcessId {
    /// Thread group id in the root pid namespace.
    pub pid: u32,
    /// Low half of `self_exec_id`: grows by one with each exec, inherited at fork.
    pub exec: u32,
    /// Start of the thread group leader in ns since boot (`start_boottime`); field 22 of
    /// `/proc/PID/stat` is the same moment in clock ticks.
    pub start: u64,
}
