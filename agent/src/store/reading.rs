//! Reads a store without holding it. An agent may write to it and drop from it meanwhile.

use std::fs::File;
use std::io;
use std::ops::{ControlFlow, Range};

use super::error::{StoreError, is_broken};
use super::folder::{Folder, unreadable};
use super::record::SEQUENCES;
use super::segment::{self, Walk, first_sequence};
use super::{Read, Stored};

pub fn read(
    folder: &Folder,
    window: &Range<u64>,
    mut take: impl FnMut(Stored) -> ControlFlow<()>,
) -> Result<Read, StoreError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied => unreadable(folder.path()),
        _ => StoreError::system(folder.path(), "read", error),
    };
    let names = folder.names().map_err(failed)?;
    let segments: Vec<u64> = names.iter().filter_map(|it| first_sequence(it)).collect();
    let mut read = Read::default();
    for (index, &first) in segments.iter().enumerate() {
        let name = segment::name(first);
        let file = match folder.file(&name) {
            Ok(file) => file,
            // Dropped meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(unreadable(folder.path()));
            }
            Err(error) => return Err(StoreError::system(&folder.file_path(&name), "read", error)),
        };
        let below = segments.get(index + 1).copied();
        let flow = of_segment(&file, first, below, window, &mut read, &mut take);
        let path = folder.file_path(&name);
        match flow.map_err(|error| StoreError::system(&path, "read", error))? {
            ControlFlow::Continue(()) => {}
            ControlFlow::Break(()) => break,
        }
    }
    Ok(read)
}

/// The messages of one segment that cover some of the window. Of the others, only headers are read:
/// times need not rise from one to the next, since clocks jump.
fn of_segment(
    file: &File,
    first: u64,
    below: Option<u64>,
    window: &Range<u64>,
    read: &mut Read,
    take: &mut impl FnMut(Stored) -> ControlFlow<()>,
) -> io::Result<ControlFlow<()>> {
    let mut walk = Walk::new(file, first, below.unwrap_or(SEQUENCES))?;
    let mut next = first;
    loop {
        let (offset, header) = match walk.next() {
            Ok(Some(found)) => found,
            Ok(None) => break,
            Err(error) if is_broken(&error) => break,
            Err(error) => return Err(error),
        };
        next = header.sequence + 1;
        if header.start >= window.end || header.end < window.start {
            continue;
        }
        let message = match segment::message(file, offset, &header) {
            Err(error) if !is_broken(&error) => return Err(error),
            found => found.ok().flatten(),
        };
        let Some(message) = message else {
            // The last one may be half written as yet.
            let being_written = below.is_none() && walk.is_last(offset, &header);
            read.damaged += u64::from(!being_written);
            continue;
        };
        read.messages += 1;
        let sequence = header.sequence;
        if take(Stored { sequence, message }).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    if let Some(below) = below
        && walk.left() > 0
    {
        read.damaged += below - next;
    }
    Ok(ControlFlow::Continue(()))
}
