//! First stage: who is running, is it wanted, where was it interrupted.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::{
    bpf_get_current_pid_tgid, bpf_get_prandom_u32, bpf_get_smp_processor_id, bpf_get_stack,
    bpf_ktime_get_ns,
};

use agent_common::counter::Counter;
use agent_common::cut::NativeEnd;
use agent_common::filter::{FILTER_CGROUPS, FILTER_PIDS, FILTER_POLICY, NS_PER_TICK, TAKE_ALL};
use agent_common::process::ProcessId;
use agent_common::record::{Header, Sample, VERSION, kind};
use agent_common::stack::{KERNEL_FRAMES, StackHash, StackShape};

use crate::maps::{PIDS, PROCESS_ENTRIES, count};
use crate::scratch::{Scratch, scratch};
use crate::task::{self, User};
use crate::{kernel, lifecycle, setting, space, stages};

/// Takes a sample of the running task.
#[inline(always)]
pub fn sample<C: EbpfContext>(ctx: &C, interrupted_kernel: bool) -> u32 {
    count(Counter::Entries);
    // SAFETY: no preconditions.
    let ids = unsafe { bpf_get_current_pid_tgid() };
    let pid = (ids >> 32) as u32;
    if ids == 0 {
        count(Counter::Idle);
        return 0;
    }
    if pid == setting!(own_pid) {
        count(Counter::Own);
        return 0;
    }
    let filter = setting!(filter);
    let wanted = if filter & FILTER_PIDS != 0 {
        match PIDS.get_ptr(&pid) {
            // SAFETY: a value of the map.
            Some(wanted) => Some(unsafe { *wanted }),
            None => {
                count(Counter::OtherProcess);
                return 0;
            }
        }
    } else {
        None
    };
    let task = task::current();
    let process = task::process(task, pid);
    if let Some(wanted) = wanted
        && (wanted.start != process.start / NS_PER_TICK || process.exec < wanted.exec)
    {
        count(Counter::OtherProcess);
        return 0;
    }
    if filter & FILTER_CGROUPS != 0 && task::in_cgroups(task) == 0 {
        count(Counter::OtherCgroup);
        return 0;
    }
    let mut value = setting!(value);
    if filter & FILTER_POLICY != 0 {
        match chosen(task) {
            Some(stands_for) => value = stands_for,
            None => return 0,
        }
    }
    count(Counter::Accepted);
    count_process(&process);

    let Some(scratch) = scratch() else {
        count(Counter::LostStage);
        return 0;
    };
    begin(scratch, task, process, ids as u32, value);
    lifecycle::announce_thread(scratch, task);
    if interrupted_kernel {
        kernel_stack(ctx, scratch);
    }
    user_stack(ctx, scratch, task);
    // Only reached where a stage could not be entered.
    count(Counter::LostStage);
    0
}

/// Whether the task's cgroup wants this sample; if so, how many ns it stands for.
#[inline(always)]
fn chosen(task: *const u8) -> Option<u64> {
    let policy = task::policy(task);
    if policy.is_null() {
        count(Counter::Undecided);
        return None;
    }
    // SAFETY: a value of the map.
    let policy = unsafe { *policy };
    if policy.take == 0 {
        count(Counter::NotChosen);
        return None;
    }
    // SAFETY: no preconditions.
    if policy.take != TAKE_ALL && unsafe { bpf_get_prandom_u32() } >= policy.take {
        count(Counter::Thinned);
        return None;
    }
    Some(policy.value)
}

#[inline(always)]
fn count_process(process: &ProcessId) {
    match PROCESS_ENTRIES.get_ptr_mut(process) {
        // SAFETY: this CPU's value of the map; perf_event programs don't nest on a CPU.
        Some(entries) => unsafe { *entries += 1 },
        None => {
            if PROCESS_ENTRIES.insert(process, 1u64, 0).is_err() {
                count(Counter::ProcessTableFull);
            }
        }
    }
}

#[inline(always)]
fn begin(scratch: &mut Scratch, task: *const u8, process: ProcessId, thread: u32, value: u64) {
    scratch.hash = StackHash::new(setting!(seed));
    // SAFETY: no preconditions.
    let (time, cpu) = unsafe { (bpf_ktime_get_ns(), bpf_get_smp_processor_id()) };
    scratch.sample = Sample {
        header: Header {
            kind: kind::SAMPLE,
            version: VERSION,
            size: size_of::<Sample>() as u32,
        },
        time,
        stack: 0,
        context: 0,
        process,
        thread,
        cpu,
        value,
        weight: 1,
        event: setting!(event),
        shape: StackShape::default(),
    };
    scratch.mm = task::member_u64(task, kernel!(task_mm));
    scratch.thread_pointer = task::member_u64(task, kernel!(task_thread_pointer));
    space::begin(scratch, task);
    scratch.announce = 0;
    scratch.by_pointer = 0;
    scratch.stages = 0;
    scratch.python_pending = 0;
    scratch.stack.len = 0;
    scratch.frames.len = 0;
    scratch.python.index = 0;
    scratch.python.runtime = 0;
    scratch.python.started = 0;
    scratch.python.count = 0;
    scratch.python.codes = 0;
}

/// The kernel's part of the stack. Dear (0.2 µs a frame), so only where the kernel was running.
#[inline(always)]
fn kernel_stack<C: EbpfContext>(ctx: &C, scratch: &mut Scratch) {
    let room = (KERNEL_FRAMES * 8) as u32;
    let frames = scratch.kernel_section.frames.as_mut_ptr();
    // SAFETY: `frames` has room for that many bytes.
    let bytes = unsafe { bpf_get_stack(ctx.as_ptr(), frames.cast(), room, 0) };
    if bytes <= 0 {
        return;
    }
    let count = (bytes as u64 >> 3) as usize;
    for index in 0..KERNEL_FRAMES {
        if index >= count {
            break;
        }
        scratch
            .hash
            .push_kernel(scratch.kernel_section.frames[index & 127]);
    }
    scratch.sample.shape.kernel = count as u16;
}

#[inline(always)]
fn user_stack<C: EbpfContext>(ctx: &C, scratch: &mut Scratch, task: *const u8) {
    let end = if scratch.mm == 0 {
        NativeEnd::KernelThread
    } else {
        match task::load_registers(scratch, task) {
            User::Ready => {
                stages::enter(ctx, stages::NATIVE);
                return;
            }
            User::ThirtyTwoBit => NativeEnd::ThirtyTwoBit,
            User::Unreadable => NativeEnd::StackUnreadable,
        }
    };
    scratch.sample.shape.native_end = end as u8;
    stages::enter(ctx, stages::EMIT);
}
