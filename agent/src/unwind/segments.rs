//! Where file offsets and svmas (addresses in the file's own view) meet.

use super::elf::{Header, PT_LOAD, Program};
use super::error::UnwindError;

/// Most segments that are looked at; the kernel itself refuses program headers beyond 64 KiB.
const MOST: usize = 128;

/// A stretch of the file that is mapped: a `PT_LOAD` program header as far as the file backs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First byte in the file.
    pub offset: u64,
    /// Its svma.
    pub svma: u64,
    /// Bytes.
    pub size: u64,
    pub executable: bool,
}

impl Segment {
    /// Svma of a byte of the file.
    pub fn svma_of(&self, offset: u64) -> Option<u64> {
        let into = offset.checked_sub(self.offset)?;
        (into < self.size).then(|| self.svma + into)
    }

    /// File offset of an svma.
    pub fn offset_of(&self, svma: u64) -> Option<u64> {
        let into = svma.checked_sub(self.svma)?;
        (into < self.size).then(|| self.offset + into)
    }
}

/// The segments of a file, in the order of its program headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segments(Vec<Segment>);

impl Segments {
    /// Reads the program headers of `file`.
    pub fn of(file: &[u8]) -> Result<Self, UnwindError> {
        Ok(Self::from_headers(&Header::parse(file)?))
    }

    pub(super) fn from_headers(header: &Header) -> Self {
        let length = header.file.len() as u64;
        let mapped = |program: &Program| {
            let size = program.file_size.min(length.checked_sub(program.offset)?);
            // So that no later sum can overflow.
            let fits = program.svma.checked_add(size).is_some();
            (size > 0 && fits).then_some(Segment {
                offset: program.offset,
                svma: program.svma,
                size,
                executable: program.executable,
            })
        };
        let loads = header
            .programs
            .iter()
            .filter(|program| program.kind == PT_LOAD);
        Self(loads.filter_map(mapped).take(MOST).collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Segment> {
        self.0.iter()
    }

    /// The segments that hold code.
    pub fn executable(&self) -> impl Iterator<Item = &Segment> {
        self.0.iter().filter(|segment| segment.executable)
    }

    /// The executable segment that holds an svma, and the svma's file offset.
    pub(super) fn code(&self, svma: u64) -> Option<(&Segment, u64)> {
        self.executable()
            .find_map(|segment| Some((segment, segment.offset_of(svma)?)))
    }

    /// Svma of a byte of the file. Where two segments share a page of the file, the executable one
    /// is meant: offsets are those of code.
    pub fn svma_of(&self, offset: u64) -> Option<u64> {
        let rest = self.0.iter().filter(|segment| !segment.executable);
        self.executable()
            .chain(rest)
            .find_map(|segment| segment.svma_of(offset))
    }

    /// File offset of an svma; none where the file has no byte for it (zeroed data, no segment).
    pub fn offset_of(&self, svma: u64) -> Option<u64> {
        self.0.iter().find_map(|segment| segment.offset_of(svma))
    }
}
