//! A made-up process of Python 3.12, to be broken in every way.

use std::cell::RefCell;

use crate::python::accessor::Hints;
use crate::python::detect::Binary;
use crate::python::memory::{Memory, ReadError};
use crate::python::offsets::Layout;
use crate::python::version::Version;

const BASE: u64 = 0x10_0000;
pub(super) const RUNTIME: u64 = BASE;
pub(super) const RUNTIME_SIZE: u64 = 0x4000;
pub(super) const INTERPRETER: u64 = BASE + 0x1_0000;
pub(super) const KEY: u64 = 3;
/// Where 3.12 keeps `autoTSSkey._key`.
pub(super) const KEY_OFFSET: u64 = 1548;
const TYPES: u64 = BASE + 0x2_0000;
pub(super) const CODE: u64 = BASE + 0x3_0000;
pub(super) const TEXT: u64 = BASE + 0x3_1000;
pub(super) const TABLE: u64 = BASE + 0x3_2000;
const CFRAMES: u64 = BASE + 0x4_0000;
pub(super) const FRAMES: u64 = BASE + 0x5_0000;
const TSTATES: u64 = BASE + 0x6_0000;
const THREADS: u64 = BASE + 0x8_0000;
const SIZE: usize = 0xA_0000;

/// Memory from `BASE` on; nothing else is readable.
pub(super) struct FakeMemory {
    bytes: RefCell<Vec<u8>>,
}

impl Memory for FakeMemory {
    fn read(&self, avma: u64, into: &mut [u8]) -> Result<(), ReadError> {
        let bytes = self.bytes.borrow();
        let start = usize::try_from(avma.wrapping_sub(BASE)).unwrap_or(usize::MAX);
        let found = start
            .checked_add(into.len())
            .and_then(|end| bytes.get(start..end));
        let length = into.len();
        let error = || ReadError {
            avma,
            length,
            cause: "nothing is there".into(),
        };
        into.copy_from_slice(found.ok_or_else(error)?);
        Ok(())
    }
}

impl FakeMemory {
    pub fn write(&self, avma: u64, data: &[u8]) {
        let start = (avma - BASE) as usize;
        self.bytes.borrow_mut()[start..start + data.len()].copy_from_slice(data);
    }

    pub fn put(&self, avma: u64, value: u64) {
        self.write(avma, &value.to_le_bytes());
    }

    pub fn size(&self) -> usize {
        SIZE
    }

    pub fn at(&self, offset: usize) -> u64 {
        BASE + offset as u64
    }
}

pub(super) fn tstate(thread: u64) -> u64 {
    TSTATES + thread * 0x400
}

/// The thread pointer of a thread.
pub(super) fn pointer(thread: u64) -> u64 {
    THREADS + thread * 0x4000 + 0x3000
}

pub(super) fn frame(thread: u64, index: u64) -> u64 {
    FRAMES + thread * 0x1000 + index * 0x80
}

/// A process with `threads` threads of three frames and a shim each; no rule leads from a thread to
/// its state yet.
pub(super) fn process(threads: u64) -> FakeMemory {
    let memory = FakeMemory {
        bytes: vec![0; SIZE].into(),
    };
    let put = |avma: u64, value: u64| memory.put(avma, value);
    put(RUNTIME + 40, INTERPRETER);
    put(INTERPRETER + 72, tstate(0));
    for (index, name) in [&b"code\0"[..], b"str\0", b"bytes\0"]
        .into_iter()
        .enumerate()
    {
        let at = TYPES + index as u64 * 0x400;
        put(at + 24, at + 0x200);
        memory.write(at + 0x200, name);
    }
    put(CODE + 8, TYPES);
    put(CODE + 16, 50);
    memory.write(CODE + 68, &7i32.to_le_bytes());
    for pointer in [112, 120, 128] {
        put(CODE + pointer, TEXT);
    }
    put(CODE + 136, TABLE);
    put(TEXT + 8, TYPES + 0x400);
    put(TEXT + 16, 4);
    put(TEXT + 32, 0x64);
    memory.write(TEXT + 40, b"name");
    put(TABLE + 8, TYPES + 0x800);
    put(TABLE + 16, 10);
    for thread in 0..threads {
        let (state, cframe) = (tstate(thread), CFRAMES + thread * 0x100);
        put(
            state + 8,
            if thread + 1 < threads {
                tstate(thread + 1)
            } else {
                0
            },
        );
        put(state + 16, INTERPRETER);
        put(state + 56, cframe);
        put(state + 136, pointer(thread));
        put(pointer(thread), pointer(thread));
        put(cframe, frame(thread, 0));
        for index in 0..4 {
            let at = frame(thread, index);
            put(at, CODE);
            put(
                at + 8,
                if index < 3 {
                    frame(thread, index + 1)
                } else {
                    0
                },
            );
            put(at + 56, CODE + 192 + 10);
            memory.write(at + 70, &[if index == 3 { 3 } else { 0 }]);
        }
    }
    memory
}

/// `autoTSSkey` at `offset`, and its value in glibc's block of every thread.
pub(super) fn set_glibc_key(memory: &FakeMemory, threads: u64, offset: u64) {
    memory.put(RUNTIME + offset - 4, KEY << 32 | 1);
    for thread in 0..threads {
        memory.put(pointer(thread) + 0x310 + 16 * KEY + 8, tstate(thread));
    }
}

pub(super) fn binary(hints: Hints, own_tls: Option<u64>) -> Binary {
    let version = Version::new(3, 12, 4);
    Binary {
        runtime: RUNTIME - BASE,
        runtime_size: RUNTIME_SIZE,
        version: Some(version),
        free_threaded: false,
        text_base: Some(0x1000),
        eval_loop: Vec::new(),
        layout: Layout::of(version, &[]),
        hints,
        own_tls,
    }
}

pub(super) const BIAS: u64 = BASE;
