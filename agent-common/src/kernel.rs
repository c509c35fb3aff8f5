//! Where the kernel keeps what the program reads: byte offsets taken from the running kernel's own
//! BTF by the agent and given to the program as constants before it is loaded. Rust has no CO-RE.

/// Read-only global `KERNEL` of the eBPF program. Offsets in bytes; an absent member is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct KernelOffsets {
    // task_struct
    pub task_mm: u32,
    pub task_group_leader: u32,
    pub task_start_boottime: u32,
    pub task_self_exec_id: u32,
    pub task_stack: u32,
    pub task_comm: u32,
    pub task_cgroups: u32,
    pub task_tgid: u32,
    /// x86_64: `thread.fsbase`; arm64: `thread.uw.tp_value`.
    pub task_thread_pointer: u32,

    // mm_struct
    /// `mm_mt.ma_root` (6.1+), or `mm_rb.rb_node` below.
    pub mm_tree: u32,
    pub mm_vdso: u32,
    /// A number that changes whenever a writer of the mappings lets go of the lock (`mm_lock_seq`,
    /// 6.4+).
    pub mm_sequence: u32,

    // vm_area_struct
    pub vma_start: u32,
    pub vma_end: u32,
    pub vma_mm: u32,
    pub vma_flags: u32,
    pub vma_pgoff: u32,
    pub vma_file: u32,
    /// `vm_rb` (below 6.1).
    pub vma_rb: u32,

    // file, dentry, inode, super_block
    pub file_inode: u32,
    pub file_dentry: u32,
    pub dentry_name: u32,
    pub inode_super: u32,
    pub inode_number: u32,
    pub inode_generation: u32,
    pub inode_size: u32,
    pub inode_change_seconds: u32,
    pub inode_change_nanoseconds: u32,
    pub super_device: u32,

    // css_set, cgroup_subsys_state, cgroup, kernfs_node
    pub css_set_subsys: u32,
    pub css_set_default: u32,
    pub css_cgroup: u32,
    pub css_parent: u32,
    pub cgroup_self: u32,
    pub cgroup_kn: u32,
    pub kn_id: u32,
    pub kn_name: u32,

    // What this kernel has.
    /// 1: `mm_mt` is a maple tree (6.1+). 0: red-black tree.
    pub has_maple_tree: u32,
    /// 1: helper `bpf_get_current_task_btf` (5.11+).
    pub has_task_btf: u32,
    /// 1: helper `bpf_task_pt_regs` (5.15+).
    pub has_task_pt_regs: u32,
    /// Distance from `task.stack` to the user registers at the stack's top, where the helper is
    /// missing: THREAD_SIZE less padding less `sizeof(pt_regs)`.
    pub user_regs: u32,
    /// 1: arm64, 0: x86_64.
    pub arm64: u32,
    /// 1: `mm_sequence` is odd while a writer is at work (6.13, and 6.12's stable releases).
    pub sequence_is_odd: u32,
}

/// Read-only global `SETTINGS` of the eBPF program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// Seed of the stack hash.
    pub seed: u64,
    /// Value of one sample: ns of CPU time, or events counted.
    pub value: u64,
    /// Thread group id of the agent, whose own samples are left out.
    pub own_pid: u32,
    /// Bits of [`crate::filter`].
    pub filter: u32,
    /// Which cgroup of a task is compared: index in `css_set.subsys`, or [`CGROUP_DEFAULT`].
    pub cgroup_subsystem: u32,
    /// Most native frames of a stack.
    pub native_depth: u32,
    /// Most Python frames of a stack.
    pub python_depth: u32,
    /// Event id put into the samples.
    pub event: u32,
    /// Unread bytes in the ring buffer beyond which the agent is woken.
    pub wakeup_bytes: u32,
    /// Entry of the `SCRATCH` map that belongs to no CPU: the `identify` program can be interrupted
    /// by the others.
    pub identify_slot: u32,
}

/// The unified (v2) hierarchy.
pub const CGROUP_DEFAULT: u32 = u32::MAX;

/// Global `CONTROL`: what the agent may change while the program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Control {
    /// Bodies sent under another epoch are sent again.
    pub epoch: u32,
    /// Changes with each change of what an executable's or interpreter's entry says.
    pub generation: u32,
}
