//! Records of the ring buffer to values. Bounds-checked: a length is never trusted.

use agent_common::record::{
    Announcement, Code, Deferred, Header, Lines, Sample, Stack, Thread, kind, section,
};
use agent_common::stack::{NativeFrame, PythonEntry};

/// What a record holds.
#[derive(Debug)]
pub enum Record<'a> {
    Sample(Sample),
    Stack(Stack, Frames),
    Code(Box<Code>),
    Lines(Lines, &'a [u8]),
    Thread(Box<Thread>),
    Executable(Box<Announcement>),
    Deferred(Box<Deferred>, &'a [u8]),
    /// Kernel frames of the deferred sample that follows.
    DeferredKernel(Stack, Vec<u64>),
}

/// A run of frames of one section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frames {
    Kernel(Vec<u64>),
    Native(Vec<NativeFrame>),
    Python(Vec<PythonEntry>),
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("a record of {0} bytes is shorter than its kind's layout")]
    Short(usize),
    #[error("a record of kind {0} is not known to this agent")]
    UnknownKind(u16),
    #[error("a record says that {said} bytes follow, and {there} do")]
    Length { said: usize, there: usize },
    #[error("a stack's section {0} is not known")]
    UnknownSection(u16),
}

/// Types that any bytes are a value of.
trait Plain: Copy {}
impl Plain for Header {}
impl Plain for Sample {}
impl Plain for Stack {}
impl Plain for Code {}
impl Plain for Lines {}
impl Plain for Thread {}
impl Plain for Announcement {}
impl Plain for Deferred {}
impl Plain for NativeFrame {}
impl Plain for PythonEntry {}
impl Plain for u64 {}

/// Decodes one record.
pub fn decode(bytes: &[u8]) -> Result<Record<'_>, DecodeError> {
    let header: Header = head(bytes)?.0;
    let bytes = part(bytes, header.size as usize)?;
    match header.kind {
        kind::SAMPLE => Ok(Record::Sample(head(bytes)?.0)),
        kind::STACK => {
            let (stack, rest) = head::<Stack>(bytes)?;
            let count = usize::from(stack.count);
            let frames = match stack.section {
                section::KERNEL => Frames::Kernel(list(rest, count)?),
                section::NATIVE => Frames::Native(list(rest, count)?),
                section::PYTHON => Frames::Python(list(rest, count)?),
                other => return Err(DecodeError::UnknownSection(other)),
            };
            Ok(Record::Stack(stack, frames))
        }
        kind::CODE => Ok(Record::Code(Box::new(head(bytes)?.0))),
        kind::LINES => {
            let (lines, rest) = head::<Lines>(bytes)?;
            Ok(Record::Lines(lines, part(rest, lines.stored as usize)?))
        }
        kind::THREAD => Ok(Record::Thread(Box::new(head(bytes)?.0))),
        kind::EXECUTABLE => Ok(Record::Executable(Box::new(head(bytes)?.0))),
        kind::DEFERRED => {
            let (deferred, rest) = head::<Deferred>(bytes)?;
            let stack = part(rest, deferred.stored as usize)?;
            Ok(Record::Deferred(Box::new(deferred), stack))
        }
        kind::DEFERRED_KERNEL => {
            let (stack, rest) = head::<Stack>(bytes)?;
            Ok(Record::DeferredKernel(
                stack,
                list(rest, usize::from(stack.count))?,
            ))
        }
        other => Err(DecodeError::UnknownKind(other)),
    }
}

fn head<T: Plain>(bytes: &[u8]) -> Result<(T, &[u8]), DecodeError> {
    let (head, rest) = bytes
        .split_at_checked(size_of::<T>())
        .ok_or(DecodeError::Short(bytes.len()))?;
    // SAFETY: `head` is as long as `T`, of which any bytes are a value (`Plain`).
    Ok((unsafe { head.as_ptr().cast::<T>().read_unaligned() }, rest))
}

fn part(bytes: &[u8], said: usize) -> Result<&[u8], DecodeError> {
    bytes.get(..said).ok_or(DecodeError::Length {
        said,
        there: bytes.len(),
    })
}

fn list<T: Plain>(bytes: &[u8], count: usize) -> Result<Vec<T>, DecodeError> {
    let bytes = part(bytes, count * size_of::<T>())?;
    let (mut rest, mut values) = (bytes, Vec::with_capacity(count));
    for _ in 0..count {
        let (value, after) = head(rest)?;
        values.push(value);
        rest = after;
    }
    Ok(values)
}
