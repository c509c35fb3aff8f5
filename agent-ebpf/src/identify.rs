//! The kernel side's identity of a file that the agent itself has mapped.
//!
//! On overlay file systems the inode behind a mapping is not the one that `stat` and
//! `/proc/PID/maps` tell of. The agent runs this program in its own context
//! (`BPF_PROG_TEST_RUN` of a raw tracepoint program: 5.10+) and need not wait for a sample.

use aya_ebpf::EbpfContext;
use aya_ebpf::programs::RawTracePointContext;

use crate::maps::{IDENTIFIED, SCRATCH};
use crate::space::read_file_id;
use crate::{kernel, setting, task};

/// Argument 0: an address in the running process.
#[inline(always)]
pub fn identify(ctx: &RawTracePointContext) -> i32 {
    // SAFETY: the agent passes arguments.
    let address = unsafe { *ctx.as_ptr().cast::<u64>() };
    let Some(scratch) = SCRATCH.get_ptr_mut(setting!(identify_slot)) else {
        return 0;
    };
    // SAFETY: this entry is used by nothing else, and the agent asks one question at a time.
    let scratch = unsafe { &mut *scratch };
    scratch.mm = task::member_u64(task::current(), kernel!(task_mm));
    let Some(answer) = IDENTIFIED.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: an entry of an array.
    let answer = unsafe { &mut *answer };
    // The last answer may be of another file at the same address.
    answer.avma = 0;
    if read_file_id(scratch, address) {
        answer.file = scratch.unknown.id;
        answer.avma = address;
    }
    0
}
