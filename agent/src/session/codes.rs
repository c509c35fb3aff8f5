//! Python code objects: names and line tables by process, address and signature.

use std::collections::HashMap;

use agent_common::process::ProcessId;
use agent_common::record;

use crate::python::lines::Decoder;
use crate::python::{Version, text};

/// Most code objects that are kept.
const CODES: usize = 1 << 18;

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
    /// Slot of its interpreter.
    pub python: u32,
    table: Vec<u8>,
    table_whole: bool,
    decoder: Option<Decoder>,
}

impl Code {
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
#[derive(Default)]
pub struct Codes {
    known: HashMap<CodeKey, Code>,
    /// Objects that found no room.
    pub dropped: u64,
    /// Line tables too long to travel whole.
    pub cut_tables: u64,
}

impl Codes {
    pub fn add(&mut self, record: &record::Code) {
        let key = CodeKey {
            process: record.process,
            code: record.code,
            signature: record.signature,
        };
        let Some(code) = self.entry(key) else { return };
        code.name = text::decode(&record.name);
        code.file = text::decode(&record.file);
        code.first_line = record.first_line;
        code.python = record.python;
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
        let Some(code) = self.entry(key) else { return };
        code.table = bytes.to_vec();
        code.table_whole = whole;
        code.decoder = None;
    }

    pub fn get_mut(&mut self, key: &CodeKey) -> Option<&mut Code> {
        self.known.get_mut(key)
    }

    fn entry(&mut self, key: CodeKey) -> Option<&mut Code> {
        if self.known.len() >= CODES && !self.known.contains_key(&key) {
            self.dropped += 1;
            return None;
        }
        Some(self.known.entry(key).or_default())
    }
}
