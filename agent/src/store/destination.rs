//! The reading ends: each destination takes the messages in order, and says which it has got.

use std::fs::File;
use std::io;

use super::error::{StoreError, is_broken, is_full};
use super::record::{Header, SEQUENCES};
use super::segment::{self, Segment, Walk};
use super::state::{Place, State};
use super::{Store, Stored, cursor, lock};

impl Store {
    pub(super) fn make_known(&self, destination: &str) -> Result<(), StoreError> {
        let limit = cursor::NAME_BYTES;
        let bytes = destination.len();
        if bytes == 0 || bytes > limit {
            return Err(StoreError::Name { bytes, limit });
        }
        let _order = lock(&self.cursors);
        let file_name = cursor::file_name(destination);
        let acknowledged = {
            let mut state = lock(&self.state);
            if state.places.contains_key(destination) {
                return Ok(());
            }
            let damaged = state.damaged_cursors.contains(&file_name);
            let acknowledged = state.unclaimed.get(destination).copied();
            let acknowledged = acknowledged.or(damaged.then_some(0));
            if acknowledged.is_none() {
                let place = end(&state);
                state.places.insert(destination.to_owned(), place);
            }
            acknowledged
        };
        let known = match acknowledged {
            Some(acknowledged) => self.find(destination, acknowledged),
            None => Ok(()),
        };
        // On disk at once, so that a crash before the first acknowledgement loses nothing.
        let known = known.and_then(|()| {
            let acknowledged = known_place(&lock(&self.state), destination)?.acknowledged;
            self.write_cursor(destination, acknowledged)
        });
        let mut state = lock(&self.state);
        match known {
            Ok(()) => {
                state.unclaimed.remove(destination);
                state.damaged_cursors.remove(&file_name);
                Ok(())
            }
            Err(error) => {
                state.places.remove(destination);
                Err(error)
            }
        }
    }

    pub(super) fn forget(&self, destination: &str) {
        let mut state = lock(&self.state);
        if let Some(place) = state.places.remove(destination) {
            let cursor = (destination.to_owned(), place.acknowledged);
            state.unclaimed.extend([cursor]);
        }
    }

    pub(super) fn oldest_waiting(&self, destination: &str) -> Result<Option<Stored>, StoreError> {
        loop {
            let (before, mut place, segment, below) = {
                let state = lock(&self.state);
                let before = known_place(&state, destination)?;
                let mut place = before;
                let Some(segment) = state.settle(&mut place) else {
                    return Ok(None);
                };
                (before, place, segment, below(&state, place.segment))
            };
            let Some(file) = self.segment_file(place.segment)? else {
                continue;
            };
            let at = place.offset;
            let found = self.look(&file, place, &segment, below)?;
            let message = match &found {
                Some(header) => match segment::message(&file, at, header) {
                    Err(error) if !is_broken(&error) => return Err(self.unread(place, error)),
                    message => message.ok().flatten(),
                },
                None => None,
            };
            if let (Some(header), Some(message)) = (found, message) {
                let sequence = header.sequence;
                return Ok(Some(Stored { sequence, message }));
            }
            // Damaged: without its header, nobody knows where the next one begins.
            let lost = match found {
                Some(header) => {
                    place.offset += header.record_bytes();
                    place.index += 1;
                    1
                }
                None => {
                    let lost = segment.messages.saturating_sub(place.index);
                    (place.offset, place.index) = (segment.bytes, segment.messages);
                    lost
                }
            };
            place.dropped += lost;
            lock(&self.state).count_damaged(place.segment, at, lost);
            let after = self.behind(place, place.acknowledged)?;
            replace(&mut lock(&self.state), destination, before, after);
        }
    }

    pub(super) fn advance(&self, destination: &str, sequence: u64) -> Result<(), StoreError> {
        let _order = lock(&self.cursors);
        let acknowledged = loop {
            let before = {
                let state = lock(&self.state);
                known_place(&state, destination)?
            };
            let sequence = sequence.min(lock(&self.state).next - 1);
            if sequence <= before.acknowledged {
                return Ok(());
            }
            let mut place = self.behind(before, sequence)?;
            place.acknowledged = sequence;
            let mut state = lock(&self.state);
            // A message that came meanwhile is the oldest that waits now.
            if place.oldest.is_none() && state.settle(&mut place.clone()).is_some() {
                continue;
            }
            if replace(&mut state, destination, before, place) {
                break sequence;
            }
        };
        self.write_cursor(destination, acknowledged)
    }

    /// The place behind a message, or behind those that are there.
    fn behind(&self, mut place: Place, sequence: u64) -> Result<Place, StoreError> {
        loop {
            let (segment, below) = {
                let state = lock(&self.state);
                let Some(segment) = state.settle(&mut place) else {
                    place.oldest = None;
                    return Ok(place);
                };
                (segment, below(&state, place.segment))
            };
            let Some(file) = self.segment_file(place.segment)? else {
                continue;
            };
            let range = place.offset..segment.bytes;
            let mut walk = Walk::from(&file, range, place.segment, below);
            loop {
                match walk.next() {
                    Ok(Some((_, header))) if header.sequence > sequence => {
                        place.oldest = Some(header.end);
                        return Ok(place);
                    }
                    Ok(Some(_)) => (place.offset, place.index) = (walk.offset, place.index + 1),
                    Ok(None) => break,
                    Err(error) if is_broken(&error) => break,
                    Err(error) => return Err(self.unread(place, error)),
                }
            }
            if place.offset < segment.bytes {
                let lost = segment.messages.saturating_sub(place.index);
                lock(&self.state).count_damaged(place.segment, place.offset, lost);
                place.dropped += lost;
                (place.offset, place.index) = (segment.bytes, segment.messages);
            }
        }
    }

    /// Takes up a destination behind what it acknowledged earlier.
    fn find(&self, destination: &str, acknowledged: u64) -> Result<(), StoreError> {
        loop {
            let begin = {
                let state = lock(&self.state);
                let mut before = state.segments.range(..=acknowledged + 1).rev();
                let first = before.next().or_else(|| state.segments.iter().next());
                Place {
                    acknowledged,
                    segment: first.map_or(state.next, |(&first, _)| first),
                    offset: 0,
                    index: 0,
                    oldest: None,
                    dropped: 0,
                }
            };
            let place = self.behind(begin, acknowledged)?;
            let mut state = lock(&self.state);
            // A message that came meanwhile is the oldest that waits.
            if place.oldest.is_some() || state.settle(&mut place.clone()).is_none() {
                state.places.insert(destination.to_owned(), place);
                return Ok(());
            }
        }
    }

    /// The header at a place, if it can be read.
    fn look(
        &self,
        file: &File,
        place: Place,
        segment: &Segment,
        below: u64,
    ) -> Result<Option<Header>, StoreError> {
        let range = place.offset..segment.bytes;
        match Walk::from(file, range, place.segment, below).next() {
            Ok(found) => Ok(found.map(|(_, header)| header)),
            Err(error) if is_broken(&error) => Ok(None),
            Err(error) => Err(self.unread(place, error)),
        }
    }

    fn unread(&self, place: Place, error: io::Error) -> StoreError {
        let path = self.folder.file_path(&segment::name(place.segment));
        StoreError::system(&path, "read", error)
    }

    /// None if the segment is gone, and is not known any more either.
    fn segment_file(&self, first: u64) -> Result<Option<File>, StoreError> {
        let name = segment::name(first);
        match self.folder.file(&name) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Dropped meanwhile; or somebody took it away.
                lock(&self.state).drop_segment(first, "damaged");
                Ok(None)
            }
            Err(error) => {
                let path = self.folder.file_path(&name);
                Err(StoreError::system(&path, "opened", error))
            }
        }
    }

    fn write_cursor(&self, destination: &str, acknowledged: u64) -> Result<(), StoreError> {
        let write = || cursor::write(&self.folder, destination, acknowledged);
        let written = write().or_else(|error| match is_full(&error) && self.make_room() {
            true => write(),
            false => Err(error),
        });
        written.map_err(|error| {
            let path = self.folder.file_path(&cursor::file_name(destination));
            StoreError::system(&path, "written", error)
        })
    }
}

fn known_place(state: &State, destination: &str) -> Result<Place, StoreError> {
    let place = state.places.get(destination).copied();
    place.ok_or_else(|| StoreError::Unknown {
        name: destination.to_owned(),
    })
}

/// Moves a destination on, unless it was moved meanwhile.
fn replace(state: &mut State, destination: &str, before: Place, after: Place) -> bool {
    match state.places.get_mut(destination) {
        Some(place) if *place == before => {
            *place = after;
            true
        }
        _ => false,
    }
}

/// Behind the last message.
fn end(state: &State) -> Place {
    let last = state.segments.iter().next_back();
    let (segment, offset, index) = match last {
        Some((&first, segment)) => (first, segment.bytes, segment.messages),
        None => (state.next, 0, 0),
    };
    Place {
        acknowledged: state.next - 1,
        segment,
        offset,
        index,
        oldest: None,
        dropped: 0,
    }
}

/// What the sequences of a segment are below.
fn below(state: &State, first: u64) -> u64 {
    let later = state.segments.range(first + 1..).next();
    later.map_or(SEQUENCES, |(&first, _)| first)
}
