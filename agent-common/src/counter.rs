//! Counters of the kernel side: slots of the per-CPU array `COUNTERS`.

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Slot of a counter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Counter { $($(#[$doc])* $name,)* }

        impl Counter {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Stable name in statistics.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

counters! {
    /// Runs of the sampling program.
    Entries = "entries",
    /// Left out: the idle task.
    Idle = "idle",
    /// Left out: the agent itself.
    Own = "own",
    /// Left out: pid not in the filter.
    OtherProcess = "other_process",
    /// Left out: cgroup not in the filter.
    OtherCgroup = "other_cgroup",
    /// Left out: its cgroup's policy is not to be sampled.
    NotChosen = "not_chosen",
    /// Left out: its cgroup's policy is a lower rate than the clock's.
    Thinned = "thinned",
    /// Left out: its cgroups can't be followed to the root, or the agent has said nothing yet.
    Undecided = "undecided",
    /// Accepted by the filter: each of these becomes a sample or a loss.
    Accepted = "accepted",
    /// Sample records written.
    Samples = "samples",
    /// Samples written for the agent to unwind.
    Deferred = "deferred",
    /// Lost: no room in the ring buffer for the sample record.
    LostSample = "lost_ring_full",
    /// Lost: the unwinder's next stage could not be entered.
    LostStage = "lost_stage",
    /// Bodies of stacks written.
    Stacks = "stacks",
    /// Bodies of stacks for which the ring buffer had no room; sent again with the next sample.
    StackRetry = "stack_retry",
    /// Bodies of code objects written.
    Codes = "codes",
    /// Bodies of code objects for which the ring buffer had no room; sent again.
    CodeRetry = "code_retry",
    /// Executables announced to the agent.
    Announced = "announced",
    /// Processes announced to the agent.
    Processes = "processes",
    /// The table of per-process counts was full.
    ProcessTableFull = "process_table_full",
}

/// Number of slots.
pub const COUNTERS: u32 = Counter::ALL.len() as u32;
