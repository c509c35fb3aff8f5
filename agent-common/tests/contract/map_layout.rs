//! Layouts of what the agent writes into maps and globals. The agent hands these values over as
//! bytes, so that implicit padding would be uninitialised memory.

use agent_common::executable::Executable;
use agent_common::filter::{CgroupPolicy, PidFilter};
use agent_common::kernel::{Control, KernelOffsets, Settings};
use agent_common::python::{ProcessPython, PythonOffsets};
use agent_common::step::Rule;

#[test]
fn values_of_maps() {
    layout!(Executable, 24, {
        id: u32 = 0,
        python: u32 = 4,
        index: u32 = 8,
        pages: u32 = 12,
        first_page: u32 = 16,
        rows: u32 = 20,
    });
    layout!(Rule, 16, {
        cfa: u8 = 0,
        fp: u8 = 1,
        ra: u8 = 2,
        register: u8 = 3,
        cfa_offset: i32 = 4,
        fp_offset: i32 = 8,
        ra_offset: i32 = 12,
    });
    layout!(PidFilter, 16, { start: u64 = 0, exec: u32 = 8, padding: u32 = 12 });
    layout!(CgroupPolicy, 16, { take: u32 = 0, padding: u32 = 4, value: u64 = 8 });
    layout!(ProcessPython, 16, { runtime: u64 = 0, python: u32 = 8, padding: u32 = 12 });
}

#[test]
fn offsets_of_interpreters() {
    layout!(PythonOffsets, 80, {
        runtime: u64 = 0,
        pointer_mask: u64 = 8,
        version: u32 = 16,
        chain: u8 = 20,
        thread: u8 = 21,
        instruction_scale: u8 = 22,
        ready: u8 = 23,
        thread_base: i32 = 24,
        key_offset: u32 = 28,
        tstate_interp: u16 = 32,
        tstate_frame: u16 = 34,
        tstate_cframe: u16 = 36,
        tstate_thread_id: u16 = 38,
        cframe_current: u16 = 40,
        cframe_previous: u16 = 42,
        frame_code: u16 = 44,
        frame_previous: u16 = 46,
        frame_instruction: u16 = 48,
        frame_owner: u16 = 50,
        frame_is_entry: u16 = 52,
        code_first_line: u16 = 54,
        code_filename: u16 = 56,
        code_name: u16 = 58,
        code_qualname: u16 = 60,
        code_linetable: u16 = 62,
        code_instructions: u16 = 64,
        unicode_length: u16 = 66,
        unicode_state: u16 = 68,
        unicode_ascii: u16 = 70,
        unicode_compact: u16 = 72,
        bytes_size: u16 = 74,
        bytes_data: u16 = 76,
        padding: u16 = 78,
    });
}

#[test]
fn settings_and_control() {
    layout!(Settings, 48, {
        seed: u64 = 0,
        value: u64 = 8,
        own_pid: u32 = 16,
        filter: u32 = 20,
        cgroup_subsystem: u32 = 24,
        native_depth: u32 = 28,
        python_depth: u32 = 32,
        event: u32 = 36,
        wakeup_bytes: u32 = 40,
        identify_slot: u32 = 44,
    });
    layout!(Control, 8, { epoch: u32 = 0, generation: u32 = 4 });
}

#[test]
fn offsets_of_the_kernel() {
    layout!(KernelOffsets, 172, {
        task_mm: u32 = 0,
        task_group_leader: u32 = 4,
        task_start_boottime: u32 = 8,
        task_self_exec_id: u32 = 12,
        task_stack: u32 = 16,
        task_comm: u32 = 20,
        task_cgroups: u32 = 24,
        task_tgid: u32 = 28,
        task_thread_pointer: u32 = 32,
        mm_tree: u32 = 36,
        mm_vdso: u32 = 40,
        mm_sequence: u32 = 44,
        vma_start: u32 = 48,
        vma_end: u32 = 52,
        vma_mm: u32 = 56,
        vma_flags: u32 = 60,
        vma_pgoff: u32 = 64,
        vma_file: u32 = 68,
        vma_rb: u32 = 72,
        file_inode: u32 = 76,
        file_dentry: u32 = 80,
        dentry_name: u32 = 84,
        inode_super: u32 = 88,
        inode_number: u32 = 92,
        inode_generation: u32 = 96,
        inode_size: u32 = 100,
        inode_change_seconds: u32 = 104,
        inode_change_nanoseconds: u32 = 108,
        super_device: u32 = 112,
        css_set_subsys: u32 = 116,
        css_set_default: u32 = 120,
        css_cgroup: u32 = 124,
        css_parent: u32 = 128,
        cgroup_self: u32 = 132,
        cgroup_kn: u32 = 136,
        kn_id: u32 = 140,
        kn_name: u32 = 144,
        has_maple_tree: u32 = 148,
        has_task_btf: u32 = 152,
        has_task_pt_regs: u32 = 156,
        user_regs: u32 = 160,
        arm64: u32 = 164,
        sequence_is_odd: u32 = 168,
    });
}
