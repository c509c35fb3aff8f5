use std::cell::RefCell;
use std::ops::Range;

use opentelemetry_proto::tonic::common::v1::AnyValue;

use super::*;

/// An address space of one page.
struct Space {
    page: RefCell<Vec<u8>>,
    reads: RefCell<usize>,
}

const BASE: u64 = 0x7000_0000;

impl Space {
    fn new(size: u32, published: u64, payload_avma: u64, payload: &[u8]) -> Self {
        let mut page = vec![0; 4096];
        page[..8].copy_from_slice(SIGNATURE);
        page[8..12].copy_from_slice(&2u32.to_ne_bytes());
        page[12..16].copy_from_slice(&size.to_ne_bytes());
        page[16..24].copy_from_slice(&published.to_ne_bytes());
        page[24..32].copy_from_slice(&payload_avma.to_ne_bytes());
        page[HEADER..HEADER + payload.len()].copy_from_slice(payload);
        Self {
            page: RefCell::new(page),
            reads: RefCell::new(0),
        }
    }

    /// One that is right.
    fn right(payload: &[u8]) -> Self {
        Self::new(payload.len() as u32, 1, BASE + HEADER as u64, payload)
    }

    fn put(&self, range: Range<usize>, bytes: &[u8]) {
        self.page.borrow_mut()[range].copy_from_slice(bytes);
    }

    fn read(&self) -> Option<Context> {
        self.read_while(|_| {})
    }

    /// `between` is called with the number of each read, before it.
    fn read_while(&self, between: impl Fn(usize)) -> Option<Context> {
        let memory = |avma: u64, into: &mut [u8]| {
            between(self.reads.replace_with(|reads| *reads + 1));
            let page = self.page.borrow();
            let at = avma
                .checked_sub(BASE)
                .and_then(|at| usize::try_from(at).ok());
            let found = at.and_then(|at| page.get(at..at.checked_add(into.len())?));
            into.copy_from_slice(found.ok_or(io::ErrorKind::InvalidInput)?);
            Ok(())
        };
        read(&memory, BASE)
    }
}

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, any_value::Value::StringValue(value.to_owned()))
}

fn payload(attributes: Vec<KeyValue>) -> Vec<u8> {
    let resource = Resource {
        attributes,
        ..Resource::default()
    };
    ProcessContext {
        resource: Some(resource),
    }
    .encode_to_vec()
}

fn web() -> Vec<u8> {
    payload(vec![
        text("service.name", "web"),
        text("service.version", "1.2"),
    ])
}

#[test]
fn a_context() {
    let context = Space::right(&web()).read().expect("a context");
    assert_eq!(context.service_name.as_deref(), Some("web"));
    let version = ("service.version".to_owned(), "1.2".to_owned());
    assert_eq!(context.attributes, [version]);
    // Nothing is a context, too.
    let nothing = Space::new(0, 1, 0, &[]).read().expect("a context");
    assert_eq!((nothing.service_name, nothing.attributes.len()), (None, 0));
}

/// The bytes of the message by its definition, not by our encoder: field 1, a resource; in it
/// field 1, pairs of a key and a value of texts; and a field 2 that is not ours.
#[test]
fn bytes_of_the_wire() {
    let bytes = b"\x0a\x19\x0a\x17\x0a\x0cservice.name\x12\x07\x0a\x05a web\x12\x02\x0a\x00";
    let context = Space::right(bytes).read().expect("a context");
    assert_eq!(context.service_name.as_deref(), Some("a web"));
}

#[test]
fn headers_that_are_none() {
    let payload = web();
    let spoilt = |range: Range<usize>, bytes: &[u8]| {
        let space = Space::right(&payload);
        space.put(range, bytes);
        space.read()
    };
    assert_eq!(spoilt(0..8, b"OTEL_CTY"), None);
    assert_eq!(spoilt(0..8, &[0; 8]), None);
    for version in [0u32, 1, 3, u32::MAX] {
        assert_eq!(spoilt(8..12, &version.to_ne_bytes()), None, "{version}");
    }
    assert_eq!(spoilt(16..24, &[0; 8]), None, "being written");
    for size in [1u32, PAYLOAD as u32, PAYLOAD as u32 + 1, u32::MAX] {
        assert_eq!(spoilt(12..16, &size.to_ne_bytes()), None, "{size}");
    }
    for avma in [0, 1, BASE + 4090, BASE - 8, u64::MAX, u64::MAX - 31] {
        assert_eq!(spoilt(24..32, &avma.to_ne_bytes()), None, "{avma:#x}");
    }
}

#[test]
fn one_that_changes_while_it_is_read() {
    // Read 0 is the header, 1 the payload, 2 the header again.
    let new = payload(vec![text("service.name", "new")]);
    let update = |space: &Space| {
        space.put(12..16, &(new.len() as u32).to_ne_bytes());
        space.put(HEADER..HEADER + new.len(), &new);
        space.put(16..24, &2u64.to_ne_bytes());
    };
    for moment in [1, 2] {
        let space = Space::right(&web());
        let context = space.read_while(|read| {
            if read == moment {
                update(&space);
            }
        });
        let context = context.expect("the second attempt's");
        assert_eq!(context.service_name.as_deref(), Some("new"), "{moment}");
    }
    // Written to without an end: no attempt is the last.
    let space = Space::right(&web());
    let never = space.read_while(|read| space.put(16..24, &(read as u64 + 1).to_ne_bytes()));
    assert_eq!(never, None);
    assert!(*space.reads.borrow() <= 3 * ATTEMPTS);
    // Half-written at first.
    let space = Space::right(&web());
    space.put(16..24, &[0; 8]);
    let context = space.read_while(|read| {
        if read == 1 {
            update(&space);
        }
    });
    assert_eq!(
        context.expect("a context").service_name.as_deref(),
        Some("new")
    );
}

#[test]
fn attributes_within_bounds() {
    let long = "x".repeat(VALUE + 1);
    let mut attributes = vec![
        text("service.name", &long),
        text("service.name", ""),
        text("service.name", "first"),
        text("service.name", "second"),
        text("", "no key"),
        text("process.pid", "1"),
        text("process.command_line", "--password=1"),
        text("container.id", "elsewhere"),
        text("a", "1"),
        text("a", "2"),
        text(&long[..KEY + 1], "long key"),
        pair("number", any_value::Value::IntValue(1)),
        KeyValue::default(),
    ];
    attributes.extend((0..1000).map(|number| text(&format!("key.{number}"), &long[..VALUE])));
    let (service_name, attributes) = decode(&payload(attributes)).expect("a message");
    assert_eq!(service_name.as_deref(), Some("first"));
    assert_eq!(attributes.len(), ATTRIBUTES);
    assert_eq!(attributes[0], ("a".to_owned(), "1".to_owned()));
    assert!(
        attributes[1..]
            .iter()
            .all(|(key, _)| key.starts_with("key."))
    );
}

#[test]
fn payloads_that_are_none() {
    let right = web();
    assert_eq!(decode(b"\xFF\xFF\xFF\xFF"), None);
    // A name that is no UTF-8.
    assert_eq!(decode(b"\x0a\x07\x0a\x05\x0a\x01\xFF\x12\x00"), None);
    for length in 0..right.len() {
        let _ = decode(&right[..length]);
    }
    for at in 0..right.len() {
        for byte in [0, 0x7F, 0x80, 0xFF] {
            let mut spoilt = right.clone();
            spoilt[at] = byte;
            let _ = decode(&spoilt);
        }
    }
    // Values in values, without an end.
    let mut nested = Vec::new();
    for _ in 0..4000 {
        // AnyValue.array_value.values[0]
        let inner = nested;
        let mut array = Vec::new();
        prost::encoding::bytes::encode(1, &inner, &mut array);
        nested = Vec::new();
        prost::encoding::bytes::encode(5, &array, &mut nested);
    }
    let mut attribute = Vec::new();
    prost::encoding::bytes::encode(2, &nested, &mut attribute);
    let mut resource = Vec::new();
    prost::encoding::bytes::encode(1, &attribute, &mut resource);
    let mut context = Vec::new();
    prost::encoding::bytes::encode(1, &resource, &mut context);
    assert!(context.len() < PAYLOAD);
    assert_eq!(decode(&context), None);
}

#[test]
fn names_of_mappings() {
    let found = |line: &str| candidates(line.as_bytes());
    for name in [
        "/memfd:OTEL_CTX (deleted)",
        "/memfd:OTEL_CTX",
        "[anon_shmem:OTEL_CTX]",
        "[anon:OTEL_CTX]",
    ] {
        let line = format!("7000-8000 rw-s 00000000 00:01 5      {name}\n");
        assert_eq!(found(&line), [0x7000], "{name}");
        let executable = line.replace("rw-s", "r-xs");
        assert!(found(&executable).is_empty(), "{name}");
    }
    for name in ["/tmp/memfd:OTEL_CTX", "[anon:OTEL]", "", "[heap]"] {
        let line = format!("7000-8000 rw-s 00000000 00:01 5      {name}\n");
        assert!(found(&line).is_empty(), "{name}");
    }
    let many = "7000-8000 rw-s 00000000 00:01 5      /memfd:OTEL_CTX\n".repeat(100);
    assert_eq!(found(&many).len(), CANDIDATES);
}
