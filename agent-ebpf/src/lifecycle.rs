//! Threads and files that come into sight, and forks.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::generated::{bpf_get_current_pid_tgid, bpf_probe_read_kernel};
use aya_ebpf::programs::RawTracePointContext;

use agent_common::counter::Counter;
use agent_common::filter::{FILTER_CHILDREN, NS_PER_TICK, PidFilter};
use agent_common::hash::Hasher;
use agent_common::record::{Announcement, CGROUP_NAMES, CgroupName, Header, Thread, VERSION, kind};

use crate::maps::{ANNOUNCED, ANNOUNCED_SLOTS, EVENTS, PIDS, SENT, THREADS_SENT, count, epoch};
use crate::memory::{kernel_bytes, kernel_u32, kernel_u64};
use crate::scratch::Scratch;
use crate::{kernel, setting, task};

/// Sends the names of a thread and its process once.
#[inline(always)]
pub fn announce_thread(scratch: &Scratch, task: *const u8) {
    let process = scratch.sample.process;
    let thread = scratch.sample.thread;
    let mut hash = Hasher::new(epoch());
    hash.push(
        process.start,
        (process.exec as u64) << 32 | process.pid as u64,
    );
    hash.push(thread as u64, 0);
    let id = hash.finish();
    let Some(sent) = THREADS_SENT.get_ptr_mut(id as u32 & (SENT - 1)) else {
        return;
    };
    // SAFETY: a slot of an array.
    if unsafe { *sent } == id {
        return;
    }
    let Some(mut entry) = EVENTS.reserve::<Thread>(0) else {
        return;
    };
    let record = entry.as_mut_ptr();
    let leader = task::member_u64(task, kernel!(task_group_leader));
    // SAFETY: the reservation has room for the record, the arrays for 16 bytes (TASK_COMM_LEN).
    unsafe {
        *record = Thread {
            header: Header {
                kind: kind::THREAD,
                version: VERSION,
                size: size_of::<Thread>() as u32,
            },
            process,
            thread,
            cgroup_levels: 0,
            name: [0; 16],
            process_name: [0; 16],
            cgroups: [CgroupName { text: [0; 96] }; CGROUP_NAMES],
        };
        let comm = kernel!(task_comm) as u64;
        let own = (&raw mut (*record).name).cast();
        let leaders = (&raw mut (*record).process_name).cast();
        bpf_probe_read_kernel(own, 16, (task as u64 + comm) as *const _);
        bpf_probe_read_kernel(leaders, 16, (leader + comm) as *const _);
        (*record).cgroup_levels = task::read_cgroup_names(task, &mut (*record).cgroups);
    }
    entry.submit(BPF_RB_NO_WAKEUP as u64);
    // SAFETY: as above.
    unsafe { *sent = id };
    count(Counter::Processes);
}

/// The same file is announced at most this often (ns), until the agent has described it.
const ANNOUNCE_INTERVAL: u64 = 20_000_000;

/// Tells the agent of a file that it has to look at, with the mapping through which to open it.
#[inline(always)]
pub fn announce_file(scratch: &Scratch) {
    let unknown = &scratch.unknown;
    let process = &scratch.sample.process;
    let mut hash = Hasher::new(process.start);
    hash.push(unknown.announced.inode, unknown.announced.device);
    hash.push(unknown.announced.change_seconds as u64, process.pid as u64);
    let slot = hash.finish() as u32 >> 1 & (ANNOUNCED_SLOTS - 1);
    let Some(last) = ANNOUNCED.get_ptr_mut(slot) else {
        return;
    };
    let now = scratch.sample.time;
    // SAFETY: a slot of an array; a race with another CPU announces twice.
    unsafe {
        if *last != 0 && now.wrapping_sub(*last) < ANNOUNCE_INTERVAL {
            return;
        }
    }
    let Some(mut entry) = EVENTS.reserve::<Announcement>(0) else {
        return;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the reservation has room for the record; each member is written in place.
    unsafe {
        (*record).header = Header {
            kind: kind::EXECUTABLE,
            version: VERSION,
            size: size_of::<Announcement>() as u32,
        };
        (*record).process = scratch.sample.process;
        (*record).file = unknown.announced;
        (*record).start = unknown.start;
        (*record).end = unknown.end;
        (*record).offset = unknown.offset;
        let dentry = kernel_u64(unknown.file + kernel!(file_dentry) as u64).unwrap_or(0);
        let name = kernel_u64(dentry + kernel!(dentry_name) as u64).unwrap_or(0);
        if !kernel_bytes(name, &mut (*record).name, 64) {
            (*record).name[0] = 0;
        }
        *last = now;
    }
    entry.submit(BPF_RB_FORCE_WAKEUP as u64);
    count(Counter::Announced);
}

/// `sched_process_fork(parent, child)`: the child of a sampled process is sampled too.
#[inline(always)]
pub fn fork(ctx: &RawTracePointContext) -> i32 {
    if setting!(filter) & FILTER_CHILDREN == 0 {
        return 0;
    }
    // SAFETY: no preconditions.
    let parent = (unsafe { bpf_get_current_pid_tgid() } >> 32) as u32;
    let Some(wanted) = PIDS.get_ptr(&parent) else {
        return 0;
    };
    // SAFETY: a value of the map.
    let wanted = unsafe { *wanted };
    // SAFETY: the tracepoint has two arguments.
    let child = unsafe { *ctx.as_ptr().cast::<u64>().add(1) };
    let Some(pid) = kernel_u32(child + kernel!(task_tgid) as u64) else {
        return 0;
    };
    if pid == parent {
        // A thread.
        return 0;
    }
    let start = kernel_u64(child + kernel!(task_start_boottime) as u64).unwrap_or(0);
    let filter = PidFilter {
        start: start / NS_PER_TICK,
        exec: wanted.exec,
        padding: 0,
    };
    let _ = PIDS.insert(&pid, filter, 0);
    0
}
