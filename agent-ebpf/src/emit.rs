//! Sends what was walked: a short sample record, and the stack's body while it is new.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::generated::bpf_ringbuf_output;

use agent_common::counter::Counter;
use agent_common::hash::Hasher;
use agent_common::record::{Header, Sample, Stack, VERSION, kind, section};
use agent_common::stack::{KERNEL_FRAMES, NATIVE_FRAMES, NativeFrame, PYTHON_ENTRIES, PythonEntry};

use crate::maps::{EVENTS, SENT, STACKS_SENT, count, epoch};
use crate::memory::hide;
use crate::scratch::{Scratch, scratch};
use crate::{lifecycle, setting, stages};

pub fn stage<C: EbpfContext>(ctx: &C) -> u32 {
    let Some(scratch) = scratch() else {
        return 0;
    };
    if scratch.announce != 0 {
        lifecycle::announce_file(scratch);
    }
    let shape = scratch.sample.shape;
    let stack = scratch.hash.finish(&shape);
    scratch.sample.stack = stack;
    send_sample(scratch);
    if is_sent(stack) {
        return 0;
    }
    if !send_body(scratch) {
        count(Counter::StackRetry);
        return 0;
    }
    count(Counter::Stacks);
    if shape.python != 0 && !is_sent(code_list(scratch)) {
        // A stack of more entries than the stage's runs can look at is not marked as sent; each of
        // its samples begins elsewhere, so that all of them get their turn.
        scratch.code_first = (scratch.sample.time >> 10) as u32 & (PYTHON_ENTRIES as u32 - 1);
        scratch.code_next = 0;
        scratch.code_failed = 0;
        stages::enter(ctx, stages::CODES);
        // Not entered: the stack stays unmarked and its code objects come with the next sample.
        return 0;
    }
    mark_sent(stack);
    0
}

/// Records are read on a timer: a wakeup costs more than the whole walk. Only a ring that fills up
/// wakes the agent.
#[inline(always)]
pub fn wakeup() -> u64 {
    if EVENTS.query(BPF_RB_AVAIL_DATA as u64) > setting!(wakeup_bytes) as u64 {
        BPF_RB_FORCE_WAKEUP as u64
    } else {
        BPF_RB_NO_WAKEUP as u64
    }
}

#[inline(always)]
fn send_sample(scratch: &Scratch) {
    let Some(mut entry) = EVENTS.reserve::<Sample>(0) else {
        count(Counter::LostSample);
        return;
    };
    // SAFETY: the reservation has room for a sample.
    unsafe { *entry.as_mut_ptr() = scratch.sample };
    entry.submit(wakeup());
    count(Counter::Samples);
}

#[inline(always)]
fn mark(stack: u64) -> u64 {
    stack ^ (epoch() << 1)
}

#[inline(always)]
fn is_sent(stack: u64) -> bool {
    match STACKS_SENT.get(stack as u32 >> 1 & (SENT - 1)) {
        Some(sent) => *sent == mark(stack),
        None => false,
    }
}

/// An id for the code objects of the sample, whatever they are executing: most new stacks differ
/// from older ones in lines alone.
#[inline(always)]
pub fn code_list(scratch: &Scratch) -> u64 {
    let process = &scratch.sample.process;
    let mut hash = Hasher::new(setting!(seed));
    hash.push(scratch.python.codes, process.start);
    hash.push(
        (process.exec as u64) << 32 | process.pid as u64,
        scratch.python.count as u64,
    );
    hash.finish()
}

#[inline(always)]
pub fn mark_sent(stack: u64) {
    if let Some(sent) = STACKS_SENT.get_ptr_mut(stack as u32 >> 1 & (SENT - 1)) {
        // SAFETY: a slot of an array.
        unsafe { *sent = mark(stack) };
    }
}

#[inline(always)]
pub fn header(scratch: &Scratch, kind: u16, section: u16, count: u16, bytes: u64) -> Stack {
    Stack {
        header: Header {
            kind,
            version: VERSION,
            size: size_of::<Stack>() as u32 + bytes as u32,
        },
        stack: scratch.sample.stack,
        process: scratch.sample.process,
        shape: scratch.sample.shape,
        section,
        first: 0,
        count,
        padding: 0,
    }
}

/// Writes the stack's sections; false: one found no room.
#[inline(always)]
fn send_body(scratch: &mut Scratch) -> bool {
    let shape = scratch.sample.shape;
    let kernel = shape.kernel as u64;
    if kernel != 0 && kernel <= KERNEL_FRAMES as u64 {
        scratch.kernel_section.header = header(
            scratch,
            kind::STACK,
            section::KERNEL,
            kernel as u16,
            kernel * 8,
        );
        if !output(
            &mut scratch.kernel_section,
            kernel * 8,
            KERNEL_FRAMES as u64 * 8,
        ) {
            return false;
        }
    }
    let native = shape.native as u64;
    let size = size_of::<NativeFrame>() as u64;
    if native != 0 && native <= NATIVE_FRAMES as u64 {
        scratch.native_section.header = header(
            scratch,
            kind::STACK,
            section::NATIVE,
            native as u16,
            native * size,
        );
        if !output(
            &mut scratch.native_section,
            native * size,
            NATIVE_FRAMES as u64 * size,
        ) {
            return false;
        }
    }
    let python = shape.python as u64;
    let size = size_of::<PythonEntry>() as u64;
    if python != 0 && python <= PYTHON_ENTRIES as u64 {
        scratch.python_section.header = header(
            scratch,
            kind::STACK,
            section::PYTHON,
            python as u16,
            python * size,
        );
        if !output(
            &mut scratch.python_section,
            python * size,
            PYTHON_ENTRIES as u64 * size,
        ) {
            return false;
        }
    }
    true
}

/// Sends a section: its head and `bytes` of frames, at most `most`.
#[inline(always)]
fn output<T>(section: &mut T, bytes: u64, most: u64) -> bool {
    let size = hide(size_of::<Stack>() as u64 + bytes);
    if size > size_of::<Stack>() as u64 + most {
        return false;
    }
    let events = (&raw const EVENTS).cast_mut().cast();
    // SAFETY: the section holds its head and `most` bytes of frames.
    unsafe {
        bpf_ringbuf_output(
            events,
            (&raw mut *section).cast(),
            size,
            BPF_RB_NO_WAKEUP as u64,
        ) == 0
    }
}
