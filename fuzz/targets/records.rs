//! Records of the ring buffer. What comes out is what went in, and no more of it than came.

#![no_main]

use std::mem::size_of;

use agent_common::record::{self, kind, section};
use agent_common::stack::{NativeFrame, PythonEntry, entry};
use libfuzzer_sys::fuzz_target;
use strata::bpf::decode::{Frames, Record, decode};
use strata::python::text;
use strata_fuzz::seeds;

fuzz_target!(init: seeds::write(records), |input: &[u8]| {
    match decode(input) {
        Ok(Record::Stack(stack, frames)) => {
            let (count, size) = match &frames {
                Frames::Kernel(frames) => (frames.len(), size_of::<u64>()),
                Frames::Native(frames) => (frames.len(), size_of::<NativeFrame>()),
                Frames::Python(frames) => (frames.len(), size_of::<PythonEntry>()),
            };
            assert_eq!(count, usize::from(stack.count));
            assert!(size_of::<record::Stack>() + count * size <= input.len());
            planted(&frames);
        }
        Ok(Record::DeferredKernel(stack, frames)) => {
            assert_eq!(frames.len(), usize::from(stack.count));
        }
        Ok(Record::Lines(lines, bytes)) => assert_eq!(bytes.len(), lines.stored as usize),
        Ok(Record::Deferred(deferred, bytes)) => {
            assert_eq!(bytes.len(), deferred.stored as usize);
        }
        Ok(Record::Code(code)) => {
            for name in [&code.name, &code.file] {
                assert!(text::decode(name).len() <= 16 * size_of_val(name));
            }
        }
        Ok(_) | Err(_) => {}
    }
});

/// The bug put in on purpose: an anchor as the third of several Python entries.
fn planted(frames: &Frames) {
    let Frames::Python(entries) = frames else {
        return;
    };
    let third = entries.get(2);
    let reached = third.is_some_and(|third| third.kind == entry::ANCHOR);
    assert!(
        !(cfg!(feature = "planted") && reached),
        "planted: {third:?}"
    );
}

/// A record of each kind and section.
fn records() -> Vec<Vec<u8>> {
    let kinds = [
        (kind::SAMPLE, size_of::<record::Sample>(), 0),
        (kind::CODE, size_of::<record::Code>(), 0),
        (kind::LINES, size_of::<record::Lines>(), 8),
        (kind::THREAD, size_of::<record::Thread>(), 0),
        (kind::EXECUTABLE, size_of::<record::Announcement>(), 0),
        (kind::DEFERRED, size_of::<record::Deferred>(), 64),
    ];
    let mut seeds = Vec::new();
    for (kind, size, behind) in kinds {
        seeds.push(of_kind(kind, vec![0; size + behind]));
    }
    for (kind, section) in [
        (kind::STACK, section::KERNEL),
        (kind::STACK, section::NATIVE),
        (kind::STACK, section::PYTHON),
        (kind::DEFERRED_KERNEL, section::KERNEL),
    ] {
        let mut seed = vec![0; size_of::<record::Stack>()];
        let section_at = std::mem::offset_of!(record::Stack, section);
        seed[section_at..section_at + 2].copy_from_slice(&section.to_le_bytes());
        seed[std::mem::offset_of!(record::Stack, count)] = 2;
        seed.extend([1; 3 * size_of::<PythonEntry>()]);
        seeds.push(of_kind(kind, seed));
    }
    seeds
}

fn of_kind(kind: u16, mut record: Vec<u8>) -> Vec<u8> {
    let size = record.len() as u32;
    record[..2].copy_from_slice(&kind.to_le_bytes());
    record[2..4].copy_from_slice(&record::VERSION.to_le_bytes());
    record[4..8].copy_from_slice(&size.to_le_bytes());
    record
}
