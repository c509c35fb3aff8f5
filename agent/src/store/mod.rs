//! The local store: what the agent recorded, kept on disk within bounds. It is also the spool of the
//! exporters: each destination has a place in it up to which it has acknowledged.
//!
//! Knows messages as bytes with a time; never what is in them.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::time::Duration;

/// A message as it is sent: an encoded `ExportProfilesServiceRequest`, which is a `ProfilesData` too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// ns since 1970: the time that its profiles cover.
    pub start: u64,
    pub end: u64,
    pub samples: u64,
    /// Less than 4 MiB.
    pub bytes: Vec<u8>,
}

/// A message in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Counts the messages of a store from 1 on, in the order in which they were recorded.
    pub sequence: u64,
    pub message: Message,
}

/// Bounds of a store. What is over them is dropped, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub bytes: u64,
    pub age: Duration,
}

/// What is in a store, and what came of what was put into it since it was opened.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub bytes: u64,
    pub messages: u64,
    pub segments: u64,
    /// ns since 1970.
    pub oldest: Option<u64>,
    pub newest: Option<u64>,
    pub appended: u64,
    /// Messages dropped, by cause: `bytes`, `age`, `disk_full`, `half_written`, `damaged`.
    pub dropped: BTreeMap<&'static str, u64>,
    /// By destination: those that were not acknowledged, and of these the ones dropped before.
    pub destinations: BTreeMap<String, Waiting>,
}

#[derive(Clone, Debug, Default)]
pub struct Waiting {
    pub messages: u64,
    pub bytes: u64,
    /// Messages that were dropped before they were acknowledged.
    pub dropped: u64,
    /// ns since 1970: the end of the oldest that waits.
    pub oldest: Option<u64>,
}

/// What reading a store came upon.
#[derive(Clone, Copy, Debug, Default)]
pub struct Read {
    pub messages: u64,
    pub damaged: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("not there yet")]
    Todo,
}

/// A store that this process holds.
pub struct Store;

impl Store {
    /// Opens or makes the store in a folder, and holds it until dropped.
    pub fn open(_folder: &Path, _limits: Limits) -> Result<Self, StoreError> {
        Err(StoreError::Todo)
    }

    /// Appends; the messages are on disk when this returns.
    pub fn append(&self, _batch: &[Message]) -> Result<(), StoreError> {
        Err(StoreError::Todo)
    }

    /// Makes a destination known. One that is new begins with what is appended from now on.
    pub fn register(&self, _destination: &str) -> Result<(), StoreError> {
        Err(StoreError::Todo)
    }

    /// The oldest message that a destination has not acknowledged.
    pub fn next(&self, _destination: &str) -> Result<Option<Stored>, StoreError> {
        Err(StoreError::Todo)
    }

    /// All up to this message needs not be given to the destination again, which is on disk when
    /// this returns.
    pub fn acknowledge(&self, _destination: &str, _sequence: u64) -> Result<(), StoreError> {
        Err(StoreError::Todo)
    }

    /// The sequence of the last message; changes with each append.
    pub fn appended(&self) -> tokio::sync::watch::Receiver<u64> {
        tokio::sync::watch::channel(0).1
    }

    pub fn limit(&self, _limits: Limits) {}

    pub fn status(&self) -> Status {
        Status::default()
    }
}

/// Reads the messages of a store that cover some of a window (ns since 1970), the oldest first,
/// while an agent may be writing to it.
pub fn read(
    _folder: &Path,
    _window: Range<u64>,
    _take: impl FnMut(Stored) -> ControlFlow<()>,
) -> Result<Read, StoreError> {
    Err(StoreError::Todo)
}
