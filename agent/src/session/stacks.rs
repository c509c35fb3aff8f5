//! Bodies of stacks: assembled from their sections, and held against their hash.

use std::collections::HashMap;

use agent_common::process::ProcessId;
use agent_common::record::Stack;
use agent_common::stack::{NativeFrame, PythonEntry, StackHash, StackShape};

use crate::bpf::decode::Frames;

/// Most stacks that are kept.
const STACKS: usize = 1 << 20;

/// A stack as the kernel side walked it, each section innermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    pub shape: StackShape,
    pub kernel: Vec<u64>,
    pub native: Vec<NativeFrame>,
    pub python: Vec<PythonEntry>,
}

impl Body {
    fn is_complete(&self) -> bool {
        self.kernel.len() == usize::from(self.shape.kernel)
            && self.native.len() == usize::from(self.shape.native)
            && self.python.len() == usize::from(self.shape.python)
    }

    /// The stack's id, by the kernel side's own function.
    pub fn id(&self, seed: u64, process: &ProcessId) -> u64 {
        let mut hash = StackHash::new(seed);
        for &address in &self.kernel {
            hash.push_kernel(address);
        }
        for frame in &self.native {
            hash.push_native(frame);
        }
        if self.shape.python_walked != 0 {
            hash.push_process(process);
        }
        for entry in &self.python {
            hash.push_python(entry);
        }
        hash.finish(&self.shape)
    }
}

/// Complete bodies by id, and those that still lack sections.
pub struct Stacks {
    seed: u64,
    complete: HashMap<u64, Body>,
    partial: HashMap<u64, Body>,
    /// Bodies that did not match their id.
    pub mismatched: u64,
    /// Bodies that found no room.
    pub dropped: u64,
}

impl Stacks {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            complete: HashMap::new(),
            partial: HashMap::new(),
            mismatched: 0,
            dropped: 0,
        }
    }

    pub fn get(&self, id: u64) -> Option<&Body> {
        self.complete.get(&id)
    }

    fn is_full(&self) -> bool {
        self.complete.len() + self.partial.len() >= STACKS
    }

    /// Takes a section; the body if it is complete with it.
    pub fn add(&mut self, head: &Stack, frames: Frames) -> Option<&Body> {
        if self.complete.contains_key(&head.stack) {
            return None;
        }
        if self.is_full() && !self.partial.contains_key(&head.stack) {
            self.dropped += 1;
            return None;
        }
        let body = self.partial.entry(head.stack).or_default();
        body.shape = head.shape;
        // A body that is sent again begins anew, section by section.
        match frames {
            Frames::Kernel(frames) => body.kernel = frames,
            Frames::Native(frames) => body.native = frames,
            Frames::Python(frames) => body.python = frames,
        }
        if !body.is_complete() {
            return None;
        }
        let body = self.partial.remove(&head.stack)?;
        if body.id(self.seed, &head.process) != head.stack {
            self.mismatched += 1;
            return None;
        }
        Some(self.complete.entry(head.stack).or_insert(body))
    }

    /// Puts in a stack that the agent unwound itself; its id.
    pub fn insert(&mut self, body: Body, process: &ProcessId) -> u64 {
        let id = body.id(self.seed, process);
        if !self.is_full() {
            self.partial.remove(&id);
            self.complete.entry(id).or_insert(body);
        } else if !self.complete.contains_key(&id) {
            self.dropped += 1;
        }
        id
    }
}
