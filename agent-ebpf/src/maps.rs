//! Maps and read-only globals. Sizes that depend on the machine are set by the agent at load.

use aya_ebpf::btf_maps::{self, ArrayOfMaps};
use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, PerCpuHashMap, ProgramArray, RingBuf};

use agent_common::counter::{COUNTERS as COUNTER_SLOTS, Counter};
use agent_common::executable::{Executable, FileId, Identified};
use agent_common::filter::{CgroupPolicy, PidFilter};
use agent_common::kernel::{Control, KernelOffsets, Settings};
use agent_common::process::ProcessId;
use agent_common::python::{PYTHONS as PYTHON_SLOTS, ProcessPython, PythonOffsets};
use agent_common::row::{RULES as RULE_SLOTS, SHARD_CELLS, SHARD_SHIFT, SHARDS};
use agent_common::step::Rule;

use crate::scratch::Scratch;

/// Field offsets of the running kernel. Frozen before the program loads, so the verifier knows
/// each value and drops the branches for other kernels.
#[unsafe(no_mangle)]
pub static KERNEL: KernelOffsets = ZERO_KERNEL;
#[unsafe(no_mangle)]
pub static SETTINGS: Settings = ZERO_SETTINGS;

// SAFETY: both are plain integers, for which zero is a value.
const ZERO_KERNEL: KernelOffsets = unsafe { core::mem::zeroed() };
// SAFETY: as above.
const ZERO_SETTINGS: Settings = unsafe { core::mem::zeroed() };

/// A member of [`KERNEL`], read so that the compiler does not take it for zero.
#[macro_export]
macro_rules! kernel {
    ($field:ident) => {
        $crate::maps::load(&raw const $crate::maps::KERNEL.$field)
    };
}

/// A member of [`SETTINGS`], likewise.
#[macro_export]
macro_rules! setting {
    ($field:ident) => {
        $crate::maps::load(&raw const $crate::maps::SETTINGS.$field)
    };
}

/// Reads a member of a read-only global. Volatile, since the agent fills them in before load.
#[inline(always)]
pub fn load<T: Copy>(member: *const T) -> T {
    // SAFETY: only called by the macros above, with members of statics of plain integers.
    unsafe { core::ptr::read_volatile(member) }
}

/// Records to the agent (ring buffer: 5.8+). The agent sets its size.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 22, 0);

#[map]
pub static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(COUNTER_SLOTS, 0);

/// Working memory, one entry a CPU and one for `identify`. A plain array, since values of per-CPU
/// maps end at 32 KiB.
#[map]
pub static SCRATCH: Array<Scratch> = Array::with_max_entries(1, 0);

/// Stages of the unwinder. They can't be shared with programs of another type.
#[map]
pub static STAGES: ProgramArray = ProgramArray::with_max_entries(8, 0);

#[map]
pub static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

#[map]
pub static EXECUTABLES: HashMap<FileId, Executable> = HashMap::with_max_entries(8192, 0);

/// Answer of the `identify` program.
#[map]
pub static IDENTIFIED: Array<Identified> = Array::with_max_entries(1, 0);

/// The vDSO's table.
#[map]
pub static VDSO: Array<Executable> = Array::with_max_entries(1, 0);

/// Page indices and rows in shards that the agent makes as it needs them. Plain `u64` values: an
/// inner map made without BTF is the same to kernels up to 6.1 only if its template's value is no
/// struct.
#[btf_map]
pub static TABLE: ArrayOfMaps<
    btf_maps::Array<u64, { SHARD_CELLS as usize / 2 }, BPF_F_MMAPABLE>,
    { SHARDS as usize },
> = ArrayOfMaps::new();

const BPF_F_MMAPABLE: usize = 1 << 10;

#[map]
pub static RULES: Array<Rule> = Array::with_max_entries(RULE_SLOTS, 0);

#[map]
pub static PYTHONS: Array<PythonOffsets> = Array::with_max_entries(PYTHON_SLOTS, 0);

#[map]
pub static PROCESS_PYTHON: HashMap<ProcessId, ProcessPython> = HashMap::with_max_entries(8192, 0);

/// Thread group ids that are sampled.
#[map]
pub static PIDS: HashMap<u32, PidFilter> = HashMap::with_max_entries(16_384, 0);

/// Kernfs ids of cgroups that are sampled, with all below them.
#[map]
pub static CGROUPS: HashMap<u64, u32> = HashMap::with_max_entries(1024, 0);

/// Policies by the cgroup's kernfs id, and one under `NO_CGROUP`. The agent sets its size.
#[map]
pub static CGROUP_POLICIES: HashMap<u64, CgroupPolicy> = HashMap::with_max_entries(1, 0);

/// Accepted sampling events by process: the denominator of what the agent reports.
#[map]
pub static PROCESS_ENTRIES: PerCpuHashMap<ProcessId, u64> =
    PerCpuHashMap::with_max_entries(8192, 0);

/// What has travelled: slot = id modulo size, value = id mixed with the epoch. A collision makes
/// one of the two travel again. Plain stores from all CPUs: the worst race sends a body twice.
#[map]
pub static STACKS_SENT: Array<u64> = Array::with_max_entries(SENT, 0);
#[map]
pub static CODES_SENT: Array<u64> = Array::with_max_entries(SENT, 0);
#[map]
pub static THREADS_SENT: Array<u64> = Array::with_max_entries(SENT, 0);
/// Time of the last announcement of a file, in the slot of its hash.
#[map]
pub static ANNOUNCED: Array<u64> = Array::with_max_entries(ANNOUNCED_SLOTS, 0);

pub const SENT: u32 = 32_768;
pub const ANNOUNCED_SLOTS: u32 = 4096;

#[inline(always)]
pub fn count(counter: Counter) {
    if let Some(slot) = COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: a slot of this CPU; perf_event programs don't nest on a CPU.
        unsafe { *slot += 1 };
    }
}

/// One cell of the table; 0, which is a row without a rule, where there is no shard.
#[inline(always)]
pub fn cell(number: u32) -> u32 {
    let element = (number & (SHARD_CELLS - 1)) >> 1;
    match TABLE.get_value(number >> SHARD_SHIFT, &element) {
        Some(pair) => (*pair >> ((number & 1) << 5)) as u32,
        None => 0,
    }
}

/// Generation of what executables' and interpreters' entries say.
#[inline(always)]
pub fn generation() -> u32 {
    match CONTROL.get(0) {
        Some(control) => control.generation,
        None => 0,
    }
}

/// Epoch under which bodies are sent.
#[inline(always)]
pub fn epoch() -> u64 {
    match CONTROL.get(0) {
        Some(control) => control.epoch as u64,
        None => 0,
    }
}
