//! What makes a folder a store: the marker, a text that names format and version, and the lock, which
//! one agent at a time holds.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;

use super::error::StoreError;
use super::folder::{Folder, UNFINISHED, unreadable};

/// Newest version that we know, and the one that we write.
pub const VERSION: u64 = 1;

pub const MARKER: &str = "strata.store";
pub const LOCK: &str = "strata.lock";

const FIRST_LINE: &str = "strata store: OTLP profiles, compressed by zstd";
const MARKER_BYTES: u64 = 512;
/// A file system of its own has this folder from its beginning.
const OF_THE_FILE_SYSTEM: &str = "lost+found";

/// Holds the store in a folder, and makes it one if the folder is empty. It is held as long as the
/// file is open.
pub fn hold(folder: &Folder) -> Result<File, StoreError> {
    // Before anything is written: is this a place for us at all?
    check_content(folder)?;
    let lock = folder.own_file(LOCK, true)?;
    let path = folder.file_path(LOCK);
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::Held {
                path: folder.path().to_owned(),
                pid: holder(&lock),
            });
        }
        Err(TryLockError::Error(error)) => {
            return Err(StoreError::system(&path, "locked", error));
        }
    }
    // Another agent may have made it one meanwhile.
    if check_content(folder)? == Content::Nothing {
        let text = format!("{FIRST_LINE}\nversion {VERSION}\n");
        let written = folder.replace(MARKER, text.as_bytes());
        written.map_err(|error| StoreError::system(&folder.file_path(MARKER), "written", error))?;
    }
    Ok(lock)
}

/// Whether this is a store that we can read.
pub fn check_readable(folder: &Folder) -> Result<(), StoreError> {
    match folder.content(MARKER, MARKER_BYTES) {
        Ok(text) => check_marker(folder, &text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::NoStore {
            path: folder.path().to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(unreadable(folder.path()))
        }
        Err(error) => Err(StoreError::system(&folder.file_path(MARKER), "read", error)),
    }
}

#[derive(PartialEq, Eq)]
enum Content {
    Nothing,
    Store,
}

fn check_content(folder: &Folder) -> Result<Content, StoreError> {
    let failed = |error| StoreError::system(folder.path(), "listed", error);
    let names = folder.names().map_err(failed)?;
    if names.iter().any(|name| name == MARKER) {
        folder.own_file(MARKER, false)?;
        let path = folder.file_path(MARKER);
        let text = folder.content(MARKER, MARKER_BYTES);
        let text = text.map_err(|error| StoreError::system(&path, "read", error))?;
        check_marker(folder, &text)?;
        return Ok(Content::Store);
    }
    // What is left of an agent that was ended while it made the store.
    let begun = [LOCK, OF_THE_FILE_SYSTEM, &format!("{MARKER}{UNFINISHED}")];
    match names.into_iter().find(|name| !begun.contains(&&**name)) {
        None => Ok(Content::Nothing),
        Some(found) => Err(StoreError::Foreign {
            path: folder.path().to_owned(),
            found,
        }),
    }
}

fn check_marker(folder: &Folder, text: &[u8]) -> Result<(), StoreError> {
    let odd = |what| StoreError::Marker {
        path: folder.file_path(MARKER),
        what,
    };
    let text = str::from_utf8(text).map_err(|_| odd("not a text"))?;
    let mut lines = text.lines();
    // A later version may keep other things.
    let ours = lines
        .next()
        .is_some_and(|line| line.starts_with("strata store"));
    if !ours {
        return Err(odd("another first line"));
    }
    let version = lines.find_map(|line| line.strip_prefix("version ")?.parse::<u64>().ok());
    match version {
        Some(version) if version > VERSION => Err(StoreError::Newer {
            path: folder.path().to_owned(),
            version,
        }),
        Some(1..) => Ok(()),
        _ => Err(odd("no version")),
    }
}

/// The process that holds the lock, as far as the kernel shows it: not if it is in another PID
/// namespace.
fn holder(lock: &File) -> Option<u32> {
    let inode = lock.metadata().ok()?.ino().to_string();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let found = locks.lines().filter_map(|line| {
        // `1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF`; those that wait have an arrow.
        let mut words = line.split_whitespace().skip(1);
        let is_lock = words.next()? == "FLOCK";
        let pid = words.nth(2)?.parse().ok().filter(|&pid| pid > 0)?;
        // The device is another than `stat` says on some file systems, so only the inode counts.
        let same = words.next()?.rsplit(':').next()? == inode;
        (is_lock && same).then_some(pid)
    });
    let mut found: Vec<u32> = found.collect();
    found.dedup();
    match found[..] {
        [pid] => Some(pid),
        _ => None,
    }
}
