//! How much memory a message takes once it is decoded, found out before that: two bytes of a file
//! can become an entry of a hundred.

use std::mem::size_of;

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::ReadError;

/// Most bytes that a file may take as messages.
const MOST_DECODED: usize = 1 << 30;
/// Messages in messages; prost refuses more.
const DEPTH: usize = 100;
/// What the allocator adds to each piece of memory, and to the smallest of them.
const ALLOCATION: usize = 32;
/// A list has room for so many entries from the first one on.
const FIRST: usize = 4;

/// What is to be known of a kind of message.
pub struct Shape {
    /// Bytes of it once decoded.
    pub size: usize,
    pub fields: &'static [(u32, Holds)],
}

/// What a field holds. Fields that are not listed are texts or single numbers.
pub enum Holds {
    Message(&'static Shape),
    /// Many varints, each of so many bytes once decoded.
    Numbers(usize),
}

/// Refuses a message that would take too much.
pub fn check(bytes: &[u8], shape: &Shape) -> Result<(), ReadError> {
    within(bytes, shape, MOST_DECODED)
}

fn within(bytes: &[u8], shape: &Shape, most: usize) -> Result<(), ReadError> {
    let mut left = Memory { most, left: most };
    weigh(bytes, shape, DEPTH, &mut left)
}

/// Damage is refused here: decoding would follow a length beyond the end of the message it is in,
/// and notice only then.
fn weigh(
    mut bytes: &[u8],
    shape: &Shape,
    depth: usize,
    left: &mut Memory,
) -> Result<(), ReadError> {
    let mut seen = 0_u64;
    while !bytes.is_empty() {
        let (tag, wire) = decode_key(&mut bytes).map_err(damaged)?;
        let held = shape.fields.iter().find(|(field, _)| *field == tag);
        let held = held.map(|(_, holds)| holds);
        if wire != WireType::LengthDelimited {
            if let Some(Holds::Numbers(size)) = held {
                left.take(*size)?;
            }
            skip_field(wire, tag, &mut bytes, DecodeContext::default()).map_err(damaged)?;
            continue;
        }
        let length = decode_varint(&mut bytes).map_err(damaged)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some((content, behind)) = bytes.split_at_checked(length) else {
            return Err(damaged("a field is longer than its message"));
        };
        bytes = behind;
        match held {
            Some(Holds::Message(inner)) => {
                let bit = 1 << (tag % u64::BITS);
                let entries = if seen & bit == 0 { FIRST } else { 1 };
                seen |= bit;
                left.take(inner.size * entries)?;
                // What is deeper, decoding refuses.
                if depth > 0 {
                    weigh(content, inner, depth - 1, left)?;
                }
            }
            Some(Holds::Numbers(size)) => {
                left.take(numbers(content).saturating_mul(*size))?;
                left.take(ALLOCATION)?;
            }
            None => left.take(size_of::<String>() + ALLOCATION + length)?,
        }
    }
    Ok(())
}

fn damaged(why: impl ToString) -> ReadError {
    ReadError::Decode(why.to_string())
}

/// Each number ends at a byte without the highest bit.
fn numbers(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte < 0x80).count()
}

struct Memory {
    most: usize,
    left: usize,
}

impl Memory {
    fn take(&mut self, bytes: usize) -> Result<(), ReadError> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or(ReadError::TooMuchMemory(self.most))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prost::encoding::{encode_key, encode_varint};

    use super::super::{otlp, pprof};
    use super::*;

    const LITTLE: usize = 1 << 20;

    fn field(tag: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_key(tag, WireType::LengthDelimited, &mut bytes);
        encode_varint(content.len() as u64, &mut bytes);
        bytes.extend(content);
        bytes
    }

    /// Messages of two bytes, and numbers of one.
    #[test]
    fn small_files_that_become_large_are_refused_before_they_are_decoded() {
        let refused = Err(ReadError::TooMuchMemory(LITTLE));
        let little = |bytes: &[u8], shape| within(bytes, shape, LITTLE);

        let samples = field(2, &[]).repeat(LITTLE / 72 + 1);
        assert_eq!(little(&samples, &pprof::SHAPE), refused);
        assert_eq!(little(&samples[..samples.len() / 2], &pprof::SHAPE), Ok(()));

        let sample = field(2, &field(1, &vec![1; LITTLE / 8 + 8]));
        assert_eq!(little(&sample, &pprof::SHAPE), refused);
        // One by one.
        let sample = field(2, &[8, 1].repeat(LITTLE / 8 + 1));
        assert_eq!(little(&sample, &pprof::SHAPE), refused);

        let stacks = field(7, &[]).repeat(LITTLE / 24 + 1);
        assert_eq!(little(&field(2, &stacks), &otlp::SHAPE), refused);
        let texts = field(5, &[]).repeat(LITTLE / 24 + 1);
        assert_eq!(little(&field(2, &texts), &otlp::SHAPE), refused);
    }

    /// A message of two bytes whose field goes on behind it: prost would decode all of that first.
    #[test]
    fn a_field_does_not_reach_beyond_its_message() {
        let samples = field(2, &[]).repeat(LITTLE);
        let inner = field(1, &samples);
        let mut bytes = vec![0x12, 5];
        bytes.extend(inner);
        let error = within(&bytes, &pprof::SHAPE, LITTLE).unwrap_err();
        assert!(
            error.to_string().contains("longer than its message"),
            "{error}"
        );
        let error = within(&[0x12, 9], &pprof::SHAPE, LITTLE).unwrap_err();
        assert!(matches!(error, ReadError::Decode(_)), "{error}");
    }

    /// Values in values in values: as deep as the message wants.
    #[test]
    fn depth_has_a_limit() {
        let mut value = Vec::new();
        for _ in 0..1000 {
            value = field(5, &field(1, &value));
        }
        assert_eq!(check(&value, &otlp::ANY), Ok(()));
    }
}
