//! Names and line tables of Python code objects, read while their process is running them and sent
//! once: the process may be gone by the time the agent looks.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use aya_ebpf::helpers::generated::{bpf_probe_read_user, bpf_ringbuf_output};

use agent_common::code::{self, LINETABLE_BYTES, TEXT_BYTES, Text};
use agent_common::counter::Counter;
use agent_common::python::{CODE_BYTES, PythonOffsets};
use agent_common::record::{Code, Header, Lines, VERSION, kind};
use agent_common::stack::{PYTHON_ENTRIES, PythonEntry, entry};

use crate::maps::{CODES_SENT, EVENTS, PYTHONS, SENT, count, epoch};
use crate::memory::{hide, user_bytes};
use crate::python::{code_signature, half, word};
use crate::scratch::{Scratch, scratch};
use crate::{emit, stages};

/// Entries in one run of the stage.
const ENTRIES: u32 = 64;
/// Bytes of a string's head: length, state and, for ASCII, the place where its text begins.
const HEAD: u32 = 48;

/// `PyUnicodeObject.state`: kind (bytes a character) in bits 2..=4, up to 3.15 for GIL builds;
/// bit 6: ASCII.
const KIND_SHIFT: u32 = 2;
const KIND_MASK: u32 = 7;
const ASCII: u32 = 1 << 6;

pub fn stage<C: EbpfContext>(ctx: &C) -> u32 {
    let Some(scratch) = scratch() else {
        return 0;
    };
    for _ in 0..ENTRIES {
        let next = scratch.code_next;
        if next >= scratch.sample.shape.python as u32 {
            if scratch.code_failed == 0 {
                emit::mark_sent(scratch.sample.stack);
                emit::mark_sent(emit::code_list(scratch));
            }
            return 0;
        }
        scratch.code_next = next + 1;
        if send_code(next) == 0 {
            scratch.code_failed = 1;
            count(Counter::CodeRetry);
        }
    }
    stages::enter(ctx, stages::CODES);
    0
}

/// Sends the code object of an entry, if it has one that was not sent; 0: there was no room.
///
/// Exported: verified once, not for every turn of the loop (see `walk_native_frame`).
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn send_code(next: u32) -> u32 {
    let Some(scratch) = scratch() else {
        return 0;
    };
    let Some(offsets) = PYTHONS.get(scratch.python.index.wrapping_sub(1)) else {
        return 0;
    };
    let all = scratch.sample.shape.python as u32;
    let mut place = next
        + if scratch.code_first < all {
            scratch.code_first
        } else {
            0
        };
    if place >= all {
        place -= all;
    }
    let found = scratch.python_section.frames[place as usize & (PYTHON_ENTRIES - 1)];
    if found.kind != entry::FRAME {
        return 1;
    }
    send(scratch, offsets, &found)
}

/// Sends a code object unless it was sent; 0: there was no room.
#[inline(never)]
fn send(scratch: &mut Scratch, offsets: &PythonOffsets, found: &PythonEntry) -> u32 {
    let process = scratch.sample.process;
    let id = code::key(epoch(), &process, found.code, found.signature);
    let Some(sent) = CODES_SENT.get_ptr_mut(id as u32 >> 1 & (SENT - 1)) else {
        return 0;
    };
    // SAFETY: a slot of an array.
    if unsafe { *sent } == id {
        return 1;
    }
    if !user_bytes(found.code, &mut scratch.object, CODE_BYTES as u32)
        || code_signature(&scratch.object, offsets) != found.signature
    {
        return 1;
    }
    let name = word(&scratch.object, offsets.code_qualname);
    let file = word(&scratch.object, offsets.code_filename);
    let table = word(&scratch.object, offsets.code_linetable);
    let code = &mut scratch.code;
    code.header = Header {
        kind: kind::CODE,
        version: VERSION,
        size: size_of::<Code>() as u32,
    };
    code.process = process;
    code.code = found.code;
    code.signature = found.signature;
    code.linetable = table;
    code.python = scratch.python.index - 1;
    code.first_line = half(&scratch.object, offsets.code_first_line) as i32;
    read_text(&mut scratch.object, &mut scratch.code.name, name, offsets);
    read_text(&mut scratch.object, &mut scratch.code.file, file, offsets);
    let events = (&raw const EVENTS).cast_mut().cast();
    // SAFETY: `code` is as long as is said.
    let failed = unsafe {
        bpf_ringbuf_output(
            events,
            (&raw mut scratch.code).cast(),
            size_of::<Code>() as u64,
            BPF_RB_NO_WAKEUP as u64,
        )
    };
    if failed != 0 || !send_lines(scratch, offsets, found, table) {
        return 0;
    }
    count(Counter::Codes);
    // SAFETY: as above.
    unsafe { *sent = id };
    1
}

/// Reads a `str`; what can't be read has `stored` 0.
#[inline(always)]
fn read_text(object: &mut [u64; 36], text: &mut Text, address: u64, offsets: &PythonOffsets) {
    text.length = 0;
    text.state = 0;
    text.stored = 0;
    if address == 0 || !user_bytes(address, object, HEAD) {
        return;
    }
    text.length = word(object, offsets.unicode_length);
    text.state = half(object, offsets.unicode_state);
    let (data, width) = if text.state & ASCII != 0 {
        (offsets.unicode_ascii, 1)
    } else {
        (
            offsets.unicode_compact,
            (text.state >> KIND_SHIFT & KIND_MASK) as u64,
        )
    };
    let mut bytes = text.length.wrapping_mul(width);
    if bytes > TEXT_BYTES as u64 || text.length > TEXT_BYTES as u64 {
        bytes = TEXT_BYTES as u64;
    }
    let from = address.wrapping_add(data as u64);
    let bytes = bytes as u32 & 0xff;
    if bytes as usize <= TEXT_BYTES && user_bytes(from, &mut text.data, bytes) {
        text.stored = bytes;
    }
}

#[inline(always)]
fn send_lines(
    scratch: &mut Scratch,
    offsets: &PythonOffsets,
    found: &PythonEntry,
    table: u64,
) -> bool {
    if table == 0 || !user_bytes(table, &mut scratch.object, HEAD) {
        return true;
    }
    let size = word(&scratch.object, offsets.bytes_size);
    let stored = hide(if size > LINETABLE_BYTES as u64 {
        LINETABLE_BYTES as u64
    } else {
        size
    });
    if stored > LINETABLE_BYTES as u64 {
        return true;
    }
    let lines = &mut scratch.lines;
    let from = table.wrapping_add(offsets.bytes_data as u64);
    let room = lines.bytes.as_mut_ptr();
    // SAFETY: `bytes` has room for LINETABLE_BYTES.
    if unsafe { bpf_probe_read_user(room.cast(), stored as u32, from as *const _) } != 0 {
        return true;
    }
    let bytes = size_of::<Lines>() as u64 + stored;
    lines.head = Lines {
        header: Header {
            kind: kind::LINES,
            version: VERSION,
            size: bytes as u32,
        },
        process: scratch.sample.process,
        code: found.code,
        signature: found.signature,
        size,
        stored: stored as u32,
        padding: 0,
    };
    let events = (&raw const EVENTS).cast_mut().cast();
    // SAFETY: `lines` is at least as long.
    unsafe {
        bpf_ringbuf_output(
            events,
            (&raw mut *lines).cast(),
            bytes,
            BPF_RB_NO_WAKEUP as u64,
        ) == 0
    }
}
