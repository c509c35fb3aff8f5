//! Disks that are full or refuse.

use std::process::Command;

use super::crash::{task, test_process};
use super::*;

/// A file system of 1 MiB.
struct Small(TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs"]);
        let mounted = mount.arg(folder.path()).status();
        if !mounted.is_ok_and(|status| status.success()) {
            skip("no file system can be mounted here");
            return None;
        }
        Some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(status.unwrap().success());
    }
}

#[test]
fn a_full_disk_loses_the_oldest() {
    let Some(disk) = Small::mount() else {
        return;
    };
    // More than there is, in segments of 128 KiB.
    let limits = Limits {
        bytes: 2 << 20,
        ..SMALL
    };
    let store = Store::open(disk.path(), limits).unwrap();
    store.register("collector").unwrap();
    for number in 0..200u64 {
        let batch: Vec<Message> = (0..3).map(|it| sized(3 * number + it, 7000)).collect();
        store.append(&batch).unwrap();
        // A place is noted though there is no room.
        if number % 50 == 49 {
            let next = store.next("collector").unwrap().unwrap();
            store.acknowledge("collector", next.sequence).unwrap();
        }
    }
    let status = store.status();
    let left = numbers(disk.path());
    assert_eq!(left, (600 - status.messages..600).collect::<Vec<_>>());
    assert!(status.messages > 70);
    assert_eq!(dropped(&store), [("disk_full", 600 - status.messages)]);
    let waiting = &status.destinations["collector"];
    assert_eq!(waiting.messages + waiting.dropped, 600 - 4);
    drop(store);
    let store = Store::open(disk.path(), limits).unwrap();
    assert_eq!(dropped(&store), []);
    assert_eq!(numbers(disk.path()), left);
}

#[test]
fn a_disk_that_others_filled() {
    let Some(disk) = Small::mount() else {
        return;
    };
    let store = Store::open(disk.path(), SMALL).unwrap();
    store.register("collector").unwrap();
    for number in 0..10 {
        store.append(&[sized(number, 10_000)]).unwrap();
    }
    let other = disk.path().join("core");
    drop(fs::write(&other, vec![1; 2 << 20]));
    assert!(fs::metadata(&other).unwrap().len() < 1 << 20);
    // The oldest make room, and the rest is as it was.
    store.append(&[sized(10, 30_000)]).unwrap();
    let left = numbers(disk.path());
    assert_eq!(*left.last().unwrap(), 10);
    // What does not fit anyhow is dropped, and nothing half written stays.
    let error = store
        .append(&[sized(11, 900_000), sized(12, 100)])
        .unwrap_err();
    assert!(
        matches!(error, StoreError::Full { messages: 2, .. }),
        "{error}"
    );
    let files = segments(disk.path());
    let bytes: u64 = files.iter().map(|it| fs::metadata(it).unwrap().len()).sum();
    assert_eq!(bytes, store.status().bytes);
    // It goes on.
    store.append(&[sized(13, 10_000)]).unwrap();
    assert_eq!(*numbers(disk.path()).last().unwrap(), 13);
    fs::remove_file(&other).unwrap();
    store.append(&[sized(14, 100_000)]).unwrap();
    let kept = numbers(disk.path());
    assert_eq!(drain(&store, "collector"), kept);
    let waiting = &store.status().destinations["collector"];
    assert_eq!(waiting.dropped, 15 - kept.len() as u64);
    assert_eq!(dropped(&store), [("disk_full", 15 - kept.len() as u64)]);
}

/// Any other error of the disk: a limit on the size of files gives one, and cuts writes short.
#[test]
fn an_error_of_the_disk_poisons_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let child = test_process(module_path!(), "meets_errors", folder.path(), 0);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("met them"),
        "{said}"
    );
}

/// Not a test by itself.
#[test]
fn meets_errors() {
    let Some((folder, _)) = task() else {
        return;
    };
    // SAFETY: no handler is installed. By default, a file that would get too large ends the process.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let limit = nix::sys::resource::Resource::RLIMIT_FSIZE;
    nix::sys::resource::setrlimit(limit, 100_000, 100_000).unwrap();
    let store = open(&folder);
    store.register("collector").unwrap();
    store.append(&[sized(0, 60_000)]).unwrap();
    // Tried again in another segment.
    store.append(&[sized(1, 60_000)]).unwrap();
    assert_eq!(segments(&folder).len(), 2);
    let batch = [sized(2, 1000), sized(3, 200_000), sized(4, 1000)];
    let error = store.append(&batch).unwrap_err();
    assert!(
        matches!(error, StoreError::NotKept { messages: 2, .. }),
        "{error}"
    );
    store.append(&[sized(5, 60_000)]).unwrap();
    assert_eq!(numbers(&folder), [0, 1, 2, 5]);
    assert_eq!(dropped(&store), [("io_error", 2)]);
    assert_eq!(drain(&store, "collector"), [0, 1, 2, 5]);
    drop(store);
    assert_eq!(dropped(&open(&folder)), []);
    println!("met them");
}
