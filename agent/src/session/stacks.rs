//! Bodies of stacks: assembled from their sections, and held against their hash.

use std::collections::HashMap;

use agent_common::process::ProcessId;
use agent_common::record::Stack;
use agent_common::stack::{NativeFrame, PythonEntry, StackHash, StackShape};

use super::bounded::Bounded;
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

    /// Memory behind it.
    fn bytes(&self) -> usize {
        size_of_val(&*self.kernel) + size_of_val(&*self.native) + size_of_val(&*self.python)
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
    complete: Bounded<u64, Body>,
    /// And in which batch they began to come.
    partial: HashMap<u64, (u64, Body)>,
    /// Number of the batch that is under way.
    batch: u64,
    /// Most bytes of a batch and of what is kept for it.
    most: usize,
    /// Bodies that did not match their id.
    pub mismatched: u64,
    /// Bodies that found no room.
    pub dropped: u64,
}

impl Stacks {
    /// `kept`: bytes of bodies that are kept from one batch to the next; `most`: bytes that there
    /// may be of them until then.
    pub fn new(seed: u64, kept: usize, most: usize) -> Self {
        Self {
            seed,
            complete: Bounded::new(kept),
            partial: HashMap::new(),
            batch: 0,
            most,
            mismatched: 0,
            dropped: 0,
        }
    }

    pub fn get(&self, id: u64) -> Option<&Body> {
        self.complete.peek(&id)
    }

    /// A sample has this stack; whether its body is there.
    pub fn sampled(&mut self, id: u64) -> bool {
        self.complete.get(&id).is_some()
    }

    pub fn len(&self) -> usize {
        self.complete.len() + self.partial.len()
    }

    pub fn bytes(&self) -> usize {
        self.complete.bytes()
    }

    /// Most bytes of bodies, those of the batch that is under way included.
    pub fn most(&self) -> usize {
        self.most
    }

    pub fn is_full(&self) -> bool {
        self.len() >= STACKS || self.bytes() >= self.most
    }

    /// Takes a section; the body if it is complete with it.
    pub fn add(&mut self, head: &Stack, frames: Frames) -> Option<&Body> {
        if self.complete.contains(&head.stack) {
            return None;
        }
        if self.is_full() && !self.partial.contains_key(&head.stack) {
            self.dropped += 1;
            return None;
        }
        let batch = self.batch;
        let (_, body) = self
            .partial
            .entry(head.stack)
            .or_insert_with(|| (batch, Body::default()));
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
        let (_, body) = self.partial.remove(&head.stack)?;
        if body.id(self.seed, &head.process) != head.stack {
            self.mismatched += 1;
            return None;
        }
        let bytes = body.bytes();
        self.complete.put(head.stack, body, bytes);
        self.complete.peek(&head.stack)
    }

    /// Puts in a stack that the agent unwound itself; its id.
    pub fn insert(&mut self, body: Body, process: &ProcessId) -> u64 {
        let id = body.id(self.seed, process);
        if self.complete.contains(&id) {
            return id;
        }
        if !self.is_full() {
            self.partial.remove(&id);
            let bytes = body.bytes();
            self.complete.put(id, body, bytes);
        } else {
            self.dropped += 1;
        }
        id
    }

    /// A batch was made. Gives up what was not sampled for the longest time, and what did not come
    /// whole; the ids of both, whose bodies have to come again.
    pub fn next_batch(&mut self) -> Vec<u64> {
        let gone = self.complete.trim();
        let mut gone: Vec<u64> = gone.into_iter().map(|(id, _)| id).collect();
        let oldest = self.batch;
        self.batch += 1;
        let stale = self.partial.extract_if(|_, (batch, _)| *batch < oldest);
        gone.extend(stale.map(|(id, _)| id));
        gone
    }

    /// Bodies that were given up since this was last asked.
    pub fn take_evicted(&mut self) -> u64 {
        self.complete.take_evicted()
    }
}
