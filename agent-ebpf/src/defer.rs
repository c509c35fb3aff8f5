//! Samples that came before the rows of their code: registers and a slice of the stack travel, and
//! the agent unwinds them as soon as it has read the file. Nothing is thrown away in between.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::generated::{bpf_probe_read_user, bpf_ringbuf_output};

use agent_common::counter::Counter;
use agent_common::record::{DEFERRED_BYTES, Deferred, kind, section};
use agent_common::stack::KERNEL_FRAMES;

use crate::maps::{EVENTS, count};
use crate::scratch::scratch;
use crate::{emit, lifecycle, setting, stages};

const PAGE: u64 = 4096;
const PAGES: u64 = DEFERRED_BYTES as u64 / PAGE;

#[repr(C)]
struct Record {
    head: Deferred,
    stack: [u8; DEFERRED_BYTES],
}

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
    let Some(mut entry) = EVENTS.reserve::<Record>(0) else {
        count(Counter::LostSample);
        return 0;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the reservation has room for the record; each member is written in place.
    unsafe {
        let head = &raw mut (*record).head;
        (*head).sample = scratch.sample;
        (*head).sample.header.kind = kind::DEFERRED;
        (*head).sample.header.size = size_of::<Record>() as u32;
        (*head).pc = scratch.registers_pc();
        (*head).sp = scratch.registers_sp();
        (*head).fp = scratch.registers_fp();
        (*head).padding = 0;
        (*head).registers = scratch.registers;
        let sp = scratch.registers_sp();
        let room = (&raw mut (*record).stack).cast::<u8>();
        let mut stored = 0u64;
        // To the end of the first page, then page by page: one that is absent ends the slice.
        for page in 0..PAGES {
            let from = sp + stored;
            let left = PAGE - (from & (PAGE - 1));
            if stored > (PAGES - 1) * PAGE || left > PAGE {
                break;
            }
            let into = room.add(stored as usize);
            if bpf_probe_read_user(into.cast(), left as u32, from as *const _) != 0 {
                break;
            }
            stored += left;
            let _ = page;
        }
        (*head).stored = stored as u32;
    }
    entry.submit(BPF_RB_FORCE_WAKEUP as u64);
    count(Counter::Deferred);
    0
}
