//! The kernel side of Strata: entry points only. One file a concept beside this one.
//!
//! Minimum kernel: 5.10. Nothing here needs kprobes, fentry or a syscall tracepoint.
#![no_std]
#![no_main]
// Inline assembly on this target is not stable yet; the compiler is pinned.
#![feature(asm_experimental_arch)]

mod codes;
mod defer;
mod emit;
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

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // Nothing that can panic is reachable: the verifier refuses an endless loop.
    loop {}
}

/// SHA-256 over the sources, put in by `cargo xtask ebpf` and compared by its `--check`.
#[unsafe(link_section = ".strata.source_hash")]
#[used]
static SOURCE_HASH: [u8; 64] = source_hash();

const fn source_hash() -> [u8; 64] {
    match option_env!("STRATA_SOURCE_HASH") {
        Some(hash) => match hash.as_bytes().first_chunk::<64>() {
            Some(bytes) => *bytes,
            None => [b'0'; 64],
        },
        None => [b'0'; 64],
    }
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
