//! Files that settings name: read whole within a bound, and known again by what changes with them.

use std::fs::{File, metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::error::SettingError;

/// A certificate has some KB; a bundle of all public roots 200.
const MOST_BYTES: u64 = 4 << 20;

pub fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, SettingError> {
    let unreadable = |cause| SettingError::Unreadable {
        what,
        path: path.to_owned(),
        cause,
    };
    // A pipe would never end, so only plain files are opened.
    if !metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::Error::other("it is no plain file")));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    let mut some = file.take(MOST_BYTES + 1);
    some.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(SettingError::TooLarge {
            what,
            path: path.to_owned(),
            most: MOST_BYTES,
        });
    }
    Ok(bytes)
}

/// What a file looks like from outside: another one, also behind a link, looks different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Look {
    /// Nothing if there is no such file.
    pub fn at(path: &Path) -> Option<Self> {
        let file = metadata(path).ok()?;
        Some(Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}
