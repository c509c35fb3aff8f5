//! A running interpreter under test: its process, its file, its objects.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};

use agent_common::code::{TEXT_BYTES, Text};
use agent_common::python::PythonOffsets;
use memmap2::Mmap;

use super::interpreters::Interpreter;
use crate::python::detect::{Binary, detect};
use crate::python::memory::{Memory, MemoryExt};
use crate::python::reader::ProcessMemory;
use crate::python::{Unfit, derive, lines, text, version::Version};

/// Killed with the test.
pub(super) struct Target {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Target {
    /// The program of the live tests.
    pub fn spawn(interpreter: &Interpreter, flags: &[&str]) -> Self {
        Self::start(interpreter, include_str!("program.py"), flags)
    }

    /// Another program, until it says READY.
    pub fn run(interpreter: &Interpreter, program: &str, flags: &[&str]) -> Self {
        let mut target = Self::start(interpreter, program, flags);
        target.lines_to("READY");
        target
    }

    fn start(interpreter: &Interpreter, program: &str, flags: &[&str]) -> Self {
        let mut command = interpreter.command();
        // A C locale must not decide how the program is read.
        command.args(["-X", "utf8", "-c", program]).args(flags);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The lines up to and with the one that begins with `last`.
    pub fn lines_to(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(
                self.output.read_line(&mut line).unwrap() > 0,
                "ended after {lines:?}"
            );
            lines.push(line.trim_end().to_owned());
            if line.starts_with(last) {
                return lines;
            }
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An executable mapping of a file.
pub(super) struct Mapping {
    pub start: u64,
    pub offset: u64,
    pub path: PathBuf,
}

pub(super) fn mappings(pid: u32) -> Vec<Mapping> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [range, access, offset, _, _, path] = fields[..] else {
            return None;
        };
        let wanted = access.contains('x') && path.starts_with('/');
        let number = |text| u64::from_str_radix(text, 16).ok();
        let root = format!("/proc/{pid}/root{path}");
        // The root of a chroot is its own; the path is as this process sees it.
        let path = if fs::exists(path).unwrap_or(false) {
            path.to_owned()
        } else {
            root
        };
        wanted.then_some(Mapping {
            start: number(range.split('-').next()?)?,
            offset: number(offset)?,
            path: path.into(),
        })
    };
    maps.lines().filter_map(parse).collect()
}

pub(super) fn map(path: &PathBuf) -> Option<Mmap> {
    let file = File::open(path).ok()?;
    // SAFETY: the interpreters' files are not changed while the tests run.
    unsafe { Mmap::map(&file) }.ok()
}

/// The interpreter in a process: which of its files, and where.
pub(super) fn find(pid: u32) -> Option<(Binary, u64)> {
    mappings(pid).into_iter().find_map(|mapping| {
        let binary = detect(&map(&mapping.path)?)?;
        let bias = binary.bias(mapping.start, mapping.offset)?;
        Some((binary, bias))
    })
}

pub(super) fn derive_in(pid: u32) -> (Binary, u64, Result<PythonOffsets, Unfit>) {
    let (binary, bias) = find(pid).expect("no file of the process holds a runtime");
    let result = derive(&binary, &ProcessMemory::new(pid), bias);
    (binary, bias, result)
}

/// What the kernel side ships of a `str`.
pub(super) fn read_text(memory: &dyn Memory, offsets: &PythonOffsets, object: u64) -> Text {
    let length = memory
        .u64(object + u64::from(offsets.unicode_length))
        .unwrap();
    let state = memory
        .array(object + u64::from(offsets.unicode_state))
        .unwrap();
    let state = u32::from_le_bytes(state);
    let ascii = state & 1 << 6 != 0;
    let start = if ascii {
        offsets.unicode_ascii
    } else {
        offsets.unicode_compact
    };
    let stored = length
        .saturating_mul(u64::from(state >> 2 & 7))
        .min(TEXT_BYTES as u64);
    let mut data = [0; TEXT_BYTES];
    memory
        .read(object + u64::from(start), &mut data[..stored as usize])
        .unwrap();
    Text {
        length,
        state,
        stored: stored as u32,
        data,
    }
}

/// A frame as `name|line|file`.
pub(super) fn describe(
    memory: &dyn Memory,
    offsets: &PythonOffsets,
    code: u64,
    instruction: i32,
) -> String {
    let pointer = |at: u16| memory.u64(code + u64::from(at)).unwrap();
    let name = text::decode(&read_text(memory, offsets, pointer(offsets.code_qualname)));
    let file = text::decode(&read_text(memory, offsets, pointer(offsets.code_filename)));
    let first_line = memory
        .array(code + u64::from(offsets.code_first_line))
        .unwrap();
    let table = pointer(offsets.code_linetable);
    let size = memory.u64(table + u64::from(offsets.bytes_size)).unwrap();
    let mut bytes = vec![0; size as usize];
    memory
        .read(table + u64::from(offsets.bytes_data), &mut bytes)
        .unwrap();
    let version = Version::from_hex(offsets.version);
    let line = lines::line(version, &bytes, i32::from_le_bytes(first_line), instruction);
    format!("{name}|{}|{file}", line.unwrap_or(-1))
}
