//! Samples that came before the rows of their code: registers and a slice of the stack travel, and
//! the agent unwinds them as soon as it has read the file. Nothing is thrown away in between.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::generated::{bpf_probe_read_user, bpf_ringbuf_output};

use agent_common::counter::Counter;
use agent_common::record::{DEFERRED_BYTES, Deferred, kind, section};
use agent_common::stack::KERNEL_FRAMES;

use crate::maps::{EVENTS, count};
use crate::memory::hide;
use crate::scratch::scratch;
use crate::{emit, lifecycle, setting, stages};

const PAGE: u64 = 4096;
const PAGES: u64 = DEFERRED_BYTES as u64 / PAGE;

pub fn stage<C: EbpfContext>(ctx: &C) -> u32 {
    let Some(scratch) = scratch() else {
        return 0;
    };
    if EVENTS.query(BPF_RB_AVAIL_DATA as u64) > 2 * setting!(wakeup_bytes) as u64 {
        // The agent does not keep up: these records would leave no room for others. The sample is
        // kept as far as it was walked.
        stages::enter(ctx, stages::EMIT);
        return 0;
    }
    lifecycle::announce_file(scratch);
    let shape = scratch.sample.shape;
    // The kernel's part travels as a stack of its own, found again by the sample's time.
    let kernel = shape.kernel as u64;
    scratch.sample.shape.native = 0;
    scratch.sample.stack = scratch.sample.time | 1;
    if kernel != 0 && kernel <= KERNEL_FRAMES as u64 {
        let bytes = kernel * 8;
        scratch.kernel_section.header = emit::header(
            scratch,
            kind::DEFERRED_KERNEL,
            section::KERNEL,
            kernel as u16,
            bytes,
        );
        let size = size_of::<agent_common::record::Stack>() as u64 + bytes;
        let events = (&raw const EVENTS).cast_mut().cast();
        // SAFETY: the section holds its head and KERNEL_FRAMES frames.
        let failed = unsafe {
            bpf_ringbuf_output(
                events,
                (&raw mut scratch.kernel_section).cast(),
                size,
                BPF_RB_NO_WAKEUP as u64,
            )
        };
        if failed != 0 {
            scratch.sample.shape.kernel = 0;
        }
    }
    let sp = scratch.registers_sp();
    let mut stored = 0u64;
    let room = scratch.deferred.stack.as_mut_ptr();
    // To the end of the first page, then page by page: one that is absent ends the slice.
    for _ in 0..PAGES {
        let from = sp.wrapping_add(stored);
        let left = PAGE - (from & (PAGE - 1));
        let at = hide(stored);
        if at > (PAGES - 1) * PAGE || left > PAGE {
            break;
        }
        // SAFETY: at most PAGE bytes at most (PAGES - 1) * PAGE bytes in.
        let failed = unsafe {
            bpf_probe_read_user(room.add(at as usize).cast(), left as u32, from as *const _)
        };
        if failed != 0 {
            break;
        }
        stored = at + left;
    }
    let stored = hide(stored);
    if stored > DEFERRED_BYTES as u64 {
        return 0;
    }
    let size = size_of::<Deferred>() as u64 + stored;
    scratch.sample.header.kind = kind::DEFERRED;
    scratch.sample.header.size = size as u32;
    scratch.deferred.head = Deferred {
        sample: scratch.sample,
        pc: scratch.registers_pc(),
        sp,
        fp: scratch.registers_fp(),
        stored: stored as u32,
        padding: 0,
        registers: scratch.registers,
    };
    let events = (&raw const EVENTS).cast_mut().cast();
    // SAFETY: the record is at least as long.
    let failed = unsafe {
        bpf_ringbuf_output(
            events,
            (&raw mut scratch.deferred).cast(),
            size,
            BPF_RB_FORCE_WAKEUP as u64,
        )
    };
    if failed != 0 {
        count(Counter::LostSample);
    } else {
        count(Counter::Deferred);
    }
    0
}
