//! What tells Python code objects apart: the signature of their content and the key of their texts.

use agent_common::code;
use agent_common::process::ProcessId;

use super::changes::Ids;

/// The arguments of [`code::signature`].
#[derive(Clone, Copy)]
struct Content {
    first_line: i32,
    filename: u64,
    name: u64,
    qualname: u64,
    linetable: u64,
    size: u64,
}

const CONTENT: Content = Content {
    first_line: 17,
    filename: 0x7f00_1111_1110,
    name: 0x7f00_2222_2220,
    qualname: 0x7f00_3333_3330,
    linetable: 0x7f00_4444_4440,
    size: 42,
};

impl Content {
    fn signature(&self) -> u64 {
        let Self {
            first_line,
            filename,
            name,
            qualname,
            linetable,
            size,
        } = *self;
        code::signature(first_line, filename, name, qualname, linetable, size)
    }
}

#[test]
fn every_bit_of_the_content_is_in_the_signature() {
    let mut ids = Ids::default();
    ids.add("as read", CONTENT.signature());
    let changes = changes!(
        CONTENT,
        Content {
            first_line,
            filename,
            name,
            qualname,
            linetable,
            size
        }
    );
    for (name, content) in changes {
        ids.add(name, content.signature());
    }
}

#[test]
fn the_places_of_the_content_are_in_the_signature() {
    let mut ids = Ids::default();
    ids.add("as read", CONTENT.signature());
    let words = |content: &Content| {
        [
            content.filename,
            content.name,
            content.qualname,
            content.linetable,
            content.size,
        ]
    };
    for one in 0..5 {
        for other in one + 1..5 {
            let mut swapped = words(&CONTENT);
            swapped.swap(one, other);
            let [filename, name, qualname, linetable, size] = swapped;
            let content = Content {
                first_line: CONTENT.first_line,
                filename,
                name,
                qualname,
                linetable,
                size,
            };
            ids.add(
                format!("words {one} and {other} swapped"),
                content.signature(),
            );
        }
    }
}

/// The arguments of [`code::key`].
#[derive(Clone, Copy)]
struct Keyed {
    seed: u64,
    process: ProcessId,
    code: u64,
    signature: u64,
}

const KEYED: Keyed = Keyed {
    seed: 5,
    process: ProcessId {
        pid: 4321,
        exec: 3,
        start: 1_234_567_890_123,
    },
    code: 0x7f00_1234_5670,
    signature: 0x1111_2222_3333_4445,
};

impl Keyed {
    fn key(&self) -> u64 {
        let Self {
            seed,
            process,
            code,
            signature,
        } = *self;
        code::key(seed, &process, code, signature)
    }
}

#[test]
fn every_bit_of_a_code_object_is_in_its_key() {
    let mut ids = Ids::default();
    ids.add("as read", KEYED.key());
    for (name, keyed) in changes!(KEYED, Keyed { seed, code, signature } besides { process }) {
        ids.add(name, keyed.key());
    }
    for (name, process) in changes!(KEYED.process, ProcessId { pid, exec, start }) {
        ids.add(name, Keyed { process, ..KEYED }.key());
    }
    let swapped = Keyed {
        code: KEYED.signature,
        signature: KEYED.code,
        ..KEYED
    };
    ids.add("code and signature swapped", swapped.key());
}

#[test]
fn the_same_code_object_has_the_same_key() {
    assert_eq!(
        CONTENT.signature(),
        std::hint::black_box(CONTENT).signature()
    );
    assert_eq!(KEYED.key(), std::hint::black_box(KEYED).key());
}
