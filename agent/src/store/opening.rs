//! Takes stock of a store that is opened: what is whole, what was half written, what is damaged.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use super::clock::Now;
use super::cursor;
use super::error::{StoreError, is_broken};
use super::folder::{Folder, UNFINISHED};
use super::record::SEQUENCES;
use super::segment::{self, Segment, Walk, first_sequence};
use super::state::{Opened, State};

/// Most destinations whose cursors are kept.
const CURSORS: usize = 1024;

pub fn take_stock(folder: &Folder, now: Now) -> Result<State, StoreError> {
    let failed = |error| StoreError::system(folder.path(), "listed", error);
    let names = folder.names().map_err(failed)?;
    let mut state = State::default();
    let mut damaged_cursors = 0u64;
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
                None => damaged_cursors += 1,
            }
        }
    }
    if damaged_cursors > 0 {
        tracing::warn!(
            "{damaged_cursors} files in {} that say how far a destination has got are damaged; these \
             destinations get what is recorded from now on.",
            folder.path().display()
        );
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
    state.opened = Some(Opened {
        at: now,
        reference: reference(&state, now),
    });
    Ok(state)
}

/// The wall time from which on records of other boots are as old as they say. If even the newest is
/// from after now, the clock went back. If even the newest is too old, either nobody recorded for
/// long or the clock went forward: nobody can tell which, and what happened before a machine stood
/// still is what people ask for. In both cases the newest counts as new.
fn reference(state: &State, now: Now) -> u64 {
    let recorded = state.segments.values().filter_map(|it| it.recorded);
    let others = recorded.filter(|it| it.boot != now.boot);
    others.map(|it| it.wall).max().unwrap_or(now.wall)
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
    if !walk.is_whole() {
        state.count("damaged", below - found.next);
    }
    Ok(found)
}

/// Reads all of the last segment: an agent may have been ended while it wrote. What is behind the
/// last whole message is cut off.
fn of_last(state: &mut State, file: &File, first: u64) -> io::Result<Segment> {
    let mut found = Segment::new(first);
    let mut whole = found;
    let mut damaged = 0;
    let mut damaged_before = 0;
    let mut walk = Walk::new(file, first, SEQUENCES)?;
    loop {
        let (offset, header) = match walk.next() {
            Ok(Some(next)) => next,
            Ok(None) => break,
            Err(error) if is_broken(&error) => {
                state.count("damaged", 1);
                return Ok(whole);
            }
            Err(error) => return Err(error),
        };
        found.add(&header);
        match segment::message(file, offset, &header) {
            Ok(Some(_)) => {
                whole = found;
                damaged_before = damaged;
            }
            Ok(None) => damaged += 1,
            Err(error) if is_broken(&error) => damaged += 1,
            Err(error) => return Err(error),
        }
    }
    state.count("damaged", damaged_before);
    let size = file.metadata()?.size();
    if size > whole.bytes {
        state.count("half_written", (damaged - damaged_before).max(1));
        file.set_len(whole.bytes)?;
        file.sync_all()?;
    }
    Ok(whole)
}
