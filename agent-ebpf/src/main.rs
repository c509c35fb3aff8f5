//! The kernel side of Strata: entry points only. One file a concept beside this one.
//!
//! Minimum kernel: 5.10. Nothing here needs kprobes, fentry or a syscall tracepoint.
#![no_std]
#![no_main]
// Inline assembly on this target is not stable yet; the compiler is pinned.
#![feature(asm_experimental_arch)]
#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "a key passed by value is copied to the stack, byte by byte"
)]

mod codes;
mod defer;
mod emit;
mod identify;
mod lifecycle;
mod maps;
mod memory;
mod native;
mod python;
mod sample;
mod scratch;
mod space;
mod stages;
mod task;
mod tree;

use aya_ebpf::macros::{perf_event, raw_tracepoint};
use aya_ebpf::programs::{PerfEventContext, RawTracePointContext};

/// The clock or the counter of a CPU fired.
#[perf_event]
pub fn on_sample(ctx: PerfEventContext) -> u32 {
    sample::sample(&ctx, task::interrupted_kernel(&ctx))
}

#[perf_event]
pub fn on_sample_native(ctx: PerfEventContext) -> u32 {
    native::stage(&ctx)
}

#[perf_event]
pub fn on_sample_python(ctx: PerfEventContext) -> u32 {
    python::stage(&ctx)
}

#[perf_event]
pub fn on_sample_emit(ctx: PerfEventContext) -> u32 {
    emit::stage(&ctx)
}

#[perf_event]
pub fn on_sample_codes(ctx: PerfEventContext) -> u32 {
    codes::stage(&ctx)
}

#[perf_event]
pub fn on_sample_defer(ctx: PerfEventContext) -> u32 {
    defer::stage(&ctx)
}

/// A process forked: its child joins the pid filter where children are wanted.
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn on_fork(ctx: RawTracePointContext) -> i32 {
    lifecycle::fork(&ctx)
}

/// Run by the agent, never attached: which file is at an address of its own?
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn identify_file(ctx: RawTracePointContext) -> i32 {
    identify::identify(&ctx)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // Nothing that can panic is reachable: the verifier refuses an endless loop.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
