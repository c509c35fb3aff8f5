//! A segment: a file of records, named by the sequence of its first. Only its end is ever written.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use super::Message;
use super::clock::Now;
use super::record::{HEADER_BYTES, Header, SEQUENCES};

const SUFFIX: &str = ".segment";
const DIGITS: usize = 20;

pub fn name(first: u64) -> String {
    format!("{first:0DIGITS$}{SUFFIX}")
}

/// The sequence that a segment's name gives, if it is one of ours.
pub fn first_sequence(name: &str) -> Option<u64> {
    let first = name.strip_suffix(SUFFIX)?.parse().ok()?;
    let plain = (1..SEQUENCES).contains(&first) && self::name(first) == name;
    plain.then_some(first)
}

/// Goes through a segment from header to header.
pub struct Walk<'a> {
    file: &'a File,
    size: u64,
    /// Of the next record.
    pub offset: u64,
    /// Sequences rise, and are below those of the next segment. Else it is not what was written.
    least: u64,
    below: u64,
}

impl<'a> Walk<'a> {
    pub fn new(file: &'a File, first: u64, below: u64) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self::from(file, 0..size, first, below))
    }

    /// Between two places in the file, of which the first is the end of a record.
    pub fn from(file: &'a File, range: Range<u64>, least: u64, below: u64) -> Self {
        Self {
            file,
            size: range.end,
            offset: range.start,
            least,
            below,
        }
    }

    /// The next record's place and header; None at the end and where no whole one is.
    pub fn next(&mut self) -> io::Result<Option<(u64, Header)>> {
        let Some(left) = self.size.checked_sub(self.offset) else {
            return Ok(None);
        };
        if left < HEADER_BYTES as u64 {
            return Ok(None);
        }
        let mut bytes = [0; HEADER_BYTES];
        match self.file.read_exact_at(&mut bytes, self.offset) {
            Ok(()) => {}
            // It was cut off meanwhile.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let Some(header) = Header::parse(&bytes) else {
            return Ok(None);
        };
        let in_order = (self.least..self.below).contains(&header.sequence);
        if !in_order || header.record_bytes() > left {
            return Ok(None);
        }
        let offset = self.offset;
        self.offset += header.record_bytes();
        self.least = header.sequence + 1;
        Ok(Some((offset, header)))
    }

    /// Bytes that were not gone through.
    pub fn left(&self) -> u64 {
        self.size.saturating_sub(self.offset)
    }

    /// Whether a record is the last thing in the file.
    pub fn is_last(&self, offset: u64, header: &Header) -> bool {
        offset + header.record_bytes() == self.size
    }
}

/// The message of a record, if it is as it was written.
pub fn message(file: &File, offset: u64, header: &Header) -> io::Result<Option<Message>> {
    let mut stored = vec![0; header.length as usize];
    match file.read_exact_at(&mut stored, offset + HEADER_BYTES as u64) {
        Ok(()) => Ok(header.message(&stored)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is known of a segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Sequence after its last.
    pub next: u64,
    pub messages: u64,
    /// Up to the end of the last whole record.
    pub bytes: u64,
    /// Bytes behind that end, which hold nothing that can be read.
    pub waste: u64,
    /// Least start and greatest end of its messages.
    pub start: u64,
    pub end: u64,
    /// End of its first message.
    pub first_end: Option<u64>,
    /// When its newest message was recorded.
    pub recorded: Option<Now>,
    /// ns from then to the opening of the store, if it was recorded before that.
    pub age_when_opened: Option<u64>,
}

impl Segment {
    pub fn new(first: u64) -> Self {
        Self {
            next: first,
            messages: 0,
            bytes: 0,
            waste: 0,
            start: u64::MAX,
            end: 0,
            first_end: None,
            recorded: None,
            age_when_opened: None,
        }
    }

    pub fn add(&mut self, header: &Header) {
        self.next = header.sequence + 1;
        self.messages += 1;
        self.bytes += header.record_bytes();
        self.start = self.start.min(header.start);
        self.end = self.end.max(header.end);
        self.first_end.get_or_insert(header.end);
        self.recorded = Some(header.recorded);
    }
}
