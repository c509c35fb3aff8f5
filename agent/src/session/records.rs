//! Records of the kernel side as they come: what each means for the recording.

use std::time::Instant;

use agent_common::cut::NativeEnd;
use agent_common::executable::EXECUTABLE_ANONYMOUS;
use agent_common::process::ProcessId;
use agent_common::record::Sample;
use agent_common::stack::entry;

use super::codes::CodeKey;
use super::deferred::Unwound;
use super::machine::until_zero;
use super::{BATCH, Session, SessionError, stacks};
use crate::bpf::decode::{Record, decode};
use crate::process::cgroup::Place;

impl Session {
    pub(super) fn drain(&mut self) -> Result<(), SessionError> {
        let mut records: Vec<Vec<u8>> = Vec::new();
        loop {
            let count = self
                .ring
                .drain(BATCH, |record| records.push(record.to_vec()));
            for record in records.drain(..) {
                self.take_record(&record)?;
            }
            if count < BATCH {
                return Ok(());
            }
        }
    }

    pub(super) fn take_record(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        let record = match decode(bytes) {
            Ok(record) => record,
            Err(error) => {
                tracing::debug!(%error, "record not taken");
                self.undecoded += 1;
                return Ok(());
            }
        };
        match record {
            Record::Sample(sample) => self.take_sample(&sample),
            Record::Stack(head, frames) => {
                if let Some(body) = self.stacks.add(&head, frames) {
                    let jit = |frame: &agent_common::stack::NativeFrame| {
                        frame.executable == EXECUTABLE_ANONYMOUS
                    };
                    if body.native.iter().any(jit) {
                        self.names.open_perf_map(&head.process);
                    }
                }
            }
            Record::Code(code) => {
                let version = self.interpreters.version(code.python);
                self.codes.add(&code, version);
            }
            Record::Lines(head, bytes) => self.codes.add_lines(&head, bytes),
            Record::Thread(thread) => {
                self.names.add(&thread);
                if self.config.executables {
                    self.names.read_executable(&thread.process);
                    let names = thread.cgroups.iter().map(|name| until_zero(&name.text));
                    self.identities
                        .see(&thread.process, Place::of(names, thread.cgroup_levels));
                }
            }
            Record::Executable(announced) => {
                self.take_announcement(&announced)?;
            }
            Record::DeferredKernel(head, frames) => self.deferred.add_kernel(head.stack, frames),
            Record::Deferred(record, stack) => {
                let mut given_up = Vec::new();
                let (executables, loader) = (&self.executables, &mut self.loader);
                self.deferred
                    .add(record, stack, executables, loader, &mut given_up);
                self.take_unwound(given_up);
            }
        }
        Ok(())
    }

    pub(super) fn take_sample(&mut self, sample: &Sample) {
        if self.next_begins.is_some_and(|next| sample.time >= next) {
            self.later.push(*sample);
            return;
        }
        self.tallies.add(sample, u64::from(sample.weight));
        let shape = &sample.shape;
        if shape.kernel == 0 && shape.native == 0 && shape.python == 0 {
            // Nothing to send: such a stack has no body of its own.
            let body = stacks::Body {
                shape: *shape,
                ..stacks::Body::default()
            };
            self.stacks.insert(body, &sample.process);
        }
        if self.samples.add(sample) {
            self.use_codes(sample);
        }
        // With no room for it there is no use in asking.
        if !self.stacks.sampled(sample.stack) && !self.stacks.is_full() {
            self.bodies_missing.get_or_insert_with(Instant::now);
        }
        let end = NativeEnd::from_u8(sample.shape.native_end).unwrap_or(NativeEnd::None);
        let broken = !end.is_whole() && sample.shape.python_walked == 0;
        if broken && self.looked.get(&sample.process).is_none() {
            self.look_for_interpreter(&sample.process);
        }
    }

    /// Code objects of what was sampled are the last ones to leave: the batch will ask for them, and
    /// those of many short lives may come until then.
    fn use_codes(&mut self, sample: &Sample) {
        let Some(body) = self.stacks.get(sample.stack) else {
            return;
        };
        for entry in body.python.iter().filter(|it| it.kind == entry::FRAME) {
            self.codes.sampled(&CodeKey {
                process: sample.process,
                code: entry.code,
                signature: entry.signature,
            });
        }
    }

    /// Looks once which interpreter a process has whose native stack does not lead to it.
    fn look_for_interpreter(&mut self, process: &ProcessId) {
        for (given_up, ()) in self.looked.insert(*process, (), 0) {
            if let Err(error) = self.loaded.remove_process_python(&given_up) {
                tracing::debug!(%error, "interpreter not taken back");
            }
        }
        let found = self
            .interpreters
            .look(&mut self.loaded, &self.executables, process);
        if let Err(error) = found {
            tracing::debug!(%error, "no interpreter noted");
        }
    }

    pub(super) fn take_unwound(&mut self, done: Vec<Unwound>) {
        for Unwound { mut sample, body } in done {
            sample.shape = body.shape;
            sample.stack = self.stacks.insert(body, &sample.process);
            self.take_sample(&sample);
        }
    }
}
