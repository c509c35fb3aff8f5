//! The other way: files that Strata or others wrote, read into a profile. All of them are hostile:
//! sizes have limits, every index is checked, and what is damaged is refused as a whole.

mod builder;
mod folded;
mod otlp;
mod pprof;
mod wire;

use crate::profile::Profile;
pub use otlp::resource;

/// Most bytes of a profile in memory, and most sample times that one keeps.
pub use builder::{MOST_BYTES as MOST_MEMORY, TIMES as MOST_TIMES};

/// Most bytes of a file, and of what it unpacks to.
pub const MOST_BYTES: u64 = 256 << 20;

/// What can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Otlp,
    Pprof,
    Folded,
}

/// Why a file can't be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("it unpacks to more than {} MiB; record for a shorter time", MOST_BYTES >> 20)]
    TooLarge,
    #[error(
        "it is no OTLP profile (.otlp), pprof (.pb.gz, .pprof) or folded stacks (.folded, .txt)"
    )]
    Unknown,
    #[error("it can't be unpacked ({0}): it is damaged or no gzip file")]
    Unpack(String),
    #[error("it can't be decoded ({0}): it is damaged or of another format")]
    Decode(String),
    #[error("it is damaged: {what} {index} is not there")]
    Missing { what: &'static str, index: i64 },
    #[error("it is damaged: a sample has {found} values instead of {expected}")]
    Values { expected: usize, found: usize },
    #[error("it holds negative values, as the difference of two profiles does; give the two")]
    Negative,
    #[error("it has more than {0} frames, or a stack with more than {1}")]
    TooManyFrames(usize, usize),
    #[error(
        "it takes more than {} MiB of memory; give fewer files, or record for a shorter time",
        .0 >> 20
    )]
    TooMuchMemory(usize),
    #[error("it has more than {0} kinds of values")]
    TooManyEvents(usize),
    #[error("line {0} is not `frame;frame COUNT`")]
    Line(usize),
}

impl Kind {
    /// By the file's name, or else by its content.
    pub fn of(name: &str, bytes: &[u8]) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
        if bytes.starts_with(&[0x1f, 0x8b]) || ends(&[".pb.gz", ".pprof", ".pb"]) {
            Some(Self::Pprof)
        } else if ends(&[".otlp"]) {
            Some(Self::Otlp)
        } else if ends(&[".folded", ".txt", ".collapsed"]) {
            Some(Self::Folded)
        } else {
            // Messages have bytes in them that no text has.
            let text = std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0'));
            text.then_some(Self::Folded)
        }
    }
}

/// Adds what a file holds to a profile. `name` stands for the process where the file names none.
pub fn read(profile: &mut Profile, kind: Kind, name: &str, bytes: &[u8]) -> Result<(), ReadError> {
    match kind {
        Kind::Otlp => otlp::read(profile, bytes),
        Kind::Pprof => pprof::read(profile, name, bytes),
        Kind::Folded => folded::read(profile, name, bytes),
    }
}

#[cfg(test)]
mod tests;
