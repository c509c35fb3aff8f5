//! Which code is at an address: the process's own mappings, read where the kernel keeps them. So
//! the first sample of a process already has them, and none is ever stale.

use agent_common::executable::{
    EXECUTABLE_ANONYMOUS, EXECUTABLE_UNKNOWN, EXECUTABLE_VDSO, Executable, FileId, PYTHON_PENDING,
};

use crate::maps::{EXECUTABLES, VDSO, generation};
use crate::memory::{kernel_bytes, kernel_u32, kernel_u64};
use crate::scratch::{MAPPINGS, Node, Scratch};
use crate::tree::find_vma;
use crate::{kernel, task};

const VM_EXEC: u64 = 4;
/// The kernel's flag bit in the change time's nanoseconds (6.13+).
const NANOSECONDS_MASK: u32 = 0x7fff_ffff;

/// What was found at an address.
pub const FOUND: u32 = 0;
pub const NOT_EXECUTABLE: u32 = 1;

/// Keeps the mappings of an earlier sample if they are still those of the running process.
///
/// They are as long as nobody has changed any since: a writer takes the address space's lock, and
/// when it lets go `mm_lock_seq` changes (6.4+; on older kernels each sample reads them anew). What
/// an executable's entry says has a generation of its own, and whether the file itself was changed
/// is looked at in each sample ([`recheck`]).
#[inline(always)]
pub fn begin(scratch: &mut Scratch, task: *const u8) {
    scratch.serial += 1;
    let generation = generation();
    scratch.generation = generation;
    let mut sequence = 0;
    let mut lasting = kernel!(mm_sequence) != 0;
    if lasting {
        let mm = task::member_u64(task, kernel!(task_mm)) as *const u8;
        sequence = task::member_u32(mm, kernel!(mm_sequence));
        lasting = kernel!(sequence_is_odd) == 0 || sequence & 1 == 0;
    }
    let process = &scratch.sample.process;
    let space = &mut scratch.space;
    let same = lasting
        && space.mm == scratch.mm
        && space.sequence == sequence
        && space.generation == generation
        && space.process.pid == process.pid
        && space.process.exec == process.exec
        && space.process.start == process.start;
    if same {
        return;
    }
    space.mm = if lasting { scratch.mm } else { 0 };
    space.sequence = sequence;
    space.generation = generation;
    space.process = *process;
    for mapping in &mut scratch.mappings {
        mapping.end = 0;
    }
    scratch.next_mapping = 0;
}

/// Makes the mapping that holds `address` the one in use, if it was met before.
#[inline(always)]
pub fn at_hand(scratch: &mut Scratch, address: u64) -> bool {
    let mapping = &scratch.mappings[scratch.mapping as usize & (MAPPINGS - 1)];
    if !(address >= mapping.start && address < mapping.end) && !search(scratch, address) {
        return false;
    }
    let mapping = &scratch.mappings[scratch.mapping as usize & (MAPPINGS - 1)];
    mapping.checked == scratch.serial || recheck(scratch)
}

/// The first time that a sample meets a mapping of an earlier one: does its file still have the
/// content that its rows were made from, and is it the interpreter?
#[inline(never)]
fn recheck(scratch: &mut Scratch) -> bool {
    let mapping = &mut scratch.mappings[scratch.mapping as usize & (MAPPINGS - 1)];
    let python = mapping.executable.python;
    let settled = mapping.executable.id != EXECUTABLE_UNKNOWN && python != PYTHON_PENDING;
    let same = settled
        && (mapping.inode == 0
            || match change_time(mapping.inode) {
                Some((seconds, nanoseconds)) => {
                    seconds == mapping.change_seconds && nanoseconds == mapping.change_nanoseconds
                }
                None => false,
            });
    if !same {
        mapping.end = 0;
        return false;
    }
    mapping.checked = scratch.serial;
    if python != 0 && scratch.python.index == 0 {
        scratch.python.index = python;
        scratch.python.base = 0u64.wrapping_sub(mapping.delta);
    }
    true
}

#[inline(never)]
fn search(scratch: &mut Scratch, address: u64) -> bool {
    for number in 0..MAPPINGS {
        let mapping = &scratch.mappings[number];
        if address >= mapping.start && address < mapping.end {
            scratch.mapping = number as u32;
            return true;
        }
    }
    false
}

/// Reads the mapping that holds `address` from the kernel.
#[inline(always)]
pub fn read_mapping(scratch: &mut Scratch, address: u64) -> u32 {
    let vma = find_vma(scratch, address);
    if vma == 0 || !kernel_bytes(vma, &mut scratch.node, 256) {
        return NOT_EXECUTABLE;
    }
    let node = &scratch.node;
    let start = word(node, kernel!(vma_start));
    let end = word(node, kernel!(vma_end));
    let owner = word(node, kernel!(vma_mm));
    let flags = word(node, kernel!(vma_flags));
    let offset = word(node, kernel!(vma_pgoff)) << 12;
    let file = word(node, kernel!(vma_file));
    if address < start || address >= end || owner != scratch.mm || flags & VM_EXEC == 0 {
        return NOT_EXECUTABLE;
    }
    let number = scratch.next_mapping & (MAPPINGS as u32 - 1);
    scratch.next_mapping = number + 1;
    scratch.mapping = number;
    let mapping = &mut scratch.mappings[number as usize & (MAPPINGS - 1)];
    mapping.start = start;
    mapping.end = end;
    mapping.executable = Executable {
        id: EXECUTABLE_ANONYMOUS,
        python: 0,
        index: 0,
        pages: 0,
        first_page: 0,
        rows: 0,
    };
    mapping.delta = offset.wrapping_sub(start);
    mapping.inode = 0;
    mapping.checked = scratch.serial;
    if file == 0 {
        let vdso = kernel_u64(scratch.mm + kernel!(mm_vdso) as u64).unwrap_or(0);
        if vdso == start {
            mapping.delta = 0u64.wrapping_sub(start);
            if let Some(executable) = VDSO.get(0) {
                mapping.executable = *executable;
            }
            mapping.executable.id = EXECUTABLE_VDSO;
        } else {
            // An avma is all the identity that code without a file has.
            mapping.delta = 0;
        }
    } else {
        let Some(inode) = kernel_u64(file + kernel!(file_inode) as u64) else {
            return NOT_EXECUTABLE;
        };
        if !file_id(&mut scratch.unknown.id, inode) {
            return NOT_EXECUTABLE;
        }
        mapping.inode = inode;
        mapping.change_seconds = scratch.unknown.id.change_seconds as u64;
        mapping.change_nanoseconds = scratch.unknown.id.change_nanoseconds;
        match EXECUTABLES.get_ptr(&scratch.unknown.id) {
            // SAFETY: a value of the map; the agent replaces it whole.
            Some(executable) => mapping.executable = unsafe { *executable },
            None => mapping.executable.id = EXECUTABLE_UNKNOWN,
        }
        let python = mapping.executable.python;
        if mapping.executable.id == EXECUTABLE_UNKNOWN || python == PYTHON_PENDING {
            scratch.unknown.start = start;
            scratch.unknown.end = end;
            scratch.unknown.offset = offset;
            scratch.unknown.file = file;
            scratch.unknown.announced = scratch.unknown.id;
            scratch.announce = 1;
            scratch.python_pending |= (python == PYTHON_PENDING) as u32;
        } else if python != 0 && scratch.python.index == 0 {
            scratch.python.index = python;
            scratch.python.base = start.wrapping_sub(offset);
        }
    }
    FOUND
}

#[inline(always)]
fn word(node: &Node, offset: u32) -> u64 {
    node[(offset as usize >> 3) & 31]
}

/// Reads the identity of the file mapped at an address, executable or not, to `unknown.id`.
#[inline(always)]
pub fn read_file_id(scratch: &mut Scratch, address: u64) -> bool {
    let vma = find_vma(scratch, address);
    if vma == 0 || !kernel_bytes(vma, &mut scratch.node, 256) {
        return false;
    }
    let node = &scratch.node;
    let start = word(node, kernel!(vma_start));
    let end = word(node, kernel!(vma_end));
    let file = word(node, kernel!(vma_file));
    if address < start || address >= end || word(node, kernel!(vma_mm)) != scratch.mm || file == 0 {
        return false;
    }
    match kernel_u64(file + kernel!(file_inode) as u64) {
        Some(inode) => file_id(&mut scratch.unknown.id, inode),
        None => false,
    }
}

/// Seconds and nanoseconds of an inode's last change, which lie near each other on every kernel.
#[inline(always)]
fn change_time(inode: u64) -> Option<(u64, u32)> {
    let seconds = kernel!(inode_change_seconds);
    let nanoseconds = kernel!(inode_change_nanoseconds);
    let apart = nanoseconds.wrapping_sub(seconds) as usize >> 2;
    let mut words = [0u32; 8];
    if apart >= words.len() || !kernel_bytes(inode + seconds as u64, &mut words, 32) {
        return None;
    }
    let whole = words[0] as u64 | (words[1] as u64) << 32;
    Some((whole, words[apart & 7] & NANOSECONDS_MASK))
}

/// Reads the identity of the file behind an inode.
#[inline(always)]
fn file_id(id: &mut FileId, inode: u64) -> bool {
    let (Some(super_block), Some(number), Some((seconds, nanoseconds)), Some(size)) = (
        kernel_u64(inode + kernel!(inode_super) as u64),
        kernel_u64(inode + kernel!(inode_number) as u64),
        change_time(inode),
        kernel_u64(inode + kernel!(inode_size) as u64),
    ) else {
        return false;
    };
    let (Some(device), Some(generation)) = (
        kernel_u32(super_block + kernel!(super_device) as u64),
        kernel_u32(inode + kernel!(inode_generation) as u64),
    ) else {
        return false;
    };
    id.device = device as u64;
    id.inode = number;
    id.change_seconds = seconds as i64;
    id.change_nanoseconds = nanoseconds;
    id.generation = generation;
    id.size = size;
    true
}
