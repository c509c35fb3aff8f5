//! The Python walk: thread pointer → thread state → frames, each chain placed in the native stack
//! by the address of the object that its activation keeps there (its anchor).

use aya_ebpf::EbpfContext;

use agent_common::code::signature;
use agent_common::counter::Counter;
use agent_common::cut::{NativeEnd, PythonEnd};
use agent_common::python::{CODE_BYTES, OWNER_C, PythonOffsets, TSTATE_BYTES, chain, thread};
use agent_common::stack::{ANCHOR_NOWHERE, NATIVE_FRAMES, PYTHON_ENTRIES, PythonEntry, entry};

use crate::maps::{PYTHONS, count};
use crate::memory::{user_bytes, user_u64};
use crate::scratch::{FRAME_WORDS, FrameWindow, KNOWN_CODES, KnownCode, Scratch, WINDOW, scratch};
use crate::{setting, stages};

/// Frames and anchors in one run of the stage.
const STEPS: u32 = 128;
/// Native frames that one step passes in search of an anchor.
const PROBES: u32 = 4;
/// Bytes from the thread state's start in which `root_cframe` lies.
const ROOT_CFRAME: u64 = 512;
/// Keys that glibc keeps in a thread's own block.
const GLIBC_KEYS: u64 = 32;
/// Bytes that hold the members of a frame: up to 3.10, and from 3.11 on, where a frame may end
/// right behind them.
const OLD_FRAME: u64 = 112;
const NEW_FRAME: u64 = 80;
/// Where a frame read alone lies in the window, in bytes.
const ALONE: u64 = WINDOW as u64 + 256;
/// Byte offsets of an instruction that are believed; before its first one a frame has not started.
const SHORTEST_CODE: i64 = -16;
const LONGEST_CODE: i64 = 1 << 26;

const GO_ON: u32 = u32::MAX;

pub fn stage<C: EbpfContext>(ctx: &C) -> u32 {
    let Some(scratch) = scratch() else {
        return 0;
    };
    let Some(offsets) = PYTHONS.get(scratch.python.index.wrapping_sub(1)) else {
        stages::enter(ctx, stages::EMIT);
        return 0;
    };
    let mut end = GO_ON;
    if offsets.ready == 0 {
        end = PythonEnd::None as u32;
    } else if scratch.python.started == 0 {
        end = begin(scratch, offsets);
    }
    if end == GO_ON {
        for _ in 0..STEPS {
            end = walk_python_step();
            if end != GO_ON {
                break;
            }
        }
        if end == GO_ON {
            if stages::left(scratch, stages::MOST) {
                stages::enter(ctx, stages::PYTHON);
            }
            end = PythonEnd::StageLimit as u32;
        }
    }
    scratch.sample.shape.python_end = end as u8;
    scratch.sample.shape.python = scratch.python.count as u16;
    if scratch.python.count != 0 {
        scratch.sample.shape.chain = offsets.chain;
    }
    stages::enter(ctx, stages::EMIT);
    count(Counter::LostStage);
    0
}

/// Finds the thread state and the innermost frame.
#[inline(never)]
fn begin(scratch: &mut Scratch, offsets: &PythonOffsets) -> u32 {
    let process = scratch.sample.process;
    scratch.hash.push_process(&process);
    scratch.sample.shape.python_walked = 1;
    scratch.python.started = 1;
    scratch.python.anchor = 0;
    scratch.python.cframe = 0;
    scratch.python.cursor = 0;
    scratch.python.probe = 0;
    scratch.python.beyond = 0;
    scratch.frames.len = 0;
    scratch.frames.alone = 0;
    let state = thread_state(scratch, offsets);
    if state == 0 {
        return PythonEnd::NoThreadState as u32;
    }
    scratch.python.state = state;
    if !user_bytes(state, &mut scratch.object, TSTATE_BYTES as u32) {
        return PythonEnd::Unreadable as u32;
    }
    // pthread_self() is the thread pointer, in glibc and in musl.
    let owner = word(&scratch.object, offsets.tstate_thread_id);
    if owner != scratch.thread_pointer {
        return PythonEnd::BadChain as u32;
    }
    let first = word(&scratch.object, offsets.tstate_frame);
    match offsets.chain {
        chain::CFRAME_ENTRY | chain::CFRAME_SHIM => {
            scratch.python.cframe = first;
            match user_u64(first.wrapping_add(offsets.cframe_current as u64)) {
                Some(frame) => scratch.python.frame = frame,
                None => return PythonEnd::Unreadable as u32,
            }
        }
        chain::FRAME_CFRAME => {
            scratch.python.cframe = word(&scratch.object, offsets.tstate_cframe);
            scratch.python.frame = first;
        }
        _ => scratch.python.frame = first,
    }
    GO_ON
}

/// Address of the running thread's `PyThreadState`; 0: none.
#[inline(always)]
fn thread_state(scratch: &Scratch, offsets: &PythonOffsets) -> u64 {
    let base = scratch
        .thread_pointer
        .wrapping_add(offsets.thread_base as i64 as u64);
    if offsets.thread == thread::STATIC_TLS {
        return user_u64(base).unwrap_or(0);
    }
    let runtime = match scratch.python.runtime {
        0 => scratch.python.base.wrapping_add(offsets.runtime),
        known => known,
    };
    // Py_tss_t: int _is_initialized, pthread_key_t _key
    let place = runtime
        .wrapping_add(offsets.key_offset as u64)
        .wrapping_sub(4);
    let Some(key) = user_u64(place) else {
        return 0;
    };
    let number = key >> 32;
    if key as u32 == 0 || number >= GLIBC_KEYS {
        return 0;
    }
    if offsets.thread == thread::GLIBC_KEY {
        user_u64(base.wrapping_add(16 * number + 8)).unwrap_or(0)
    } else {
        match user_u64(base) {
            Some(block) => user_u64(block.wrapping_add(8 * number)).unwrap_or(0),
            None => 0,
        }
    }
}

/// Puts down one frame, one anchor, or passes some native frames in search of an anchor's place.
///
/// Exported: verified once, not for every turn of the loop (see `walk_native_frame`).
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn walk_python_step() -> u32 {
    let Some(scratch) = scratch() else {
        return PythonEnd::StageLimit as u32;
    };
    match PYTHONS.get(scratch.python.index.wrapping_sub(1)) {
        Some(offsets) => one_step(scratch, offsets),
        None => PythonEnd::StageLimit as u32,
    }
}

#[inline(always)]
fn one_step(scratch: &mut Scratch, offsets: &PythonOffsets) -> u32 {
    let count = scratch.python.count as usize;
    if count >= PYTHON_ENTRIES || count >= 2 * setting!(python_depth) as usize {
        return PythonEnd::TooDeep as u32;
    }
    if scratch.python.anchor != 0 {
        find_anchor(scratch);
        return GO_ON;
    }
    let end = if scratch.python.frame != 0 {
        one_frame(scratch, offsets)
    } else if chain_of(offsets) == chain::FRAME_CFRAME {
        next_cframe(scratch, offsets)
    } else {
        PythonEnd::Root as u32
    };
    if scratch.python.anchor != 0 && end == GO_ON {
        find_anchor(scratch);
    }
    end
}

/// 3.10: the anchors follow all frames, one an activation.
#[inline(never)]
fn next_cframe(scratch: &mut Scratch, offsets: &PythonOffsets) -> u32 {
    let cframe = scratch.python.cframe;
    // The outermost one is in the thread state and not on the stack; its `previous` is never set.
    let root = cframe.wrapping_sub(scratch.python.state) < ROOT_CFRAME;
    if cframe == 0 || root || scratch.python.beyond != 0 {
        return PythonEnd::Root as u32;
    }
    let Some(previous) = user_u64(cframe.wrapping_add(offsets.cframe_previous as u64)) else {
        return PythonEnd::Unreadable as u32;
    };
    scratch.python.anchor = cframe;
    scratch.python.cframe = previous;
    GO_ON
}

#[inline(never)]
fn one_frame(scratch: &mut Scratch, offsets: &PythonOffsets) -> u32 {
    let address = scratch.python.frame;
    let mut at = address.wrapping_sub(scratch.frames.base);
    if at & 7 != 0 || at >= scratch.frames.len || at + OLD_FRAME > scratch.frames.len {
        at = read_frame(&mut scratch.frames, address, is_new(offsets));
        if at == NOT_READ {
            return restart(scratch, offsets);
        }
    }
    let frames = &scratch.frames;
    let previous = member(frames, at, offsets.frame_previous);
    if chain_of(offsets) >= chain::CFRAME_SHIM
        && byte(frames, at, offsets.frame_owner) >= OWNER_C as u64
    {
        scratch.python.anchor = address;
        scratch.python.frame = previous;
        return GO_ON;
    }
    let code = member(frames, at, offsets.frame_code) & offsets.pointer_mask;
    let stored = member(frames, at, offsets.frame_instruction);
    let is_entry = byte(frames, at, offsets.frame_is_entry) != 0;
    let serial = scratch.serial;
    let slot = &mut scratch.codes[(code >> 4 ^ code >> 10) as usize & (KNOWN_CODES - 1)];
    if slot.code != code || slot.serial != serial {
        if !user_bytes(code, &mut scratch.object, CODE_BYTES as u32) {
            return restart(scratch, offsets);
        }
        *slot = KnownCode {
            code,
            signature: code_signature(&scratch.object, offsets),
            serial,
            padding: 0,
        };
    }
    let signature = slot.signature;
    let instruction = if is_new(offsets) {
        let first = code.wrapping_add(offsets.code_instructions as u64);
        let offset = stored.wrapping_sub(first) as i64;
        if (SHORTEST_CODE..=LONGEST_CODE).contains(&offset) {
            offset as i32
        } else {
            i32::MIN
        }
    } else {
        let half = (offsets.frame_instruction as u64 & 4) * 8;
        ((stored >> half) as i32).wrapping_mul(offsets.instruction_scale as i32)
    };
    let found = PythonEntry {
        code,
        signature,
        instruction,
        kind: entry::FRAME,
    };
    scratch.python.codes = (scratch.python.codes.rotate_left(5) ^ code ^ signature)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    push(scratch, &found);
    scratch.python.frame = previous;
    if is_entry && chain_of(offsets) == chain::CFRAME_ENTRY {
        let cframe = scratch.python.cframe;
        scratch.python.anchor = cframe;
        match user_u64(cframe.wrapping_add(offsets.cframe_previous as u64)) {
            Some(previous) => scratch.python.cframe = previous,
            None => return PythonEnd::Unreadable as u32,
        }
    }
    GO_ON
}

/// A frame could not be read. In 3.11 and 3.12 an activation hangs its `CFrame` in before that
/// points at a frame; then the chain begins at the one before, once.
#[inline(never)]
fn restart(scratch: &mut Scratch, offsets: &PythonOffsets) -> u32 {
    let kind = chain_of(offsets);
    let by_cframe = kind == chain::CFRAME_ENTRY || kind == chain::CFRAME_SHIM;
    if !by_cframe || scratch.python.count != 0 || scratch.python.started != 1 {
        return PythonEnd::Unreadable as u32;
    }
    scratch.python.started = 2;
    let place = scratch
        .python
        .cframe
        .wrapping_add(offsets.cframe_previous as u64);
    let Some(cframe) = user_u64(place) else {
        return PythonEnd::Unreadable as u32;
    };
    let Some(frame) = user_u64(cframe.wrapping_add(offsets.cframe_current as u64)) else {
        return PythonEnd::Unreadable as u32;
    };
    scratch.python.cframe = cframe;
    scratch.python.frame = frame;
    GO_ON
}

/// Signature of the code object in `object`.
#[inline(always)]
pub fn code_signature(object: &[u64; 36], offsets: &PythonOffsets) -> u64 {
    signature(
        half(object, offsets.code_first_line) as i32,
        word(object, offsets.code_filename),
        word(object, offsets.code_name),
        word(object, offsets.code_qualname),
        word(object, offsets.code_linetable),
        // ob_size; before 3.11 the first of the code's own members.
        word(object, 16),
    )
}

#[inline(always)]
fn push(scratch: &mut Scratch, found: &PythonEntry) {
    let count = scratch.python.count;
    scratch.python_section.frames[count as usize & (PYTHON_ENTRIES - 1)] = *found;
    scratch.hash.push_python(found);
    scratch.python.count = count + 1;
}

/// Looks for the native frame in whose stretch of the stack the anchor lies. Anchors come
/// innermost first, as native frames do.
#[inline(never)]
fn find_anchor(scratch: &mut Scratch) {
    let anchor = scratch.python.anchor;
    let native = scratch.sample.shape.native as u32;
    let mut probe = scratch.python.probe;
    let mut found = ANCHOR_NOWHERE;
    let mut over = false;
    for _ in 0..PROBES {
        if probe >= native {
            over = true;
            break;
        }
        let top = scratch.cfa[probe as usize & (NATIVE_FRAMES - 1)];
        let bottom = if probe == 0 {
            scratch.registers_sp()
        } else {
            scratch.cfa[(probe - 1) as usize & (NATIVE_FRAMES - 1)]
        };
        if anchor >= bottom && anchor < top {
            found = probe as i32;
            over = true;
            break;
        }
        probe += 1;
    }
    scratch.python.probe = probe;
    if !over {
        return;
    }
    if found >= 0 {
        scratch.python.cursor = probe;
    } else if scratch.sample.shape.native_end != NativeEnd::Root as u8 {
        // Beyond what the native walk reached, and so are all further out: 3.10, which lists the
        // anchors by themselves, need not go on.
        scratch.python.beyond = 1;
    }
    scratch.python.probe = scratch.python.cursor;
    scratch.python.anchor = 0;
    push(
        scratch,
        &PythonEntry {
            code: 0,
            signature: 0,
            instruction: found,
            kind: entry::ANCHOR,
        },
    );
}

/// Reads afresh each time: a value kept in a register splits the verifier's work at every
/// comparison, and it multiplies over the frames.
#[inline(always)]
fn chain_of(offsets: &PythonOffsets) -> u8 {
    crate::maps::load(&raw const offsets.chain)
}

/// Whether frames are `_PyInterpreterFrame`s in chunks (3.11 and later).
#[inline(always)]
fn is_new(offsets: &PythonOffsets) -> bool {
    chain_of(offsets) >= chain::CFRAME_ENTRY
}

const NOT_READ: u64 = u64::MAX;

/// Brings a frame into the window; its byte offset there.
#[inline(never)]
fn read_frame(window: &mut FrameWindow, address: u64, new: bool) -> u64 {
    if address & 7 != 0 {
        return NOT_READ;
    }
    let size = if new { NEW_FRAME } else { OLD_FRAME };
    let ahead = address.wrapping_sub(window.base);
    if ahead < window.len && ahead + size <= window.len {
        return ahead;
    }
    if new {
        // Callers' frames lie below, in the same chunk: take the page up to this frame.
        let below = window.base.wrapping_sub(address);
        let after = window.alone.wrapping_sub(address);
        if window.len == 0 || below <= WINDOW as u64 || after.wrapping_sub(1) < WINDOW as u64 {
            let base = address & !(WINDOW as u64 - 1);
            let len = (address & (WINDOW as u64 - 1)) + NEW_FRAME;
            window.base = base;
            window.len = len;
            window.alone = 0;
            if user_bytes(base, &mut window.words, len as u32 & 0x1fff) {
                return address - base;
            }
            window.len = 0;
        }
    }
    window.alone = address;
    let room = &mut window.words[ALONE as usize / 8];
    let read = if new {
        user_bytes(address, room, NEW_FRAME as u32)
    } else {
        user_bytes(address, room, OLD_FRAME as u32)
    };
    if read { ALONE } else { NOT_READ }
}

#[inline(always)]
fn member(window: &FrameWindow, at: u64, offset: u16) -> u64 {
    window.words[((at + offset as u64) >> 3) as usize & (FRAME_WORDS - 1)]
}

#[inline(always)]
fn byte(window: &FrameWindow, at: u64, offset: u16) -> u64 {
    (member(window, at, offset) >> ((offset as u64 & 7) * 8)) & 0xff
}

/// A member of an object that was read, 8 bytes.
#[inline(always)]
pub fn word(object: &[u64; 36], offset: u16) -> u64 {
    object[(offset as usize >> 3) & 31]
}

/// A member of 4 bytes.
#[inline(always)]
pub fn half(object: &[u64; 36], offset: u16) -> u32 {
    (word(object, offset) >> ((offset as u64 & 4) * 8)) as u32
}
