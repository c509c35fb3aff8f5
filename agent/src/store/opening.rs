//! Takes stock of a store that is opened: what is whole, what was half written, what is damaged.

use std::fs::File;
use std::io;
use std::time::Duration;

use super::clock::{Now, nanoseconds};
use super::cursor;
use super::error::{StoreError, is_broken};
use super::folder::{Folder, UNFINISHED};
use super::record::SEQUENCES;
use super::segment::{self, Segment, Walk, first_sequence};
use super::state::State;

/// Most destinations whose cursors are kept.
const CURSORS: usize = 1024;

/// `age` is the one up to which messages are kept.
pub fn take_stock(folder: &Folder, now: Now, age: Duration) -> Result<State, StoreError> {
    let failed = |error| StoreError::system(folder.path(), "listed", error);
    let names = folder.names().map_err(failed)?;
    let mut state = State::default();
    for name in &names {
        if name.strip_suffix(UNFINISHED).is_some_and(cursor::is_cursor) {
            let removed = folder.remove(name);
            let path = folder.file_path(name);
            removed.map_err(|error| StoreError::system(&path, "removed", error))?;
        } else if cursor::is_cursor(name) && state.unclaimed.len() < CURSORS {
            match cursor::read(folder, name)? {
                Some((destination, sequence)) => {
                    state.unclaimed.insert(destination, sequence);
                }
                None => {
                    tracing::warn!(
                        "{} is damaged; the destination that it is of will be sent all that is kept.",
                        folder.file_path(name).display()
                    );
                    state.damaged_cursors.insert(name.clone());
                }
            }
        }
    }
    let segments: Vec<u64> = names.iter().filter_map(|it| first_sequence(it)).collect();
    for (index, &first) in segments.iter().enumerate() {
        let file = folder.own_file(&segment::name(first), false)?;
        let found = match segments.get(index + 1) {
            Some(&below) => of_closed(&mut state, &file, first, below),
            None => of_last(&mut state, &file, first),
        };
        let path = folder.file_path(&segment::name(first));
        let found = found.map_err(|error| StoreError::system(&path, "read", error))?;
        state.segments.insert(first, found);
    }
    let last = state.segments.values().next_back();
    let mut next = last.map_or(1, |last| last.next);
    if let Some(&acknowledged) = state.unclaimed.values().max() {
        // Segments may be lost; a sequence is never given to two messages.
        next = next.max(acknowledged + 1);
    }
    state.next = next.min(SEQUENCES - 1);
    state.opened = now.since_boot;
    set_ages(&mut state, now, nanoseconds(age));
    Ok(state)
}

/// How old each segment is, going back from now. Between two times of one boot of the machine lies what
/// the time since boot says. Between those of two boots lies what the wall clock says, unless that is
/// less than nothing or more than messages are kept: then the clock may have jumped, or nobody
/// recorded for long. Nobody can tell which, so it counts as nothing, and what was recorded last
/// before a machine stood still is kept once more as long as anything is.
fn set_ages(state: &mut State, now: Now, most: u64) {
    let (mut later, mut age) = (now, 0u64);
    for segment in state.segments.values_mut().rev() {
        if let Some(recorded) = segment.recorded {
            let between = match recorded.boot == later.boot {
                true => later.since_boot.saturating_sub(recorded.since_boot),
                false => {
                    let between = later.wall.checked_sub(recorded.wall);
                    between.filter(|&it| it <= most).unwrap_or(0)
                }
            };
            age = age.saturating_add(between);
            later = recorded;
        }
        segment.age_when_opened = Some(age);
    }
}

/// Goes through the headers of a segment that was not the last. Its bytes were on disk before the
/// next was begun, so whatever is missing was damaged later.
fn of_closed(state: &mut State, file: &File, first: u64, below: u64) -> io::Result<Segment> {
    let mut found = Segment::new(first);
    let mut walk = Walk::new(file, first, below)?;
    loop {
        match walk.next() {
            Ok(Some((_, header))) => found.add(&header),
            Ok(None) => break,
            Err(error) if is_broken(&error) => break,
            Err(error) => return Err(error),
        }
    }
    if walk.left() > 0 {
        state.count("damaged", below - found.next);
        found.waste = walk.left();
    }
    Ok(found)
}

/// Reads all of the last segment: an agent may have been ended while it wrote. What is behind the
/// last whole message is cut off.
fn of_last(state: &mut State, file: &File, first: u64) -> io::Result<Segment> {
    let mut found = Segment::new(first);
    let mut whole = found;
    let mut damaged = Vec::new();
    let mut damaged_before = 0;
    let size = file.metadata()?.len();
    let mut walk = Walk::new(file, first, SEQUENCES)?;
    loop {
        let (offset, header) = match walk.next() {
            Ok(Some(next)) => next,
            Ok(None) => break,
            Err(error) if is_broken(&error) => {
                state.count("damaged", damaged.len() as u64 + 1);
                whole.waste = size.saturating_sub(whole.bytes);
                return Ok(whole);
            }
            Err(error) => return Err(error),
        };
        found.add(&header);
        match segment::message(file, offset, &header) {
            Ok(Some(_)) => {
                whole = found;
                damaged_before = damaged.len();
            }
            Ok(None) => damaged.push(offset),
            Err(error) if is_broken(&error) => damaged.push(offset),
            Err(error) => return Err(error),
        }
    }
    let behind = damaged.split_off(damaged_before).len() as u64;
    for offset in damaged {
        state.count_damaged(first, offset, 1);
    }
    if size > whole.bytes {
        state.count("half_written", behind.max(1));
        file.set_len(whole.bytes)?;
        file.sync_all()?;
    }
    Ok(whole)
}
