//! Statistics of a batch: what was counted since the last one, on both sides.

use std::collections::HashMap;
use std::mem;

use agent_common::counter::Counter;
use agent_common::process::ProcessId;

use super::statistics::{Occupancy, ProcessTally, Statistics, Tally};
use super::{Session, SessionError};
use crate::bpf::Event;

/// Processes that the kernel side counts apart.
const PROCESSES: usize = 8192;

/// Where the kernel side's counters, which only grow, stood at the last batch.
#[derive(Default)]
pub struct Account {
    counters: HashMap<Counter, u64>,
    processes: HashMap<ProcessId, u64>,
    /// Those that were not sampled in the batch.
    idle: Vec<ProcessId>,
    due: u64,
    paused: u64,
}

impl Account {
    /// What a counter grew by.
    fn since(&mut self, counter: Counter, now: u64) -> u64 {
        let before = self.counters.insert(counter, now).unwrap_or(0);
        now.saturating_sub(before)
    }
}

impl Session {
    /// What the verifier went through, program by program.
    pub fn verified(&self) -> Vec<crate::bpf::load::Verified> {
        self.loaded.verified()
    }

    /// All batches so far, added up. Processes are not in it.
    pub fn totals(&self) -> &Statistics {
        &self.totals
    }

    /// Runs of the sampling program that were due until now.
    fn due_runs(&self) -> Option<u64> {
        match self.config.event {
            Event::CpuClock => {
                let runs = u128::from(self.clocks.busy) * u128::from(self.config.rate);
                u64::try_from(runs / 1_000_000_000).ok()
            }
            // A CPU that has nothing to do has no cycles.
            Event::Cycles => None,
        }
    }

    /// Counts since the last batch, which ended when this one began; `end` is when this one does.
    pub(super) fn statistics(&mut self, end: u64) -> Statistics {
        let (counters, account) = (&self.counters, &mut self.account);
        let mut get = |counter| account.since(counter, counters.get(counter));
        let mut statistics = Statistics {
            started_ns: self.began,
            ended_ns: end,
            runs: get(Counter::Entries),
            cpus: self.clocks.cpus,
            ..Statistics::default()
        };
        statistics.total.entries = get(Counter::Accepted);
        for counter in [Counter::LostSample, Counter::LostStage] {
            statistics
                .lost
                .insert(counter.name().to_owned(), get(counter));
        }
        for counter in [
            Counter::Idle,
            Counter::Own,
            Counter::OtherProcess,
            Counter::OtherCgroup,
            Counter::NotChosen,
            Counter::Thinned,
            Counter::Undecided,
        ] {
            statistics
                .left_out
                .insert(counter.name().to_owned(), get(counter));
        }
        for counter in [
            Counter::Samples,
            Counter::Deferred,
            Counter::Stacks,
            Counter::StackRetry,
            Counter::Codes,
            Counter::CodeRetry,
            Counter::Announced,
            Counter::Processes,
            Counter::ProcessTableFull,
        ] {
            statistics
                .kernel
                .insert(counter.name().to_owned(), get(counter));
        }
        let due = self.due_runs();
        statistics.due = due.map(|due| due.saturating_sub(self.account.due));
        self.account.due = due.unwrap_or(0);
        statistics.paused_ns = self.clocks.paused.saturating_sub(self.account.paused);
        self.account.paused = self.clocks.paused;
        self.count_processes(&mut statistics);
        self.count_own(&mut statistics);
        statistics
    }

    fn count_processes(&mut self, statistics: &mut Statistics) {
        let tallies = mem::take(&mut self.tallies);
        let before = mem::take(&mut self.account.processes);
        for (process, now) in self.counters.entries() {
            self.account.processes.insert(process, now);
            let entries = now.saturating_sub(before.get(&process).copied().unwrap_or(0));
            let counted = tallies.get(&process);
            if entries == 0 {
                self.account.idle.push(process);
            }
            if entries == 0 && counted.tally.samples == 0 {
                continue;
            }
            statistics.processes.push(ProcessTally {
                pid: process.pid,
                name: self.names.process(&process).to_owned(),
                first_sample_ns: counted.first,
                tally: Tally {
                    entries,
                    ..counted.tally
                },
            });
        }
        statistics.processes.sort_by(|a, b| {
            b.tally
                .entries
                .cmp(&a.tally.entries)
                .then(a.pid.cmp(&b.pid))
        });
        let entries = statistics.total.entries;
        for tally in tallies.all() {
            statistics.total.absorb(tally);
        }
        statistics.total.entries = entries;
    }

    /// Memory in use and what left it, after all of the batch was named.
    pub(super) fn count_memory(&mut self, statistics: &mut Statistics) {
        let bounds = &self.config.bounds;
        let (cells, all_cells) = self.table.occupancy();
        let tables = [
            (
                "stack_bytes",
                self.stacks.bytes() as u64,
                self.stacks.most(),
                self.stacks.take_evicted(),
            ),
            (
                "code_object_bytes",
                self.codes.bytes() as u64,
                self.codes.most(),
                self.codes.take_evicted(),
            ),
            (
                "thread_bytes",
                self.names.bytes() as u64,
                bounds.threads,
                self.names.take_evicted(),
            ),
            (
                "name_bytes",
                self.named.bytes() as u64,
                bounds.names,
                self.named.take_evicted(),
            ),
            (
                "symbol_bytes",
                self.symbolizer.cached_bytes() as u64,
                bounds.symbols.cache_bytes,
                0,
            ),
            (
                "deferred_bytes",
                self.deferred.bytes() as u64,
                bounds.deferred,
                0,
            ),
            (
                "files",
                self.executables.len() as u64,
                bounds.files,
                mem::take(&mut self.executables.evicted),
            ),
            ("row_cells", cells, all_cells as usize, 0),
            (
                "processes",
                self.account.processes.len() as u64,
                PROCESSES,
                0,
            ),
        ];
        let tables = tables.map(|(name, used, most, evicted)| Occupancy {
            name,
            used,
            most: most as u64,
            evicted,
        });
        statistics.tables = tables.into();
    }

    /// Processes that were not sampled make room in the kernel side's table for others. They are
    /// counted from the beginning when they are.
    pub(super) fn forget_processes(&mut self) -> Result<(), SessionError> {
        for process in mem::take(&mut self.account.idle) {
            let count = self.account.processes.remove(&process).unwrap_or(0);
            self.counters.forget(&process, count)?;
        }
        Ok(())
    }

    fn count_own(&mut self, statistics: &mut Statistics) {
        let full = mem::take(&mut self.samples.dropped) + mem::take(&mut self.stacks.dropped);
        let cut_tables = mem::take(&mut self.codes.cut_tables);
        statistics
            .kernel
            .insert("line_tables_too_long".to_owned(), cut_tables);
        let own = [
            ("record_not_understood", mem::take(&mut self.undecoded)),
            (
                "stack_hash_mismatch",
                mem::take(&mut self.stacks.mismatched),
            ),
            ("agent_tables_full", full),
        ];
        for (name, count) in own {
            statistics.lost.insert(name.to_owned(), count);
        }
        statistics.waiting = self.samples.weight() + self.deferred.len() as u64;
        for reason in self.interpreters.pending() {
            *statistics
                .interpreters
                .entry(reason.to_owned())
                .or_default() += 1;
        }
        for (reason, count) in &self.interpreters.unfit {
            *statistics
                .interpreters
                .entry((*reason).to_owned())
                .or_default() += count;
        }
        let problems = self.executables.problems.drain();
        for (reason, count) in problems.chain(self.failures.drain()) {
            *statistics.files.entry(reason.to_owned()).or_default() += count;
        }
    }
}
