//! The running task: identity, registers, cgroups.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::{
    bpf_get_current_task, bpf_get_current_task_btf, bpf_probe_read_kernel_str, bpf_task_pt_regs,
};
use aya_ebpf::maps::HashMap;
use aya_ebpf::programs::PerfEventContext;

use agent_common::filter::{CGROUP_LEVELS, CgroupPolicy, NO_CGROUP};
use agent_common::kernel::CGROUP_DEFAULT;
use agent_common::process::ProcessId;
use agent_common::record::{CGROUP_NAMES, CgroupName};

use crate::maps::{CGROUP_POLICIES, CGROUPS};
use crate::memory::{kernel_bytes, kernel_u32, kernel_u64};
use crate::scratch::Scratch;
use crate::{kernel, setting};

/// Bytes of `struct pt_regs`: 21 words on x86_64; 34 words of it matter on arm64.
const X86_REGS: u32 = 21 * 8;
const ARM_REGS: u32 = 34 * 8;

/// `cs` of 32-bit code on x86_64 (`__USER32_CS`).
const X86_CS_32: u64 = 0x23;

/// Where the kernel keeps the registers in `struct pt_regs`, in words.
mod x86 {
    pub const BP: usize = 4;
    pub const IP: usize = 16;
    pub const CS: usize = 17;
    pub const SP: usize = 19;
    /// Word of each DWARF register 0..=15, four bits each; rsp is outside those bits.
    pub const DWARF: u64 = 0x0123_6789_04ed_5bca;
}
mod arm {
    pub const FP: usize = 29;
    pub const SP: usize = 31;
    pub const PC: usize = 32;
    pub const PSTATE: usize = 33;
}

/// The running task (5.11+: a pointer that the verifier lets us read through; below: an address).
#[inline(always)]
pub fn current() -> *const u8 {
    if kernel!(has_task_btf) != 0 {
        // SAFETY: no preconditions.
        unsafe { bpf_get_current_task_btf() as *const u8 }
    } else {
        // SAFETY: no preconditions.
        unsafe { bpf_get_current_task() as *const u8 }
    }
}

/// 8 bytes of a task at a member's offset. Through the verifier's own pointer this is a load
/// (0.9 ns), else a helper call (32 ns).
#[inline(always)]
pub fn member_u64(task: *const u8, offset: u32) -> u64 {
    if kernel!(has_task_btf) != 0 {
        // SAFETY: the verifier accepts exactly the loads that are a member of the kernel's struct.
        unsafe { core::ptr::read_volatile(task.add(offset as usize).cast()) }
    } else {
        kernel_u64(task as u64 + offset as u64).unwrap_or(0)
    }
}

#[inline(always)]
pub fn member_u32(task: *const u8, offset: u32) -> u32 {
    if kernel!(has_task_btf) != 0 {
        // SAFETY: as above.
        unsafe { core::ptr::read_volatile(task.add(offset as usize).cast()) }
    } else {
        kernel_u32(task as u64 + offset as u64).unwrap_or(0)
    }
}

/// Identity of the task's process.
#[inline(always)]
pub fn process(task: *const u8, pid: u32) -> ProcessId {
    let leader = member_u64(task, kernel!(task_group_leader)) as *const u8;
    ProcessId {
        pid,
        exec: member_u32(task, kernel!(task_self_exec_id)),
        start: member_u64(leader, kernel!(task_start_boottime)),
    }
}

/// Whether a perf event interrupted the kernel.
#[inline(always)]
pub fn interrupted_kernel(ctx: &PerfEventContext) -> bool {
    let registers = ctx.as_ptr().cast::<u64>();
    if kernel!(arm64) != 0 {
        // SAFETY: inside `struct bpf_perf_event_data`, whose register part has 34 words on arm64.
        unsafe { core::ptr::read_volatile(registers.add(arm::PSTATE)) & 0xf != 0 }
    } else {
        // SAFETY: as above, 21 words on x86_64.
        unsafe { core::ptr::read_volatile(registers.add(x86::CS)) & 3 == 0 }
    }
}

/// Outcome of [`load_registers`].
#[derive(PartialEq, Eq)]
pub enum User {
    Ready,
    /// A 32-bit process.
    ThirtyTwoBit,
    Unreadable,
}

/// Puts the user registers of the running task into `scratch.registers` and its first frame into
/// `scratch.frame`. The one way to them, whatever kind of program is running: wherever the kernel
/// was entered from user mode, it left them at the top of the task's stack.
#[inline(always)]
pub fn load_registers(scratch: &mut Scratch, task: *const u8) -> User {
    let address = if kernel!(has_task_pt_regs) != 0 && kernel!(has_task_btf) != 0 {
        // SAFETY: `task` came from bpf_get_current_task_btf.
        unsafe { bpf_task_pt_regs(task as *mut _) as u64 }
    } else {
        member_u64(task, kernel!(task_stack)).wrapping_add(kernel!(user_regs) as u64)
    };
    let arm64 = kernel!(arm64) != 0;
    let bytes = if arm64 { ARM_REGS } else { X86_REGS };
    if !kernel_bytes(address, &mut scratch.registers, bytes) {
        return User::Unreadable;
    }
    let r = &scratch.registers;
    let frame = &mut scratch.frame;
    frame.called = 0;
    frame.fp_known = 1;
    if arm64 {
        frame.pc = r[arm::PC];
        frame.sp = r[arm::SP];
        frame.fp = r[arm::FP];
        // PSTATE.nRW: AArch32
        if r[arm::PSTATE] & 0x10 != 0 {
            return User::ThirtyTwoBit;
        }
    } else {
        frame.pc = r[x86::IP];
        frame.sp = r[x86::SP];
        frame.fp = r[x86::BP];
        if r[x86::CS] & 0xffff == X86_CS_32 {
            return User::ThirtyTwoBit;
        }
    }
    User::Ready
}

impl Scratch {
    /// Program counter, stack and frame pointer of the innermost user frame.
    #[inline(always)]
    pub fn registers_pc(&self) -> u64 {
        self.registers[if kernel!(arm64) != 0 {
            arm::PC
        } else {
            x86::IP
        }]
    }

    #[inline(always)]
    pub fn registers_sp(&self) -> u64 {
        self.registers[if kernel!(arm64) != 0 {
            arm::SP
        } else {
            x86::SP
        }]
    }

    #[inline(always)]
    pub fn registers_fp(&self) -> u64 {
        self.registers[if kernel!(arm64) != 0 {
            arm::FP
        } else {
            x86::BP
        }]
    }
}

/// A register of the innermost user frame by its DWARF number.
#[inline(always)]
pub fn register(registers: &[u64; 36], number: u8) -> Option<u64> {
    if kernel!(arm64) != 0 {
        if number > 31 {
            return None;
        }
        return Some(registers[(number & 31) as usize]);
    }
    if number > 15 || number == 7 {
        return None;
    }
    Some(registers[(x86::DWARF >> ((number & 15) * 4)) as usize & 15])
}

/// Whether the task is in a cgroup of the filter, or below one.
#[inline(never)]
pub fn in_cgroups(task: *const u8) -> u32 {
    match innermost(task, &CGROUPS) {
        Innermost::Cgroup(_) => 1,
        Innermost::None | Innermost::Unknown => 0,
    }
}

/// The policy that holds for the task; null where there is none.
#[inline(never)]
pub fn policy(task: *const u8) -> *const CgroupPolicy {
    match innermost(task, &CGROUP_POLICIES) {
        Innermost::Cgroup(policy) => policy,
        Innermost::None => match CGROUP_POLICIES.get_ptr(&NO_CGROUP) {
            Some(policy) => policy,
            None => core::ptr::null(),
        },
        Innermost::Unknown => core::ptr::null(),
    }
}

/// What a map has for the innermost of a task's cgroups that are in it.
enum Innermost<V> {
    Cgroup(*const V),
    /// It has none of them.
    None,
    /// They were not followed to the root.
    Unknown,
}

/// Looks up a task's cgroup and those above it by their kernfs ids.
#[inline(always)]
fn innermost<V>(task: *const u8, map: &HashMap<u64, V>) -> Innermost<V> {
    let Some(mut cgroup) = cgroup_of(task) else {
        return Innermost::Unknown;
    };
    for _ in 0..CGROUP_LEVELS {
        let Some(node) = kernel_u64(cgroup + kernel!(cgroup_kn) as u64) else {
            return Innermost::Unknown;
        };
        let Some(id) = kernel_u64(node + kernel!(kn_id) as u64) else {
            return Innermost::Unknown;
        };
        if let Some(value) = map.get_ptr(&id) {
            return Innermost::Cgroup(value);
        }
        match above(cgroup) {
            Some(0) => return Innermost::None,
            Some(next) => cgroup = next,
            None => return Innermost::Unknown,
        }
    }
    Innermost::Unknown
}

/// Address of the task's `struct cgroup` in the hierarchy that is looked at.
#[inline(always)]
fn cgroup_of(task: *const u8) -> Option<u64> {
    let set = kernel_u64(task as u64 + kernel!(task_cgroups) as u64)?;
    let subsystem = setting!(cgroup_subsystem);
    if subsystem == CGROUP_DEFAULT {
        return kernel_u64(set + kernel!(css_set_default) as u64);
    }
    // On a hybrid host the containers are in a v1 hierarchy, and the unified one is empty.
    let place = kernel!(css_set_subsys) as u64 + 8 * subsystem as u64;
    kernel_u64(kernel_u64(set + place)? + kernel!(css_cgroup) as u64)
}

/// The one above a cgroup; 0: it is the root.
#[inline(always)]
fn above(cgroup: u64) -> Option<u64> {
    let up = kernel!(cgroup_self) as u64 + kernel!(css_parent) as u64;
    match kernel_u64(cgroup + up)? {
        0 => Some(0),
        parent => kernel_u64(parent + kernel!(css_cgroup) as u64),
    }
}

/// Reads the names of the task's cgroup and of those above it, as far as there is room. Gives how many
/// there are up to the root, 0 if that is not known.
#[inline(always)]
pub fn read_cgroup_names(task: *const u8, names: &mut [CgroupName; CGROUP_NAMES]) -> u32 {
    let Some(mut cgroup) = cgroup_of(task) else {
        return 0;
    };
    for level in 0..CGROUP_LEVELS {
        if let Some(name) = names.get_mut(level as usize) {
            let node = kernel_u64(cgroup + kernel!(cgroup_kn) as u64).unwrap_or(0);
            let text = kernel_u64(node + kernel!(kn_name) as u64).unwrap_or(0);
            // SAFETY: as many bytes as there are; a text that can't be read leaves zeros.
            unsafe {
                bpf_probe_read_kernel_str(name.text.as_mut_ptr().cast(), 96, text as *const _);
            }
        }
        match above(cgroup) {
            Some(0) => return level + 1,
            Some(next) => cgroup = next,
            None => return 0,
        }
    }
    0
}
