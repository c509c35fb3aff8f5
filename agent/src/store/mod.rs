//! The local store: what the agent recorded, kept on disk within bounds. It is also the spool of the
//! exporters: each destination has a place in it up to which it has acknowledged.
//!
//! Knows messages as bytes with a time; never what is in them.

mod append;
mod clock;
mod cursor;
mod destination;
mod error;
mod folder;
mod marker;
mod opening;
mod reading;
mod record;
mod segment;
mod state;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use append::Writer;
use clock::Clock;
pub use error::StoreError;
use folder::Folder;
use state::State;

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
    /// Messages dropped, by cause: `bytes`, `age`, `disk_full`, `half_written`, `damaged`, `io_error`,
    /// `too_large`.
    pub dropped: BTreeMap<&'static str, u64>,
    /// By destination: those that were not acknowledged, and of these the ones dropped before.
    pub destinations: BTreeMap<String, Waiting>,
}

#[derive(Clone, Debug, Default)]
pub struct Waiting {
    pub messages: u64,
    /// On disk, compressed.
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

/// A store that this process holds.
pub struct Store {
    folder: Folder,
    clock: Clock,
    /// The files of the cursors, then the writing end, then what is known: locked in this order. The
    /// first two may be held while the disk is waited for, the last never is.
    cursors: Mutex<()>,
    writer: Mutex<Writer>,
    state: Mutex<State>,
    appended: watch::Sender<u64>,
    lock: File,
}

impl Store {
    /// Opens or makes the store in a folder, and holds it until dropped.
    pub fn open(folder: &Path, limits: Limits) -> Result<Self, StoreError> {
        Self::open_at(folder, limits, Clock::of_this_machine())
    }

    fn open_at(folder: &Path, limits: Limits, clock: Clock) -> Result<Self, StoreError> {
        let folder = Folder::to_hold(folder)?;
        let lock = marker::hold(&folder)?;
        let state = opening::take_stock(&folder, clock.now(), limits.age)?;
        let last = state.next - 1;
        let store = Self {
            folder,
            clock,
            writer: Mutex::new(Writer::new(limits)),
            cursors: Mutex::new(()),
            state: Mutex::new(state),
            appended: watch::Sender::new(last),
            lock,
        };
        store.limit(limits);
        Ok(store)
    }

    /// Appends; the messages are on disk when this returns. Also drops what is too old, so it is to
    /// be called now and then, if only with nothing. After an error, what was not kept is counted,
    /// and the store can be used as before.
    pub fn append(&self, batch: &[Message]) -> Result<(), StoreError> {
        self.append_all(batch)
    }

    /// Makes a destination known. One that is new begins with what is appended from now on.
    pub fn register(&self, destination: &str) -> Result<(), StoreError> {
        self.make_known(destination)
    }

    /// Says that nobody ships to a destination any more. Its place is kept for a while, should
    /// somebody register it again.
    pub fn unregister(&self, destination: &str) {
        self.forget(destination);
    }

    /// The oldest message that a destination has not acknowledged.
    pub fn next(&self, destination: &str) -> Result<Option<Stored>, StoreError> {
        self.oldest_waiting(destination)
    }

    /// All up to this message needs not be given to the destination again, which is on disk when
    /// this returns. After an error it may not be on disk, and holds all the same until the store
    /// is closed.
    pub fn acknowledge(&self, destination: &str, sequence: u64) -> Result<(), StoreError> {
        self.advance(destination, sequence)
    }

    /// The sequence of the last message; changes with each append.
    pub fn appended(&self) -> watch::Receiver<u64> {
        self.appended.subscribe()
    }

    /// Takes other limits; what is over them is dropped.
    pub fn limit(&self, limits: Limits) {
        let mut writer = lock(&self.writer);
        writer.limits = limits;
        if let Err(error) = self.keep_limits(&mut writer) {
            tracing::warn!("The store is still over its limits: {error}");
        }
    }

    pub fn status(&self) -> Status {
        lock(&self.state).status()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Closing it would not do while a command that is just being started has a copy.
        drop(self.lock.unlock());
    }
}

/// Reads the messages of a store that cover some of a window (ns since 1970), the oldest first,
/// while an agent may be writing to it.
pub fn read(
    folder: &Path,
    window: Range<u64>,
    take: impl FnMut(Stored) -> ControlFlow<()>,
) -> Result<Read, StoreError> {
    let folder = Folder::to_read(folder)?;
    marker::check_readable(&folder)?;
    reading::read(&folder, &window, take)
}

/// Whoever held it before and panicked has left nothing half done that matters: the files say what
/// is there.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
