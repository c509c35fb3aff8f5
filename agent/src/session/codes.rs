//! Python code objects: names and line tables by process, address and signature.

use agent_common::process::ProcessId;
use agent_common::record;

use super::bounded::Bounded;
use crate::python::lines::Decoder;
use crate::python::{Version, text};

/// Identity of a code object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeKey {
    pub process: ProcessId,
    pub code: u64,
    pub signature: u64,
}

/// What is known of one.
#[derive(Default)]
pub struct Code {
    pub name: String,
    pub file: String,
    pub first_line: i32,
    /// Of its interpreter.
    pub version: Option<Version>,
    table: Vec<u8>,
    table_whole: bool,
    decoder: Option<Decoder>,
}

impl Code {
    /// Memory behind it: the decoder has an entry for each few bytes of the table.
    fn bytes(&self) -> usize {
        self.name.capacity() + self.file.capacity() + 9 * self.table.capacity()
    }

    /// The line of an instruction. Of a table that did not travel whole none is known: the
    /// function's first line would be a wrong one.
    pub fn line(&mut self, version: Version, instruction: i32) -> Option<u32> {
        if instruction == i32::MIN {
            return None;
        }
        if !self.table_whole {
            return None;
        }
        let decoder = self
            .decoder
            .get_or_insert_with(|| Decoder::new(version, &self.table, self.first_line));
        decoder
            .line(instruction)
            .and_then(|line| u32::try_from(line).ok())
    }
}

/// All of them.
pub struct Codes {
    known: Bounded<CodeKey, Code>,
    /// Objects that were asked for once and did not come: nobody could read them.
    absent: Bounded<CodeKey, ()>,
    /// Whether some have to be asked for.
    pub missing: bool,
    /// Line tables too long to travel whole.
    pub cut_tables: u64,
    /// Bytes of those that came since the last batch.
    came: usize,
    budget: usize,
}

/// Memory for objects that nobody could read.
const ABSENT: usize = 512 << 10;

impl Codes {
    pub fn new(budget: usize) -> Self {
        Self {
            known: Bounded::new(budget),
            absent: Bounded::new(ABSENT),
            missing: false,
            cut_tables: 0,
            came: 0,
            budget,
        }
    }

    /// `version`: of its interpreter.
    pub fn add(&mut self, record: &record::Code, version: Option<Version>) {
        let key = CodeKey {
            process: record.process,
            code: record.code,
            signature: record.signature,
        };
        self.change(key, |code| {
            code.name = text::decode(&record.name);
            code.file = text::decode(&record.file);
            code.first_line = record.first_line;
            code.version = version;
        });
    }

    pub fn add_lines(&mut self, head: &record::Lines, bytes: &[u8]) {
        let key = CodeKey {
            process: head.process,
            code: head.code,
            signature: head.signature,
        };
        let whole = head.size == bytes.len() as u64;
        if !whole {
            self.cut_tables += 1;
        }
        self.change(key, |code| {
            code.table = bytes.to_vec();
            code.table_whole = whole;
            code.decoder = None;
        });
    }

    pub fn get_mut(&mut self, key: &CodeKey) -> Option<&mut Code> {
        self.known.get(key)
    }

    /// Most bytes that all take.
    pub fn most(&self) -> usize {
        self.budget + ABSENT
    }

    /// Whether those of the next batch would soon have to leave for each other.
    pub fn is_full(&self) -> bool {
        self.came > self.budget / 2
    }

    /// All that came was asked for.
    pub fn next_batch(&mut self) {
        self.came = 0;
    }

    /// A sample has this object on its stack.
    pub fn sampled(&mut self, key: &CodeKey) {
        self.known.get(key);
    }

    /// Whether all is there of an object that there ever will be. One that is not has to be asked
    /// for, which this takes note of.
    pub fn is_settled(&mut self, key: &CodeKey) -> bool {
        if self.known.contains(key) || self.absent.get(key).is_some() {
            return true;
        }
        self.absent.insert(*key, (), 0);
        self.missing = true;
        false
    }

    fn change(&mut self, key: CodeKey, change: impl FnOnce(&mut Code)) {
        self.absent.remove(&key);
        if !self.known.contains(&key) {
            self.known.put(key, Code::default(), 0);
        }
        let Some(code) = self.known.get(&key) else {
            return;
        };
        change(code);
        let bytes = code.bytes();
        self.came += bytes;
        self.known.resize(&key, bytes);
        self.known.trim();
    }

    pub fn bytes(&self) -> usize {
        self.known.bytes() + self.absent.bytes()
    }

    /// Objects that were given up since this was last asked.
    pub fn take_evicted(&mut self) -> u64 {
        self.known.take_evicted()
    }
}
