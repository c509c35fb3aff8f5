//! What the kernel side must be told of the running kernel: where its structs keep what we read,
//! and which helpers it has.

use std::path::Path;
use std::sync::OnceLock;
use std::{fs, io};

use agent_common::kernel::KernelOffsets;
use aya::programs::ProgramType;
use aya::sys::{BpfHelper, is_helper_supported};
use thiserror::Error;

use super::btf::{Btf, BtfError, MemberError, Struct};

/// The running kernel's types.
pub const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";
/// Most bytes that are read of it: a kernel with everything built in has 30 MB.
const BTF_BYTES: u64 = 256 << 20;

/// Why this kernel's structs can't be read.
#[derive(Debug, Error)]
pub enum KernelError {
    #[error(
        "Kernel {release} has no BTF ({BTF_PATH}), so strata can't know how its structs are laid \
         out; use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as the distributions' are, and \
         mount sysfs at /sys."
    )]
    NoBtf { release: String },
    #[error(
        "The BTF of kernel {release} ({BTF_PATH}) can't be read: {source}; run strata as root, \
         with /sys mounted."
    )]
    Unreadable { release: String, source: io::Error },
    #[error(
        "The BTF of kernel {release} can't be understood: {source}; use a newer strata, or report \
         it with the kernel's name."
    )]
    Malformed { release: String, source: BtfError },
    #[error(
        "Kernel {release} has no {member}, which strata needs to find the frames of a process; \
         use a kernel between 5.10 and the newest that this strata knows, or a newer strata."
    )]
    Missing { release: String, member: String },
    #[error(
        "Kernel {release} keeps {member} in a way that strata does not understand ({cause}); use \
         a newer strata, or report it with the kernel's name."
    )]
    Changed {
        release: String,
        member: String,
        cause: String,
    },
}

/// The running kernel's offsets and abilities.
pub fn kernel_offsets() -> Result<KernelOffsets, KernelError> {
    let release = release();
    let mut offsets = offsets_of(&running_btf(&release)?, &release)?;
    offsets.user_regs += stack_excess();
    offsets.has_task_btf =
        has_helper(BpfHelper::BPF_FUNC_get_current_task_btf, &release, (5, 11)).into();
    offsets.has_task_pt_regs =
        has_helper(BpfHelper::BPF_FUNC_task_pt_regs, &release, (5, 15)).into();
    Ok(offsets)
}

/// Index in `css_set.subsys` of a v1 controller as `/proc/PID/cgroup` names it, in the running
/// kernel. `None`: no such controller, which a named hierarchy never has.
pub fn cgroup_subsystem(name: &str) -> Option<u32> {
    static SUBSYSTEMS: OnceLock<Vec<(String, u32)>> = OnceLock::new();
    let subsystems = SUBSYSTEMS.get_or_init(|| {
        running_btf(&release()).map_or_else(|_| Vec::new(), |btf| subsystems(&btf))
    });
    subsystems
        .iter()
        .find(|(own, _)| own == name)
        .map(|(_, index)| *index)
}

/// Names that v1 controllers have in any kernel, and their indices.
pub fn subsystems(btf: &Btf) -> Vec<(String, u32)> {
    let controllers = btf
        .enumerators("cgroup_subsys_id")
        .filter_map(|(name, index)| {
            let name = name.strip_suffix("_cgrp_id")?;
            // The one with another name in v1 (`io_cgrp_subsys.legacy_name`).
            Some((if name == "io" { "blkio" } else { name }.to_owned(), index))
        });
    controllers.collect()
}

/// Reads the running kernel's types.
pub fn running_btf(release: &str) -> Result<Btf, KernelError> {
    let unreadable = |source| KernelError::Unreadable {
        release: release.to_owned(),
        source,
    };
    let path = Path::new(BTF_PATH);
    let size = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(KernelError::NoBtf {
                release: release.to_owned(),
            });
        }
        Err(error) => return Err(unreadable(error)),
    };
    if size > BTF_BYTES {
        let cause = format!("it has {size} bytes, more than {BTF_BYTES}");
        return Err(unreadable(io::Error::new(
            io::ErrorKind::FileTooLarge,
            cause,
        )));
    }
    let data = fs::read(path).map_err(unreadable)?;
    Btf::parse(data).map_err(|source| KernelError::Malformed {
        release: release.to_owned(),
        source,
    })
}

/// The running kernel's name, as `uname -r` prints it.
pub fn release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").map_or_else(
        |_| "(of unknown release)".to_owned(),
        |text| text.trim_end().to_owned(),
    )
}

/// Offsets in any kernel's BTF, its helpers aside.
pub fn offsets_of(btf: &Btf, release: &str) -> Result<KernelOffsets, KernelError> {
    let find = |name| Finder {
        release,
        name,
        structure: btf.structure(name),
    };
    let task = find("task_struct");
    let mm = find("mm_struct");
    let vma = find("vm_area_struct");
    let file = find("file");
    let inode = find("inode");
    let css = find("cgroup_subsys_state");
    let css_set = find("css_set");
    let cgroup = find("cgroup");
    let node = find("kernfs_node");

    let has_maple_tree = mm.has("mm_mt");
    let x86_64 = task.has("thread.fsbase");
    // A plain number in 6.4, a `seqcount` since 6.13.
    let sequence_is_odd = mm.has("mm_lock_seq.sequence");
    // A timespec64 until 6.5, under another name until 6.10, two members since 6.11.
    let (seconds, nanoseconds) = if inode.has("i_ctime_sec") {
        ("i_ctime_sec", "i_ctime_nsec")
    } else if inode.has("__i_ctime") {
        ("__i_ctime.tv_sec", "__i_ctime.tv_nsec")
    } else {
        ("i_ctime.tv_sec", "i_ctime.tv_nsec")
    };

    Ok(KernelOffsets {
        task_mm: task.member("mm", 8)?,
        task_group_leader: task.member("group_leader", 8)?,
        task_start_boottime: task.member("start_boottime", 8)?,
        task_self_exec_id: task.member("self_exec_id", 4)?,
        task_stack: task.member("stack", 8)?,
        task_comm: task.member("comm", 16)?,
        task_cgroups: task.member("cgroups", 8)?,
        task_tgid: task.member("tgid", 4)?,
        task_thread_pointer: task.member(
            if x86_64 {
                "thread.fsbase"
            } else {
                "thread.uw.tp_value"
            },
            8,
        )?,

        mm_tree: mm.member(
            if has_maple_tree {
                "mm_mt.ma_root"
            } else {
                "mm_rb.rb_node"
            },
            8,
        )?,
        mm_vdso: mm.member("context.vdso", 8)?,
        mm_sequence: if sequence_is_odd {
            mm.member("mm_lock_seq.sequence", 4)?
        } else if mm.has("mm_lock_seq") {
            mm.member("mm_lock_seq", 4)?
        } else {
            0
        },

        vma_start: vma.member("vm_start", 8)?,
        vma_end: vma.member("vm_end", 8)?,
        vma_mm: vma.member("vm_mm", 8)?,
        vma_flags: vma.member("vm_flags", 8)?,
        vma_pgoff: vma.member("vm_pgoff", 8)?,
        vma_file: vma.member("vm_file", 8)?,
        vma_rb: if has_maple_tree {
            0
        } else {
            vma.member("vm_rb", 24)?
        },

        file_inode: file.member("f_inode", 8)?,
        file_dentry: file.member("f_path.dentry", 8)?,
        dentry_name: find("dentry").member("d_name.name", 8)?,
        inode_super: inode.member("i_sb", 8)?,
        inode_number: inode.member("i_ino", 8)?,
        inode_generation: inode.member("i_generation", 4)?,
        inode_size: inode.member("i_size", 8)?,
        inode_change_seconds: inode.member(seconds, 8)?,
        inode_change_nanoseconds: inode.member(nanoseconds, 4)?,
        super_device: find("super_block").member("s_dev", 4)?,

        css_set_subsys: css_set.member("subsys", 8)?,
        css_set_default: css_set.member("dfl_cgrp", 8)?,
        css_cgroup: css.member("cgroup", 8)?,
        css_parent: css.member("parent", 8)?,
        cgroup_self: cgroup.member("self", 8)?,
        cgroup_kn: cgroup.member("kn", 8)?,
        kn_id: node.member("id", 8)?,
        kn_name: node.member("name", 8)?,

        has_maple_tree: has_maple_tree.into(),
        has_task_btf: 0,
        has_task_pt_regs: 0,
        user_regs: user_regs(&find("pt_regs"))?,
        arm64: (!x86_64).into(),
        sequence_is_odd: sequence_is_odd.into(),
    })
}

/// A kernel stack (THREAD_SIZE) without KASAN where a page is not larger.
const STACK_BYTES: u32 = 16 << 10;

/// Where the user's registers lie above `task.stack`: `task_pt_regs()` of x86_64 and arm64 before
/// there was a helper. The padding that FRED (6.9) puts at the stack's top came after that.
fn user_regs(registers: &Finder<'_>) -> Result<u32, KernelError> {
    let size = registers
        .structure
        .size()
        .ok_or_else(|| registers.missing(""))?;
    STACK_BYTES
        .checked_sub(size)
        .ok_or_else(|| registers.missing(""))
}

/// What a kernel stack is larger than [`STACK_BYTES`]: arm64's has at least one page, and that
/// may be of 64 KiB.
fn stack_excess() -> u32 {
    // SAFETY: `sysconf` touches no memory of ours.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u32::try_from(page).unwrap_or(0).saturating_sub(STACK_BYTES)
}

/// Looks the members of a struct up and words what is missing.
struct Finder<'a> {
    release: &'a str,
    name: &'a str,
    structure: Struct<'a>,
}

impl Finder<'_> {
    fn has(&self, path: &str) -> bool {
        self.structure.member(path) != Err(MemberError::Absent)
    }

    /// Offset of a member of which the kernel side reads `size` bytes.
    fn member(&self, path: &str, size: u32) -> Result<u32, KernelError> {
        let changed = |cause: String| KernelError::Changed {
            release: self.release.to_owned(),
            member: format!("{}.{path}", self.name),
            cause,
        };
        match self.structure.member(path) {
            Ok(member) if member.size >= size => Ok(member.offset),
            Ok(member) => Err(changed(format!(
                "it has {} bytes where {size} are read",
                member.size
            ))),
            Err(MemberError::Absent) => Err(self.missing(&format!(".{path}"))),
            Err(MemberError::BitField) => Err(changed("it is a bit field".to_owned())),
            Err(MemberError::Ambiguous) => {
                Err(changed(format!("there are several structs {}", self.name)))
            }
        }
    }

    fn missing(&self, member: &str) -> KernelError {
        let member = format!("{}{member}", self.name);
        KernelError::Missing {
            release: self.release.to_owned(),
            member,
        }
    }
}

/// Whether a `perf_event` program may call a helper: the kernel is asked, and its version counts
/// where it can't answer (no right to load programs).
fn has_helper(helper: BpfHelper, release: &str, since: (u32, u32)) -> bool {
    is_helper_supported(ProgramType::PerfEvent, helper)
        .unwrap_or_else(|_| version(release).is_some_and(|version| version >= since))
}

/// Major and minor number in a release's name.
pub fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_names() {
        assert_eq!(version("5.10.0-32-cloud-amd64"), Some((5, 10)));
        assert_eq!(version("6.12.95+deb12-cloud-amd64"), Some((6, 12)));
        assert_eq!(version("7.0-rc1"), Some((7, 0)));
        assert_eq!(version("of unknown release"), None);
    }

    #[test]
    fn running_kernel() {
        let offsets = kernel_offsets().expect("the running kernel's offsets");
        println!("{}: {offsets:#?}", release());
        assert_eq!(cgroup_subsystem("cpuset"), Some(0));
        assert_eq!(cgroup_subsystem("name=systemd"), None);
    }

    #[test]
    fn missing_member_is_named() {
        let btf = Btf::parse(crate::bpf::btf::tests::small()).expect("the small BTF");
        let error = offsets_of(&btf, "5.4.0").expect_err("no offsets in it");
        assert!(
            error
                .to_string()
                .starts_with("Kernel 5.4.0 has no task_struct.mm, which")
        );
    }
}
