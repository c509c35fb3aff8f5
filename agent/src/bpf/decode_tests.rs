//! The decoder against a writer that knows the records by their fields alone, and against bytes
//! that no kernel side wrote.

mod written;

use std::mem::offset_of;

use agent_common::record::{
    Announcement, Code, Deferred, Header, Lines, Sample, Stack, Thread, VERSION, kind, section,
};

use super::decode::{DecodeError, Frames, Record, decode};
use written::written;

/// Marsaglia's xorshift64: the same numbers in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// Puts a field in, as far as there is room for it.
fn put(bytes: &mut [u8], offset: usize, field: &[u8]) {
    if let Some(place) = bytes.get_mut(offset..offset + field.len()) {
        place.copy_from_slice(field);
    }
}

fn put_header(bytes: &mut [u8], kind: u16) {
    let size = bytes.len() as u32;
    put(bytes, offset_of!(Header, kind), &kind.to_ne_bytes());
    put(bytes, offset_of!(Header, version), &VERSION.to_ne_bytes());
    put(bytes, offset_of!(Header, size), &size.to_ne_bytes());
}

/// Where a record says how much follows it.
#[derive(Clone, Copy)]
enum Follows {
    Nothing,
    /// So many values of so many bytes, counted at this offset.
    Count(usize, usize, usize),
    /// So many bytes, said at this offset.
    Bytes(usize, usize),
}

/// A record whose fields all hold something else.
struct Example {
    name: &'static str,
    bytes: Vec<u8>,
    head: usize,
    follows: Follows,
}

fn examples() -> Vec<Example> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut example = |name, kind, section: Option<u16>, head, follows| {
        let behind = match follows {
            Follows::Nothing => 0,
            Follows::Count(count, size, _) => count * size,
            Follows::Bytes(bytes, _) => bytes,
        };
        let mut bytes = random.bytes(head + behind);
        put_header(&mut bytes, kind);
        if let Some(section) = section {
            let offset = offset_of!(Stack, section);
            put(&mut bytes, offset, &section.to_ne_bytes());
        }
        match follows {
            Follows::Nothing => {}
            Follows::Count(count, _, offset) => {
                put(&mut bytes, offset, &(count as u16).to_ne_bytes());
            }
            Follows::Bytes(count, offset) => {
                put(&mut bytes, offset, &(count as u32).to_ne_bytes());
            }
        }
        Example {
            name,
            bytes,
            head,
            follows,
        }
    };
    let nothing = Follows::Nothing;
    let frames = |size| Follows::Count(5, size, offset_of!(Stack, count));
    let stack = size_of::<Stack>();
    let (kernel, native, python) = (section::KERNEL, section::NATIVE, section::PYTHON);
    let table = Follows::Bytes(77, offset_of!(Lines, stored));
    let slice = Follows::Bytes(333, offset_of!(Deferred, stored));
    vec![
        example("sample", kind::SAMPLE, None, size_of::<Sample>(), nothing),
        example(
            "kernel section",
            kind::STACK,
            Some(kernel),
            stack,
            frames(8),
        ),
        example(
            "native section",
            kind::STACK,
            Some(native),
            stack,
            frames(16),
        ),
        example(
            "Python section",
            kind::STACK,
            Some(python),
            stack,
            frames(24),
        ),
        example("code", kind::CODE, None, size_of::<Code>(), nothing),
        example("lines", kind::LINES, None, size_of::<Lines>(), table),
        example("thread", kind::THREAD, None, size_of::<Thread>(), nothing),
        example(
            "executable",
            kind::EXECUTABLE,
            None,
            size_of::<Announcement>(),
            nothing,
        ),
        example(
            "deferred",
            kind::DEFERRED,
            None,
            size_of::<Deferred>(),
            slice,
        ),
        // Its section is not read.
        example(
            "deferred kernel",
            kind::DEFERRED_KERNEL,
            None,
            stack,
            frames(8),
        ),
    ]
}

/// What a record is, by its own kind.
fn is_of_kind(record: &Record<'_>, number: u16) -> bool {
    let expected = match record {
        Record::Sample(_) => kind::SAMPLE,
        Record::Stack(..) => kind::STACK,
        Record::Code(_) => kind::CODE,
        Record::Lines(..) => kind::LINES,
        Record::Thread(_) => kind::THREAD,
        Record::Executable(_) => kind::EXECUTABLE,
        Record::Deferred(..) => kind::DEFERRED,
        Record::DeferredKernel(..) => kind::DEFERRED_KERNEL,
    };
    number == expected
}

fn kind_of(bytes: &[u8]) -> u16 {
    u16::from_ne_bytes([bytes[0], bytes[1]])
}

#[test]
fn every_record_is_read_field_by_field() {
    for Example { name, bytes, .. } in examples() {
        let record = decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(is_of_kind(&record, kind_of(&bytes)), "{name}: {record:?}");
        assert_eq!(written(&record), bytes, "{name}");
    }
}

#[test]
fn every_section_is_read_as_its_own() {
    for Example { name, bytes, .. } in examples() {
        let Ok(Record::Stack(stack, frames)) = decode(&bytes) else {
            continue;
        };
        let section = match frames {
            Frames::Kernel(_) => section::KERNEL,
            Frames::Native(_) => section::NATIVE,
            Frames::Python(_) => section::PYTHON,
        };
        assert_eq!(section, stack.section, "{name}");
    }
}

/// The ring buffer aligns records, other sources need not.
#[test]
fn records_need_no_alignment() {
    for Example { name, bytes, .. } in examples() {
        for shift in 1..8 {
            let mut shifted = vec![0xAA; shift];
            shifted.extend_from_slice(&bytes);
            let record =
                decode(&shifted[shift..]).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(written(&record), bytes, "{name} at {shift}");
        }
    }
}

#[test]
fn a_record_cut_anywhere_is_an_error() {
    for Example {
        name, bytes, head, ..
    } in examples()
    {
        for length in 0..bytes.len() {
            let mut cut = bytes[..length].to_vec();
            // The record's own size does not give the cut away.
            put(
                &mut cut,
                offset_of!(Header, size),
                &(length as u32).to_ne_bytes(),
            );
            let expected = if length < head {
                DecodeError::Short(length)
            } else {
                DecodeError::Length {
                    said: bytes.len() - head,
                    there: length - head,
                }
            };
            let error = decode(&cut).expect_err(name);
            assert_eq!(error, expected, "{name} cut to {length} bytes");
        }
    }
}

#[test]
fn a_count_of_more_than_is_there_is_an_error() {
    for Example {
        name,
        bytes,
        head,
        follows,
    } in examples()
    {
        let there = bytes.len() - head;
        let try_one = |field: &[u8], offset, said| {
            let mut bytes = bytes.clone();
            put(&mut bytes, offset, field);
            let error = decode(&bytes).expect_err(name);
            assert_eq!(error, DecodeError::Length { said, there }, "{name}");
        };
        match follows {
            Follows::Nothing => {}
            Follows::Count(count, size, offset) => {
                for said in [count + 1, usize::from(u16::MAX)] {
                    try_one(&(said as u16).to_ne_bytes(), offset, said * size);
                }
            }
            Follows::Bytes(count, offset) => {
                for said in [count + 1, u32::MAX as usize] {
                    try_one(&(said as u32).to_ne_bytes(), offset, said);
                }
            }
        }
    }
}

#[test]
fn a_size_of_more_than_is_there_is_an_error() {
    for Example { name, bytes, .. } in examples() {
        for said in [bytes.len() + 1, u32::MAX as usize] {
            let mut bytes = bytes.clone();
            put(
                &mut bytes,
                offset_of!(Header, size),
                &(said as u32).to_ne_bytes(),
            );
            assert!(decode(&bytes).is_err(), "{name} of {said} bytes");
        }
    }
}

#[test]
fn fewer_frames_than_there_are_are_taken_alone() {
    for Example {
        name,
        mut bytes,
        head,
        follows,
    } in examples()
    {
        let (offset, size) = match follows {
            Follows::Nothing => continue,
            Follows::Count(_, size, offset) => (offset, size),
            Follows::Bytes(_, offset) => (offset, 1),
        };
        put(&mut bytes, offset, &2u16.to_ne_bytes());
        let record = decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(written(&record), bytes[..head + 2 * size], "{name}");
    }
}

/// A later kernel side may say more at a record's end.
#[test]
fn bytes_behind_a_known_record_are_ignored() {
    for Example { name, bytes, .. } in examples() {
        let mut longer = bytes.clone();
        longer.extend_from_slice(&[0xAA; 24]);
        let size = longer.len() as u32;
        put(&mut longer, offset_of!(Header, size), &size.to_ne_bytes());
        let record = decode(&longer).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut expected = bytes;
        put(&mut expected, offset_of!(Header, size), &size.to_ne_bytes());
        assert_eq!(written(&record), expected, "{name}");
    }
}

#[test]
fn an_unknown_kind_is_named() {
    let known = kind::SAMPLE..=kind::DEFERRED_KERNEL;
    for length in [size_of::<Header>(), 1024] {
        for number in (0..=u16::MAX).filter(|number| !known.contains(number)) {
            let mut bytes = vec![0; length];
            put_header(&mut bytes, number);
            let error = decode(&bytes).expect_err("an unknown kind");
            assert_eq!(error, DecodeError::UnknownKind(number));
        }
    }
}

#[test]
fn an_unknown_section_is_named() {
    for number in section::PYTHON + 1..=u16::MAX {
        let mut bytes = vec![0; size_of::<Stack>()];
        put_header(&mut bytes, kind::STACK);
        put(
            &mut bytes,
            offset_of!(Stack, section),
            &number.to_ne_bytes(),
        );
        let error = decode(&bytes).expect_err("an unknown section");
        assert_eq!(error, DecodeError::UnknownSection(number));
    }
}

/// Whatever is made of bytes is what they say, and no more than is there.
#[test]
fn random_bytes_never_panic() {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let mut taken = 0;
    for _ in 0..100_000 {
        let length = random.below(700);
        let mut bytes = random.bytes(length);
        // Random alone nearly never gets past the kind.
        if !random.next().is_multiple_of(8) {
            let kind = random.below(10) as u16;
            put_header(&mut bytes, kind);
            let section = random.below(4) as u16;
            let small = random.below(200) as u32;
            match kind {
                kind::STACK | kind::DEFERRED_KERNEL => {
                    put(
                        &mut bytes,
                        offset_of!(Stack, section),
                        &section.to_ne_bytes(),
                    );
                    let count = (small / 4) as u16;
                    put(&mut bytes, offset_of!(Stack, count), &count.to_ne_bytes());
                }
                kind::LINES => put(&mut bytes, offset_of!(Lines, stored), &small.to_ne_bytes()),
                kind::DEFERRED => {
                    put(
                        &mut bytes,
                        offset_of!(Deferred, stored),
                        &small.to_ne_bytes(),
                    );
                }
                _ => {}
            }
        }
        if let Ok(record) = decode(&bytes) {
            taken += 1;
            assert!(is_of_kind(&record, kind_of(&bytes)), "{record:?}");
            let written = written(&record);
            assert_eq!(written, bytes[..written.len()], "{record:?}");
        }
    }
    assert!(
        taken > 10_000,
        "only {taken} cases got past the decoder's checks"
    );
}

/// Records that differ from good ones in a few bytes.
#[test]
fn damaged_records_never_panic() {
    let mut random = Random(0xD1B5_4A32_D192_ED03);
    let examples = examples();
    for _ in 0..100_000 {
        let mut bytes = examples[random.below(examples.len())].bytes.clone();
        for _ in 0..=random.below(3) {
            // The first bytes decide most.
            let reach = if random.next().is_multiple_of(2) {
                64
            } else {
                bytes.len()
            };
            let place = random.below(reach.min(bytes.len()));
            bytes[place] = random.next() as u8;
        }
        if random.next().is_multiple_of(4) {
            bytes.truncate(random.below(bytes.len()));
        }
        if let Ok(record) = decode(&bytes) {
            let written = written(&record);
            assert_eq!(written, bytes[..written.len()], "{record:?}");
        }
    }
}
