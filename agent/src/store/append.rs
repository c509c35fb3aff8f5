//! The writing end: appends, closes segments, drops the oldest.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::time::Duration;

use super::clock::{Now, nanoseconds};
use super::error::{StoreError, is_full};
use super::record::{Header, MESSAGE_BYTES, SEQUENCES, record};
use super::{Limits, Message, Store, cursor, lock, segment};

/// Bounds of a segment. Whole segments are dropped, so a store has at least some 16 of them.
const SEGMENT_BYTES: u64 = 8 << 20;
const LEAST_SEGMENT_BYTES: u64 = 64 << 10;
const SEGMENT_AGE: Duration = Duration::from_mins(10);
const SEGMENTS: u64 = 16;
/// Where a store lasts long, a segment does too.
const MOST_BY_AGE: u32 = 144;

/// For how long a cursor is kept whose destination nobody ships to.
const UNCLAIMED: Duration = Duration::from_hours(1);

pub struct Writer {
    pub limits: Limits,
    /// The segment that is written to.
    file: Option<File>,
    first: u64,
    /// Whether its name may not be on disk.
    new: bool,
    begun: u64,
    /// Behind its last record, and those that are not known to be on disk.
    end: u64,
    pending: Vec<Header>,
}

impl Writer {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            file: None,
            first: 0,
            new: false,
            begun: 0,
            end: 0,
            pending: Vec::new(),
        }
    }

    fn pending_bytes(&self) -> u64 {
        self.pending.iter().map(Header::record_bytes).sum()
    }

    fn segment_bytes(&self) -> u64 {
        (self.limits.bytes / SEGMENTS).clamp(LEAST_SEGMENT_BYTES, SEGMENT_BYTES)
    }

    fn segment_age(&self) -> u64 {
        let age = self.limits.age;
        let long = SEGMENT_AGE.max(age / MOST_BY_AGE);
        nanoseconds(long.min(age / SEGMENTS as u32))
    }

    fn is_full(&self, more: u64, now: Now) -> bool {
        let long = now.since_boot.saturating_sub(self.begun) >= self.segment_age();
        self.end > 0 && (long || self.end + more > self.segment_bytes())
    }
}

impl Store {
    pub(super) fn append_all(&self, batch: &[Message]) -> Result<(), StoreError> {
        let mut writer = lock(&self.writer);
        let now = self.clock.now();
        if let Err(error) = self.drop_old(&mut writer, now) {
            return Err(self.give_up(batch, error));
        }
        let mut done = 0;
        let mut together = batch.len();
        let mut tried_again = false;
        let mut freed = 0;
        while done < batch.len() {
            let some = batch.len().min(done + together);
            let Err(error) = self.write(&mut writer, &batch[..some], &mut done, now) else {
                continue;
            };
            self.roll_back(&mut writer, &error);
            // What does not fit at once may fit bit by bit.
            together = 1;
            let again = if is_full(&error) {
                let message = batch.get(done).map_or(0, |it| it.bytes.len() as u64);
                let enough = 2 * (message + writer.segment_bytes());
                // Others may take the room as fast as it is made: they don't get all of it.
                match (freed < enough).then(|| self.drop_oldest(&mut writer, "disk_full")) {
                    Some(Ok(Some(bytes))) => {
                        freed += bytes;
                        true
                    }
                    _ => false,
                }
            } else {
                !std::mem::replace(&mut tried_again, true)
            };
            if !again {
                return Err(self.give_up(&batch[done..], error));
            }
        }
        match batch.iter().map(|it| it.bytes.len()).max() {
            Some(bytes) if bytes > MESSAGE_BYTES => Err(StoreError::TooLarge {
                bytes: bytes as u64,
                limit: MESSAGE_BYTES as u64,
            }),
            _ => Ok(()),
        }
    }

    fn give_up(&self, rest: &[Message], source: io::Error) -> StoreError {
        let messages = rest.len() as u64;
        let full = is_full(&source);
        let cause = if full { "disk_full" } else { "io_error" };
        lock(&self.state).count_refused(cause, messages);
        let path = self.folder.path().to_owned();
        match full {
            true => StoreError::Full { path, messages },
            false => StoreError::NotKept {
                path,
                messages,
                source,
            },
        }
    }

    /// Writes the messages behind the first `done` ones. Those are on disk; on an error, the others
    /// may be or not, and nobody sees them.
    fn write(
        &self,
        writer: &mut Writer,
        batch: &[Message],
        done: &mut usize,
        now: Now,
    ) -> io::Result<()> {
        self.look_after(writer)?;
        for (index, message) in batch.iter().enumerate().skip(*done) {
            if message.bytes.len() > MESSAGE_BYTES {
                self.refuse(writer, "too_large")?;
                *done = index + 1;
                continue;
            }
            let sequence = lock(&self.state).next + writer.pending.len() as u64;
            if sequence >= SEQUENCES {
                // Not in the life of any machine, but a file may say so.
                return Err(io::Error::other("its sequences are used up"));
            }
            let (header, bytes) = record(message, sequence, now)?;
            let length = header.record_bytes();
            if length > writer.limits.bytes {
                self.refuse(writer, "bytes")?;
                *done = index + 1;
                continue;
            }
            if writer.is_full(length, now) {
                self.commit(writer)?;
                *done = index;
                writer.file = None;
            }
            while self.bytes() + writer.pending_bytes() + length > writer.limits.bytes {
                if lock(&self.state).segments.len() <= 1 {
                    // It may be the one that is written to.
                    self.commit(writer)?;
                    *done = index;
                }
                self.drop_oldest(writer, "bytes")?;
            }
            if writer.file.is_none() {
                self.begin(writer, sequence, now)?;
            }
            if let Some(file) = &writer.file {
                file.write_all_at(&bytes, writer.end)?;
            }
            writer.end += length;
            writer.pending.push(header);
        }
        self.commit(writer)?;
        *done = batch.len();
        Ok(())
    }

    /// Ends a segment that somebody took away: what is written to it would be lost.
    fn look_after(&self, writer: &mut Writer) -> io::Result<()> {
        if let Some(file) = &writer.file
            && file.metadata()?.nlink() == 0
        {
            writer.file = None;
            lock(&self.state).drop_segment(writer.first, "damaged");
        }
        Ok(())
    }

    fn refuse(&self, writer: &mut Writer, cause: &'static str) -> io::Result<()> {
        self.commit(writer)?;
        lock(&self.state).count_refused(cause, 1);
        Ok(())
    }

    /// Begins a segment.
    fn begin(&self, writer: &mut Writer, first: u64, now: Now) -> io::Result<()> {
        let name = segment::name(first);
        // What has this name holds nothing: no message has had this sequence.
        self.folder.remove(&name)?;
        writer.file = Some(self.folder.create(&name)?);
        writer.new = true;
        (writer.first, writer.end, writer.begun) = (first, 0, now.since_boot);
        Ok(())
    }

    /// Has on disk what was written, and then everybody sees it.
    fn commit(&self, writer: &mut Writer) -> io::Result<()> {
        let Some(file) = writer.file.as_ref().filter(|_| !writer.pending.is_empty()) else {
            return Ok(());
        };
        file.sync_data()?;
        if writer.new {
            self.folder.sync()?;
            writer.new = false;
        }
        let last = {
            let mut state = lock(&self.state);
            for header in writer.pending.drain(..) {
                state.add(writer.first, &header);
            }
            state.next - 1
        };
        self.appended.send_replace(last);
        Ok(())
    }

    /// Takes away what was written and is not known to be on disk.
    fn roll_back(&self, writer: &mut Writer, error: &io::Error) {
        writer.pending.clear();
        let segment = lock(&self.state).segments.get(&writer.first).copied();
        writer.end = segment.map_or(0, |segment| segment.bytes);
        let cut = writer.file.as_ref().map(|file| file.set_len(writer.end));
        // After another error than that, the file itself may be bad.
        if !is_full(error) || !matches!(cut, Some(Ok(()))) || segment.is_none() {
            writer.file = None;
            if segment.is_none() && writer.first > 0 {
                drop(self.folder.remove(&segment::name(writer.first)));
            }
        }
    }

    fn bytes(&self) -> u64 {
        lock(&self.state).bytes()
    }

    fn oldest_segment(&self) -> Option<u64> {
        lock(&self.state).segments.keys().next().copied()
    }

    /// Drops the oldest segment; its bytes, or None if there is none.
    fn drop_oldest(&self, writer: &mut Writer, cause: &'static str) -> io::Result<Option<u64>> {
        let oldest = {
            let mut state = lock(&self.state);
            let oldest = state.segments.iter().next();
            let oldest = oldest.map(|(&first, segment)| (first, segment.bytes));
            if let Some((first, _)) = oldest {
                state.drop_segment(first, cause);
            }
            oldest
        };
        let Some((first, bytes)) = oldest else {
            return Ok(None);
        };
        if first == writer.first {
            writer.file = None;
        }
        self.folder.remove(&segment::name(first))?;
        Ok(Some(bytes))
    }

    /// Drops what is too old, and cursors that nobody needs.
    fn drop_old(&self, writer: &mut Writer, now: Now) -> io::Result<()> {
        let age = nanoseconds(writer.limits.age);
        let old = lock(&self.state).too_old(age, now);
        while self
            .oldest_segment()
            .is_some_and(|first| Some(first) <= old)
        {
            self.drop_oldest(writer, "age")?;
        }
        let useless: Vec<String> = {
            let mut state = lock(&self.state);
            let oldest = state.segments.keys().next().copied().unwrap_or(state.next);
            let open_for = now.since_boot.saturating_sub(state.opened);
            let long = open_for > nanoseconds(UNCLAIMED);
            let all = state
                .unclaimed
                .extract_if(.., |_, acknowledged| long && *acknowledged + 1 < oldest);
            all.map(|(destination, _)| destination).collect()
        };
        for destination in useless {
            self.folder.remove(&cursor::file_name(&destination))?;
        }
        Ok(())
    }

    /// Room for something small on a full disk: the oldest messages go.
    pub(super) fn make_room(&self) -> bool {
        let mut writer = lock(&self.writer);
        matches!(self.drop_oldest(&mut writer, "disk_full"), Ok(Some(_)))
    }

    /// Drops what is over the limits.
    pub(super) fn keep_limits(&self, writer: &mut Writer) -> Result<(), StoreError> {
        let mut fit = || {
            self.drop_old(writer, self.clock.now())?;
            while self.bytes() > writer.limits.bytes {
                self.drop_oldest(writer, "bytes")?;
            }
            Ok(())
        };
        fit().map_err(|error| StoreError::system(self.folder.path(), "written to", error))
    }
}
