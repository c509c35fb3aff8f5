//! `str` objects as they lie in memory (PEP 393).

use agent_common::code::{TEXT_BYTES, Text};

/// The state word, the same from 3.8 to 3.15 (read off all of them): interned:2, kind:3, compact:1,
/// ascii:1. `kind` is the bytes a character.
const KIND_SHIFT: u32 = 2;
const KIND_MASK: u32 = 7;
/// The characters follow the object itself.
pub(super) const COMPACT: u32 = 1 << 5;

/// What stands for a text that could not be read.
pub const UNKNOWN: &str = "[unknown]";

/// The text of a `str` object. What is missing at its end is marked by "…"; surrogates, which no
/// Rust string holds (undecodable file names carry them), are written as `\udc80`.
pub fn decode(text: &Text) -> String {
    let kind = (text.state >> KIND_SHIFT & KIND_MASK) as usize;
    if text.state & COMPACT == 0 || ![1, 2, 4].contains(&kind) {
        return UNKNOWN.to_owned();
    }
    let stored = (text.stored as usize).min(TEXT_BYTES);
    let present = (stored / kind) as u64;
    if present == 0 && text.length > 0 {
        return UNKNOWN.to_owned();
    }
    let units = text.data[..stored]
        .chunks_exact(kind)
        .take(text.length.min(present) as usize);
    let mut decoded = String::with_capacity(stored);
    for unit in units {
        let mut word = [0; 4];
        word[..kind].copy_from_slice(unit);
        let point = u32::from_le_bytes(word);
        match char::from_u32(point) {
            Some(character) => decoded.push(character),
            None => decoded.push_str(&format!("\\u{point:04x}")),
        }
    }
    if text.length > present {
        decoded.push('…');
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(length: u64, state: u32, bytes: &[u8]) -> Text {
        let mut data = [0; TEXT_BYTES];
        data[..bytes.len()].copy_from_slice(bytes);
        Text {
            length,
            state,
            stored: bytes.len() as u32,
            data,
        }
    }

    #[test]
    fn every_kind_is_decoded() {
        assert_eq!(decode(&text(3, 0xE5, b"abc")), "abc");
        assert_eq!(decode(&text(4, 0x24, b"caf\xE9")), "café");
        assert_eq!(decode(&text(2, 0x28, &[0x60, 0x4F, 0x7D, 0x59])), "你好");
        assert_eq!(decode(&text(1, 0x30, &[0x00, 0xF6, 0x01, 0x00])), "😀");
        assert_eq!(decode(&text(0, 0xE5, b"")), "");
    }

    #[test]
    fn what_is_missing_is_marked() {
        assert_eq!(decode(&text(10, 0xE5, b"abc")), "abc…");
        assert_eq!(decode(&text(u64::MAX, 0x28, &[0x60, 0x4F, 0x7D])), "你…");
        assert_eq!(decode(&text(5, 0xE5, b"")), UNKNOWN);
    }

    #[test]
    fn surrogates_are_escaped() {
        assert_eq!(decode(&text(2, 0x28, &[b'a', 0, 0x80, 0xDC])), "a\\udc80");
        assert_eq!(decode(&text(1, 0x30, &[0xFF; 4])), "\\uffffffff");
    }

    #[test]
    fn nonsense_is_unknown() {
        for state in [
            0,
            COMPACT,
            COMPACT | 3 << 2,
            COMPACT | 7 << 2,
            1 << 2,
            u32::MAX,
        ] {
            assert_eq!(decode(&text(3, state, b"abcdefgh")), UNKNOWN);
        }
        let mut hostile = text(3, 0xE5, b"abc");
        hostile.stored = u32::MAX;
        assert_eq!(decode(&hostile), "abc");
    }
}
