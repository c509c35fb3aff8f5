//! Layouts of the ring buffer's records: the committed object writes these bytes, whatever agent
//! reads them.

use agent_common::code::Text;
use agent_common::executable::FileId;
use agent_common::process::ProcessId;
use agent_common::record::{
    Announcement, CGROUP_NAMES, CgroupName, Code, Deferred, Header, Lines, Sample, Stack, Thread,
    kind, section,
};
use agent_common::stack::{NativeFrame, PythonEntry, StackShape};

#[test]
fn kinds_and_sections_keep_their_numbers() {
    let kinds = [
        kind::SAMPLE,
        kind::STACK,
        kind::CODE,
        kind::LINES,
        kind::THREAD,
        kind::EXECUTABLE,
        kind::DEFERRED,
        kind::DEFERRED_KERNEL,
    ];
    assert_eq!(kinds, [1, 2, 3, 4, 5, 6, 7, 8]);
    let sections = [section::KERNEL, section::NATIVE, section::PYTHON];
    assert_eq!(sections, [0, 1, 2]);
}

#[test]
fn parts_of_records() {
    layout!(Header, 8, { kind: u16 = 0, version: u16 = 2, size: u32 = 4 });
    layout!(ProcessId, 16, { pid: u32 = 0, exec: u32 = 4, start: u64 = 8 });
    layout!(FileId, 40, {
        device: u64 = 0,
        inode: u64 = 8,
        change_seconds: i64 = 16,
        change_nanoseconds: u32 = 24,
        generation: u32 = 28,
        size: u64 = 32,
    });
    layout!(StackShape, 16, {
        kernel: u16 = 0,
        native: u16 = 2,
        python: u16 = 4,
        chain: u8 = 6,
        native_end: u8 = 7,
        python_end: u8 = 8,
        python_walked: u8 = 9,
        padding: [u8; 6] = 10,
    });
    layout!(NativeFrame, 16, { offset: u64 = 0, executable: u32 = 8, flags: u32 = 12 });
    layout!(PythonEntry, 24, {
        code: u64 = 0,
        signature: u64 = 8,
        instruction: i32 = 16,
        kind: u32 = 20,
    });
    layout!(Text, 256, { length: u64 = 0, state: u32 = 8, stored: u32 = 12, data: [u8; 240] = 16 });
}

#[test]
fn samples_and_stacks() {
    layout!(Sample, 88, {
        header: Header = 0,
        time: u64 = 8,
        stack: u64 = 16,
        context: u64 = 24,
        process: ProcessId = 32,
        thread: u32 = 48,
        cpu: u32 = 52,
        value: u64 = 56,
        weight: u32 = 64,
        event: u32 = 68,
        shape: StackShape = 72,
    });
    layout!(Stack, 56, {
        header: Header = 0,
        stack: u64 = 8,
        process: ProcessId = 16,
        shape: StackShape = 32,
        section: u16 = 48,
        first: u16 = 50,
        count: u16 = 52,
        padding: u16 = 54,
    });
    layout!(Deferred, 408, {
        sample: Sample = 0,
        pc: u64 = 88,
        sp: u64 = 96,
        fp: u64 = 104,
        stored: u32 = 112,
        padding: u32 = 116,
        registers: [u64; 36] = 120,
    });
}

#[test]
fn names_and_announcements() {
    layout!(Code, 568, {
        header: Header = 0,
        process: ProcessId = 8,
        code: u64 = 24,
        signature: u64 = 32,
        linetable: u64 = 40,
        python: u32 = 48,
        first_line: i32 = 52,
        name: Text = 56,
        file: Text = 312,
    });
    layout!(Lines, 56, {
        header: Header = 0,
        process: ProcessId = 8,
        code: u64 = 24,
        signature: u64 = 32,
        size: u64 = 40,
        stored: u32 = 48,
        padding: u32 = 52,
    });
    layout!(CgroupName, 96, { text: [u8; 96] = 0 });
    layout!(Thread, 448, {
        header: Header = 0,
        process: ProcessId = 8,
        thread: u32 = 24,
        cgroup_levels: u32 = 28,
        name: [u8; 16] = 32,
        process_name: [u8; 16] = 48,
        cgroups: [CgroupName; CGROUP_NAMES] = 64,
    });
    layout!(Announcement, 152, {
        header: Header = 0,
        process: ProcessId = 8,
        file: FileId = 24,
        start: u64 = 64,
        end: u64 = 72,
        offset: u64 = 80,
        name: [u8; 64] = 88,
    });
}
