//! A message as it lies in a segment: a header with its own checksum, and the compressed bytes with
//! theirs. Whatever a header claims is held against bounds before anything is allocated for it.

use std::io;

use super::Message;
use super::clock::Now;

/// Largest message: what receivers take, and a margin.
pub const MESSAGE_BYTES: usize = (4 << 20) + (64 << 10);
pub const HEADER_BYTES: usize = 80;
/// Sequences are below this, so that one more always is a number.
pub const SEQUENCES: u64 = 1 << 62;

const MAGIC: [u8; 4] = *b"StRc";
const VERSION: u16 = 1;
/// zstd's default. On profiles, higher levels cost several times as much for a few percent.
const LEVEL: i32 = 3;

/// All numbers are little endian, in this order, behind magic (4 bytes), version (2) and two zeros;
/// the last 4 bytes are the CRC-32 of those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub sequence: u64,
    pub start: u64,
    pub end: u64,
    pub samples: u64,
    /// When it was put into the store.
    pub recorded: Now,
    /// Bytes that follow.
    pub length: u32,
    /// What they become.
    pub plain: u32,
    /// CRC-32 of the bytes that follow.
    pub checksum: u32,
}

impl Header {
    /// Of header and compressed bytes.
    pub fn record_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.length)
    }

    fn write(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        let words = [
            self.sequence,
            self.start,
            self.end,
            self.samples,
            self.recorded.wall,
            self.recorded.since_boot,
            self.recorded.boot,
        ];
        for (place, word) in bytes[8..64].chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let words = [self.length, self.plain, self.checksum];
        for (place, word) in bytes[64..76].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let checksum = crc32fast::hash(&bytes[..76]);
        bytes[76..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// None if it is not a header, or not as it was written, or not one that strata writes.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let half = |at: usize| {
            let mut half = [0; 4];
            half.copy_from_slice(&bytes[at..at + 4]);
            u32::from_le_bytes(half)
        };
        let known = bytes[..4] == MAGIC && bytes[4..6] == VERSION.to_le_bytes();
        if !known || half(76) != crc32fast::hash(&bytes[..76]) {
            return None;
        }
        let header = Self {
            sequence: word(8),
            start: word(16),
            end: word(24),
            samples: word(32),
            recorded: Now {
                wall: word(40),
                since_boot: word(48),
                boot: word(56),
            },
            length: half(64),
            plain: half(68),
            checksum: half(72),
        };
        let bounded = header.plain as usize <= MESSAGE_BYTES
            && header.length as usize <= zstd::zstd_safe::compress_bound(MESSAGE_BYTES)
            && (1..SEQUENCES).contains(&header.sequence);
        bounded.then_some(header)
    }

    /// The message, if these are the bytes that were written.
    pub fn message(&self, stored: &[u8]) -> Option<Message> {
        if stored.len() != self.length as usize || crc32fast::hash(stored) != self.checksum {
            return None;
        }
        // Never more than this much, whatever the bytes themselves say.
        let bytes = zstd::bulk::decompress(stored, self.plain as usize).ok()?;
        (bytes.len() == self.plain as usize).then_some(Message {
            start: self.start,
            end: self.end,
            samples: self.samples,
            bytes,
        })
    }
}

/// Header and compressed bytes of a message.
pub fn record(message: &Message, sequence: u64, now: Now) -> io::Result<(Header, Vec<u8>)> {
    let mut bytes = vec![0; HEADER_BYTES];
    let compressed = zstd::bulk::compress(&message.bytes, LEVEL)?;
    let number = |length: usize| u32::try_from(length).map_err(io::Error::other);
    let header = Header {
        sequence,
        start: message.start,
        end: message.end,
        samples: message.samples,
        recorded: now,
        length: number(compressed.len())?,
        plain: number(message.bytes.len())?,
        checksum: crc32fast::hash(&compressed),
    };
    bytes[..HEADER_BYTES].copy_from_slice(&header.write());
    bytes.extend(compressed);
    Ok((header, bytes))
}
