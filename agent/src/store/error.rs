//! Why a store can't be used, and what helps.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::marker::VERSION;

#[derive(Debug, Error)]
pub enum StoreError {
    #[error(
        "The store {path} is held by another agent{}; stop that one, or give this one a folder of \
         its own.", holder(*pid)
    )]
    Held { path: PathBuf, pid: Option<u32> },
    #[error(
        "The store {path} is of version {version}, and this strata knows versions up to {VERSION}; \
         use the strata that made it, or give another folder."
    )]
    Newer { path: PathBuf, version: u64 },
    #[error(
        "The folder {path} holds other data ({found}) and no store, so it was left alone; give an \
         empty folder, or one that is not there yet."
    )]
    Foreign { path: PathBuf, found: String },
    #[error(
        "{path} is not what strata writes there ({what}), so nothing in the folder was used; \
         move the folder out of the way, and a new store will be made."
    )]
    Marker { path: PathBuf, what: &'static str },
    #[error(
        "There is no store in {path}; `strata agent` makes one, or give the folder of another."
    )]
    NoStore { path: PathBuf },
    #[error(
        "{path} is a link, which may lead anywhere and be changed by others; give the folder \
         itself, with nothing but strata's own files in it."
    )]
    Link { path: PathBuf },
    #[error(
        "{path} belongs to user {owner} and not to root or to the user that strata runs as \
         ({user}), who could change what it holds; change its owner by chown, or give another \
         folder."
    )]
    Owner {
        path: PathBuf,
        owner: u32,
        user: u32,
    },
    #[error(
        "{path} can be written to by others than its owner (mode {mode:04o}); take that away by \
         `chmod go-w`, or give another folder."
    )]
    Writable { path: PathBuf, mode: u32 },
    #[error("{path} is not a folder; give one, or a path where nothing is yet.")]
    NotAFolder { path: PathBuf },
    #[error("{path} is not a regular file, as all files of a store are; take it away.")]
    NotAFile { path: PathBuf },
    #[error(
        "The store {path} can't be read by user {user}: what an agent keeps can be read by the user \
         that the agent runs as, and by root; try again with sudo."
    )]
    Unreadable { path: PathBuf, user: u32 },
    #[error(
        "{path} can't be used by user {user}: permission denied; run strata as root, or give a \
         folder of this user's by --store."
    )]
    Denied { path: PathBuf, user: u32 },
    #[error(
        "The disk that holds {path} is full, also without the older messages, so {messages} messages \
         were not kept; free some space."
    )]
    Full { path: PathBuf, messages: u64 },
    #[error(
        "{messages} messages can't be kept in {path}: {source}; the next ones will be tried again. \
         If it stays so, look after the disk."
    )]
    NotKept {
        path: PathBuf,
        messages: u64,
        source: io::Error,
    },
    #[error(
        "A message of {bytes} bytes was not kept, since none may have more than {limit}; this is a \
         bug in strata, please report it."
    )]
    TooLarge { bytes: u64, limit: u64 },
    #[error(
        "The destination `{name}` is not registered; this is a bug in strata, please report it."
    )]
    Unknown { name: String },
    #[error("The name of a destination has {bytes} bytes; give it one of 1 to {limit}.")]
    Name { bytes: usize, limit: usize },
    #[error("{path} can't be {doing}: {source}; look after the disk and the rights of the folder.")]
    Io {
        path: PathBuf,
        doing: &'static str,
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})"))
        .unwrap_or_default()
}

impl StoreError {
    /// What the system said of `path`, in words.
    pub(super) fn system(path: &Path, doing: &'static str, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => Self::Denied { path, user: user() },
            Some(libc::ELOOP) => Self::Link { path },
            Some(libc::ENOTDIR) => Self::NotAFolder { path },
            _ => Self::Io {
                path,
                doing,
                source,
            },
        }
    }
}

/// The user that we are, as far as files are concerned.
pub(super) fn user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Whether there is no room, on the disk or in somebody's share of it.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
}

/// Whether the disk could not read or give back what was written.
pub(super) fn is_broken(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EIO | libc::EUCLEAN | libc::EBADMSG)
    )
}
