//! A batch: the profile of what came since the last one. A recording's end is its last batch.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::time::Instant;

use agent_common::stack::entry;

use super::codes::{CodeKey, Codes};
use super::machine::{clock, monotonic};
use super::moments::Moments;
use super::resolve::{Resolver, View};
use super::samples::{Count, Key, Ready};
use super::stacks::Stacks;
use super::statistics::Statistics;
use super::{Session, SessionError};
use crate::bpf::Event;
use crate::profile::{self, Profile, SampleKey, Span, ValueType};

/// For how long the records of a sample may be on their way: it is walked and sent in some
/// microseconds, with nothing that could come in between but the host of a virtual machine.
const ON_ITS_WAY: u64 = 2_000_000;

impl Session {
    /// Makes a profile and the statistics of what came since the last batch; both of them together
    /// hold every sample once.
    ///
    /// A sample of which something is still on its way (its stack's body, the name of Python code,
    /// or, for one that was deferred, a file) waits for the next batch, or the one after that. The
    /// next profile's span then begins with that sample, so that each span holds the times of all
    /// its samples; the statistics say how long the batch took.
    pub fn batch(&mut self, view: View) -> Result<(Profile, Statistics), SessionError> {
        let end = monotonic().saturating_sub(ON_ITS_WAY).max(self.began);
        self.next_begins = Some(end);
        let pumped = self.pump();
        let made = pumped.and_then(|()| {
            self.clocks.settle();
            let made = self.make(view, end, false);
            self.began = end;
            // A wall clock that is set in between does not reach back into what was told.
            self.clock = clock();
            self.forget()?;
            Ok(made)
        });
        self.next_begins = None;
        for sample in mem::take(&mut self.later) {
            self.take_sample(&sample);
        }
        made
    }

    /// Stops, and makes the last batch.
    pub fn finish(mut self, view: View) -> Result<(Profile, Statistics), SessionError> {
        self.stop()?;
        let end = self.clocks.ended;
        Ok(self.make(view, end, true))
    }

    /// `last`: nothing can be waited for.
    fn make(&mut self, view: View, end: u64, last: bool) -> (Profile, Statistics) {
        let mut missing = false;
        let ready = self.samples.take(last, |key| {
            let complete = is_complete(&self.stacks, &mut self.codes, key);
            missing |= !complete;
            complete
        });
        if missing {
            self.bodies_missing.get_or_insert_with(Instant::now);
        }
        let Ready { counts, moments } = ready;

        let mut profile = if moments.are_kept() {
            Profile::with_times()
        } else {
            Profile::new()
        };
        profile.clock = self.clock;
        let earliest = counts.iter().map(|(_, count)| count.first).min();
        profile.span = Span {
            start: earliest.map_or(self.began, |first| first.min(self.began)),
            end,
        };
        let mut statistics = self.statistics(end);
        self.fill(view, &mut profile, &counts, &moments, &mut statistics);
        self.name_executables(&mut profile);
        if self.config.executables {
            self.identities.tell(&mut profile);
        }
        self.symbolizer.trim();
        self.count_memory(&mut statistics);
        self.totals.absorb(&statistics);
        // Names were looked for in files.
        self.files_were_read = true;
        (profile, statistics)
    }

    /// Gives up what has become too much, and what is over.
    fn forget(&mut self) -> Result<(), SessionError> {
        self.codes.next_batch();
        let gone = self.stacks.next_batch();
        self.loaded.forget_stacks(gone.into_iter())?;
        // What a batch took for a moment is given back by the next tick.
        self.files_were_read = true;
        self.executables.next_batch();
        self.executables
            .give_up_deleted(&mut self.loaded, &mut self.table)?;
        self.forget_processes()
    }

    fn fill(
        &mut self,
        view: View,
        profile: &mut Profile,
        samples: &[(Key, Count)],
        moments: &Moments,
        statistics: &mut Statistics,
    ) {
        for (key, _) in samples {
            self.names.sampled(&key.process, key.thread);
        }
        let wanted: HashSet<u64> = samples.iter().map(|(key, _)| key.stack).collect();
        let mut resolver = Resolver::new(
            &self.executables,
            &mut self.codes,
            &self.names,
            &mut self.symbolizer,
            &mut self.named,
            view,
        );
        let used = resolver.prepare(profile, &self.stacks, &wanted);
        if samples.is_empty() {
            // What was asked for is told all the same.
            event(
                profile,
                self.config.event,
                1_000_000_000 / self.config.rate.max(1),
            );
        }
        let mut known = HashMap::new();
        let mut lost = 0;
        for (key, count) in samples {
            let body = self.stacks.get(key.stack);
            lost += if body.is_some() { 0 } else { count.weight };
            let stack = *known.entry((key.stack, key.process)).or_insert_with(|| {
                let frames = match body {
                    Some(body) => resolver.stack(profile, body, &key.process),
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
            let event = event(profile, self.config.event, key.value);
            let taken = moments.of(key);
            let key = SampleKey {
                stack,
                context: profile::ContextId::NONE,
                process,
                thread,
                cpu: key.cpu,
                event,
            };
            if moments.are_kept() {
                for moment in taken {
                    profile.add(key, *moment);
                }
            } else {
                profile.add_sum(key, count.weight, count.value);
            }
            let frames = profile.frames_of(stack);
            statistics.frames += frames.len() as u64 * count.weight;
            let unnamed = frames
                .iter()
                .filter(|id| profile[**id].function.is_none())
                .count();
            statistics.unnamed += unnamed as u64 * count.weight;
        }
        statistics.lost.insert("stack_body".to_owned(), lost);
        self.executables.touch(used);
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
}

/// Whether all of a sample's stack is there: its body, and the names of its Python code, of which
/// nothing is told that did not come.
fn is_complete(stacks: &Stacks, codes: &mut Codes, key: &Key) -> bool {
    let Some(body) = stacks.get(key.stack) else {
        return false;
    };
    let frames = body.python.iter().filter(|it| it.kind == entry::FRAME);
    let missing = frames.filter(|entry| {
        !codes.is_settled(&CodeKey {
            process: key.process,
            code: entry.code,
            signature: entry.signature,
        })
    });
    // All of them, so that they are asked for at once.
    missing.count() == 0
}

/// Samples that stand for different times are of different events: some formats say it once for all.
fn event(profile: &mut Profile, event: Event, stands_for: u64) -> profile::EventId {
    let (name, unit, amount) = match event {
        Event::CpuClock => ("cpu-clock", "nanoseconds", stands_for),
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
