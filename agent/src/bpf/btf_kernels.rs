//! Offsets in the kernels that the tests boot, whose BTF is taken from their compressed images.
//! What is expected was read by another reader (crate btf-rs 2.0).

use std::io::Write;
use std::process::{Command, Stdio};
use std::{fs, path::PathBuf, thread};

use agent_common::kernel::KernelOffsets;
use object::{Object, ObjectSection};

use crate::bpf::btf::Btf;
use crate::bpf::kernel::{offsets_of, subsystems};

/// Decompressors by what their input begins with, as in Linux `scripts/extract-vmlinux`.
const DECOMPRESSORS: [(&[u8], &str); 4] = [
    (b"\x02\x21\x4C\x18", "lz4"),
    (b"\x28\xB5\x2F\xFD", "zstd"),
    (b"\x1F\x8B\x08", "gzip"),
    (b"\xFD7zXZ\0", "xz"),
];

#[test]
fn linux_5_10() {
    let Some(btf) = kernel_btf("5.10") else {
        return;
    };
    let offsets = offsets_of(&btf, "5.10").expect("offsets of 5.10");
    let expected = KernelOffsets {
        task_mm: 2056,
        task_group_leader: 2296,
        task_start_boottime: 2544,
        task_self_exec_id: 2968,
        task_stack: 24,
        task_comm: 2736,
        task_cgroups: 3328,
        task_tgid: 2236,
        task_thread_pointer: 5032,
        mm_tree: 8,
        mm_vdso: 856,
        mm_sequence: 0,
        vma_start: 0,
        vma_end: 8,
        vma_mm: 64,
        vma_flags: 80,
        vma_pgoff: 152,
        vma_file: 160,
        vma_rb: 32,
        file_inode: 32,
        file_dentry: 24,
        dentry_name: 40,
        inode_super: 40,
        inode_number: 64,
        inode_generation: 560,
        inode_size: 80,
        inode_change_seconds: 120,
        inode_change_nanoseconds: 128,
        super_device: 16,
        css_set_subsys: 0,
        css_set_default: 120,
        css_cgroup: 0,
        css_parent: 192,
        cgroup_self: 0,
        cgroup_kn: 248,
        kn_id: 104,
        kn_name: 16,
        has_maple_tree: 0,
        has_task_btf: 0,
        has_task_pt_regs: 0,
        user_regs: 16384 - 168,
        arm64: 0,
        sequence_is_odd: 0,
    };
    assert_eq!(offsets, expected);
    let subsystems = subsystems(&btf);
    assert_eq!(subsystems[4], ("memory".to_owned(), 4));
    assert_eq!(subsystems[3], ("blkio".to_owned(), 3));
    assert_eq!(subsystems.len(), 13);
}

#[test]
fn linux_6_12() {
    let Some(btf) = kernel_btf("6.12") else {
        return;
    };
    let offsets = offsets_of(&btf, "6.12").expect("offsets of 6.12");
    let expected = KernelOffsets {
        task_mm: 2304,
        task_group_leader: 2496,
        task_start_boottime: 2784,
        task_self_exec_id: 3240,
        task_stack: 32,
        task_comm: 2976,
        task_cgroups: 3584,
        task_tgid: 2436,
        task_thread_pointer: 5416,
        mm_tree: 72,
        mm_vdso: 1096,
        mm_sequence: 224,
        vma_start: 0,
        vma_end: 8,
        vma_mm: 16,
        vma_flags: 32,
        vma_pgoff: 120,
        vma_file: 128,
        vma_rb: 0,
        file_inode: 40,
        file_dentry: 72,
        dentry_name: 40,
        inode_super: 40,
        inode_number: 64,
        inode_generation: 124,
        inode_size: 80,
        inode_change_seconds: 104,
        inode_change_nanoseconds: 120,
        super_device: 16,
        css_set_subsys: 0,
        css_set_default: 128,
        css_cgroup: 0,
        css_parent: 192,
        cgroup_self: 0,
        cgroup_kn: 256,
        kn_id: 96,
        kn_name: 16,
        has_maple_tree: 1,
        has_task_btf: 0,
        has_task_pt_regs: 0,
        user_regs: 16384 - 168,
        arm64: 0,
        sequence_is_odd: 1,
    };
    assert_eq!(offsets, expected);
    let subsystems = subsystems(&btf);
    assert_eq!(subsystems[11], ("pids".to_owned(), 11));
    assert_eq!(subsystems[13], ("misc".to_owned(), 13));
    assert_eq!(subsystems.len(), 14);
}

/// The BTF of a kernel that `tests/setup.sh` brought; `None` (said on stderr) where it did not.
fn kernel_btf(series: &str) -> Option<Btf> {
    let cache = std::env::var_os("STRATA_TEST_DIR")
        .map_or_else(|| PathBuf::from("/var/cache/strata-test"), PathBuf::from);
    let path = cache.join("kernels").join(series).join("vmlinuz");
    let Ok(image) = fs::read(&path) else {
        eprintln!(
            "skipped: kernel {series} is not at {} (tests/setup.sh)",
            path.display()
        );
        return None;
    };
    for (magic, program) in DECOMPRESSORS {
        let places = image
            .windows(magic.len())
            .enumerate()
            .filter(|(_, bytes)| *bytes == magic);
        for (at, _) in places.take(8) {
            let Some(vmlinux) = decompress(program, image[at..].to_vec()) else {
                continue;
            };
            let Ok(elf) = object::File::parse(&*vmlinux) else {
                continue;
            };
            let section = elf
                .section_by_name(".BTF")
                .expect("section .BTF in vmlinux");
            let data = section.data().expect("data of .BTF").to_vec();
            return Some(Btf::parse(data).expect("BTF of the kernel"));
        }
    }
    eprintln!("skipped: kernel {series} can't be decompressed (lz4, zstd, gzip, xz)");
    None
}

/// Output of a decompressor, which complains of what follows the compressed part.
fn decompress(program: &str, input: Vec<u8>) -> Option<Vec<u8>> {
    let mut child = Command::new(program)
        .arg("-dcq")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take()?;
    let writer = thread::spawn(move || {
        // It closes its input once the rest is not compressed data.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().ok()?.stdout;
    writer.join().ok()?;
    output.starts_with(b"\x7FELF").then_some(output)
}
