//! The end of a recording: its profile and its statistics.

use std::collections::HashMap;

use agent_common::counter::Counter;

use super::resolve::{Resolver, View};
use super::statistics::{ProcessTally, Statistics, Tally};
use super::{Session, SessionError};
use crate::bpf::Event;
use crate::profile::{self, Profile, SampleKey, Span, ValueType};
use crate::symbols::{self, Symbolizer};

impl Session {
    /// What the verifier went through, program by program.
    pub fn verified(&self) -> Vec<crate::bpf::load::Verified> {
        self.loaded.verified()
    }

    /// Stops and makes a profile of what was recorded.
    pub fn finish(mut self, view: View) -> Result<(Profile, Statistics), SessionError> {
        self.stop()?;
        let mut profile = if self.moments.are_kept() {
            Profile::with_times()
        } else {
            Profile::new()
        };
        profile.clock = self.clock;
        profile.span = Span {
            start: self.clocks.started,
            end: self.clocks.ended,
        };
        let mut statistics = self.statistics();

        let mut symbolizer = Symbolizer::new(symbols::Options::default());
        let mut wanted: Vec<u64> = self.samples.keys().map(|key| key.stack).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut resolver = Resolver::new(
            &self.executables,
            &mut self.codes,
            &self.interpreters,
            &self.names,
            &mut symbolizer,
            view,
        );
        resolver.prepare(&mut profile, &self.stacks, &wanted);

        let event = event(&mut profile, self.config.event, self.config.rate);
        let mut known = HashMap::new();
        for (key, count) in &self.samples {
            let stack = *known.entry((key.stack, key.process)).or_insert_with(|| {
                let frames = match self.stacks.get(key.stack) {
                    Some(body) => resolver.stack(&mut profile, body, &key.process),
                    None => vec![profile.marker("[stack lost]")],
                };
                profile.stack(&frames)
            });
            let process = profile.process(key.process);
            let name = profile.string(self.names.process(&key.process));
            profile.process_mut(process).name = name;
            let thread = profile.thread(process, key.thread);
            let name = profile.string(self.names.thread(&key.process, key.thread));
            profile.thread_mut(thread).name = name;
            let moments = self.moments.of(key);
            let key = SampleKey {
                stack,
                context: profile::ContextId::NONE,
                process,
                thread,
                cpu: key.cpu,
                event,
            };
            if self.moments.are_kept() {
                for moment in moments {
                    profile.add(key, *moment);
                }
            } else {
                profile.add_sum(key, count.weight, count.value);
            }
            let frames = profile.frames_of(stack).to_vec();
            statistics.frames += frames.len() as u64 * count.weight;
            let unnamed = frames
                .iter()
                .filter(|id| profile[**id].function.is_none())
                .count();
            statistics.unnamed += unnamed as u64 * count.weight;
        }
        self.name_executables(&mut profile);
        Ok((profile, statistics))
    }

    /// Runs of the sampling program that were due.
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

    /// Ties processes to the files that they execute, those that occur in their stacks.
    fn name_executables(&self, profile: &mut Profile) {
        if !self.config.executables {
            return;
        }
        let mut found = HashMap::new();
        for (key, _) in profile.samples() {
            let id = &profile[key.process].id;
            let Some(path) = self.names.executable(id) else {
                continue;
            };
            let frames = profile.frames_of(key.stack).iter().rev();
            let executables = frames.filter_map(|frame| profile[*frame].executable);
            let mut same = executables.filter(|id| &profile[profile[*id].path] == path);
            if let Some(executable) = same.next() {
                found.insert(key.process, executable);
            }
        }
        for (process, executable) in found {
            profile.process_mut(process).executable = Some(executable);
        }
    }

    fn statistics(&self) -> Statistics {
        let get = |counter| self.counters.get(counter);
        let mut statistics = Statistics {
            started_ns: self.clocks.started,
            ended_ns: self.clocks.ended,
            paused_ns: self.clocks.paused,
            runs: get(Counter::Entries),
            due: self.due_runs(),
            cpus: self.clocks.cpus,
            ..Statistics::default()
        };
        for (process, entries) in self.counters.entries() {
            let counted = self.tallies.get(&process);
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
        let total = &mut statistics.total;
        total.entries = get(Counter::Accepted);
        for tally in self.tallies.all() {
            total.samples += tally.samples;
            total.whole += tally.whole;
            for (name, count) in &tally.cut {
                *total.cut.entry(name.clone()).or_default() += count;
            }
            for (name, count) in &tally.python {
                *total.python.entry(name.clone()).or_default() += count;
            }
        }
        for counter in [Counter::LostSample, Counter::LostStage] {
            statistics
                .lost
                .insert(counter.name().to_owned(), get(counter));
        }
        let bodies = self
            .samples
            .iter()
            .filter(|(key, _)| self.stacks.get(key.stack).is_none());
        let bodies: u64 = bodies.map(|(_, count)| count.weight).sum();
        let own = [
            ("stack_body", bodies),
            ("record_not_understood", self.undecoded),
            ("stack_hash_mismatch", self.stacks.mismatched),
            ("agent_tables_full", self.dropped + self.stacks.dropped),
        ];
        for (name, count) in own {
            statistics.lost.insert(name.to_owned(), count);
        }
        for counter in [
            Counter::Idle,
            Counter::Own,
            Counter::OtherProcess,
            Counter::OtherCgroup,
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
        for (reason, count) in &self.interpreters.unfit {
            *statistics
                .interpreters
                .entry((*reason).to_owned())
                .or_default() += count;
        }
        for reason in self.interpreters.pending() {
            *statistics
                .interpreters
                .entry(reason.to_owned())
                .or_default() += 1;
        }
        for (reason, count) in self.executables.problems.iter().chain(&self.failures) {
            *statistics.files.entry((*reason).to_owned()).or_default() += count;
        }
        statistics
    }
}

fn event(profile: &mut Profile, event: Event, rate: u64) -> profile::EventId {
    let (name, unit, amount) = match event {
        Event::CpuClock => ("cpu-clock", "nanoseconds", 1_000_000_000 / rate.max(1)),
        Event::Cycles => ("cycles", "count", 1),
    };
    let value = ValueType {
        name: profile.string(if event == Event::CpuClock {
            "cpu"
        } else {
            "cycles"
        }),
        unit: profile.string(unit),
    };
    let name = profile.string(name);
    profile.event(profile::Event {
        name,
        value,
        period: Some(profile::Period { of: value, amount }),
    })
}
