//! Identities of processes and files: what is used again is not the same.

use std::collections::HashSet;

use agent_common::executable::FileId;
use agent_common::process::ProcessId;

const PROCESS: ProcessId = ProcessId {
    pid: 4321,
    exec: 3,
    start: 1_234_567_890_123,
};

const FILE: FileId = FileId {
    device: 8 << 20 | 1,
    inode: 123_456,
    change_seconds: 1_700_000_000,
    change_nanoseconds: 123_456_789,
    generation: 987,
    size: 65_536,
};

#[test]
fn a_process_that_took_over_a_pid_is_another_one() {
    let later = ProcessId {
        start: PROCESS.start + 1,
        ..PROCESS
    };
    assert_ne!(later, PROCESS);
    // Even where its image counts its execs from the start, as after a fork.
    assert_ne!(ProcessId { exec: 0, ..later }, PROCESS);
}

#[test]
fn a_process_after_an_exec_in_place_is_another_one() {
    let after = ProcessId {
        exec: PROCESS.exec + 1,
        ..PROCESS
    };
    assert_ne!(after, PROCESS);
}

/// A file written over, one moved into its place, the same inode number on another device.
#[test]
fn a_file_that_took_over_an_inode_is_another_one() {
    let written = FileId {
        change_nanoseconds: FILE.change_nanoseconds + 1,
        ..FILE
    };
    let moved = FileId {
        generation: FILE.generation + 1,
        ..FILE
    };
    let elsewhere = FileId {
        device: FILE.device + 1,
        ..FILE
    };
    for other in [written, moved, elsewhere] {
        assert_ne!(other, FILE);
    }
}

/// Neither the comparison nor a table finds a value by one that differs in any bit.
#[test]
fn every_bit_of_an_identity_counts() {
    let mut processes = HashSet::from([PROCESS]);
    for (name, process) in changes!(PROCESS, ProcessId { pid, exec, start }) {
        assert_ne!(process, PROCESS, "{name}");
        assert!(processes.insert(process), "{name}");
    }
    let mut files = HashSet::from([FILE]);
    let changes = changes!(
        FILE,
        FileId {
            device,
            inode,
            change_seconds,
            change_nanoseconds,
            generation,
            size
        }
    );
    for (name, file) in changes {
        assert_ne!(file, FILE, "{name}");
        assert!(files.insert(file), "{name}");
    }
}
