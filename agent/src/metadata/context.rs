//! The process context (OpenTelemetry's OTEP 4719): resource attributes that a program's SDK
//! publishes in its own memory for readers outside of it.
//!
//! A mapping named `OTEL_CTX` begins with this header, whose payload is a protobuf message:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `OTEL_CTX`, written last |
//! | 8 | 4 | version, 2 |
//! | 12 | 4 | size of the payload |
//! | 16 | 8 | when it was published, 0 while it is being written |
//! | 24 | 8 | address of the payload |
//!
//! The process may write to all of it at any time. A payload counts only if the header is the same
//! before and after it was read, and nothing of what the header says is believed before it is
//! within bounds.

use std::io::{self, BufReader, Read};

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::SERVICE_NAME;
use crate::process::ProcessHandle;
use crate::process::maps::{Mapping, read_maps};

const SIGNATURE: &[u8; 8] = b"OTEL_CTX";
const VERSION: u32 = 2;
const HEADER: usize = 32;
/// What the mapping's name begins with: a memfd, or anonymous memory with a name, shared or not.
const NAMES: [&[u8]; 3] = [
    b"/memfd:OTEL_CTX",
    b"[anon_shmem:OTEL_CTX]",
    b"[anon:OTEL_CTX]",
];

/// Most bytes of `maps` that are looked through; 65,530 mappings with names of 70 bytes.
const MAPS: u64 = 8 << 20;
/// Most mappings of that name. There should be one.
const CANDIDATES: usize = 4;
/// How often one is read that changes meanwhile.
const ATTEMPTS: usize = 3;
/// Largest payload. Some have a few hundred bytes, and one attribute more than is kept is no loss.
const PAYLOAD: usize = 64 << 10;
/// Most attributes that are kept, and their longest keys and values.
const ATTRIBUTES: usize = 64;
const KEY: usize = 256;
const VALUE: usize = 1024;

/// What we see ourselves is not taken from the process.
const SEEN: [&str; 3] = ["process.", "container.", "k8s."];

/// A context that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    avma: u64,
    header: [u8; HEADER],
    pub service_name: Option<String>,
    pub attributes: Vec<(String, String)>,
}

impl Context {
    /// Reads it where it was, if it has changed; or looks for another.
    pub fn read_again(&self, process: &ProcessHandle) -> Option<Self> {
        let memory = |avma, into: &mut [u8]| process.read_memory(avma, into);
        match header(&memory, self.avma) {
            Ok(header) if header == self.header => None,
            Ok(_) => read(&memory, self.avma),
            Err(_) => find(process),
        }
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        let attributes = self.attributes.iter();
        let texts: usize = attributes
            .map(|(key, value)| key.capacity() + value.capacity())
            .sum();
        let service_name = self.service_name.as_ref().map_or(0, String::capacity);
        texts + service_name + self.attributes.capacity() * size_of::<(String, String)>()
    }
}

/// Looks for the context of a process.
pub fn find(process: &ProcessHandle) -> Option<Context> {
    let place = process.living().ok()?;
    let maps = process.open_file(&format!("{place}maps")).ok()?;
    let candidates = candidates(maps.take(MAPS));
    let memory = |avma, into: &mut [u8]| process.read_memory(avma, into);
    candidates.into_iter().find_map(|avma| read(&memory, avma))
}

/// Where a context may be.
fn candidates(maps: impl Read) -> Vec<u64> {
    let mut found = Vec::new();
    // A file that ends half-way has been read as far as it goes.
    let _ = read_maps(BufReader::with_capacity(64 << 10, maps), |mapping| {
        if is_candidate(mapping) {
            found.push(mapping.avma.start);
        }
        found.len() < CANDIDATES
    });
    found
}

fn is_candidate(mapping: &Mapping<'_>) -> bool {
    let named = NAMES.iter().any(|name| mapping.name().starts_with(name));
    let size = mapping.avma.end - mapping.avma.start;
    named && !mapping.executable && size >= HEADER as u64
}

/// Reads the context whose header is at `avma`. None: there is none, or it is being written.
fn read(memory: &impl Fn(u64, &mut [u8]) -> io::Result<()>, avma: u64) -> Option<Context> {
    for _ in 0..ATTEMPTS {
        let header_before = header(memory, avma).ok()?;
        if header_before[..8] != SIGNATURE[..] || u32_at(&header_before, 8) != VERSION {
            return None;
        }
        let size = u32_at(&header_before, 12) as usize;
        let published = u64_at(&header_before, 16);
        let payload_avma = u64_at(&header_before, 24);
        if published == 0 || size > PAYLOAD {
            continue;
        }
        let mut payload = vec![0; size];
        // The old payload may be gone by now; then the header is another one.
        let whole = size == 0 || memory(payload_avma, &mut payload).is_ok();
        if !whole || header(memory, avma).ok()? != header_before {
            continue;
        }
        let (service_name, attributes) = decode(&payload)?;
        return Some(Context {
            avma,
            header: header_before,
            service_name,
            attributes,
        });
    }
    None
}

fn header(
    memory: &impl Fn(u64, &mut [u8]) -> io::Result<()>,
    avma: u64,
) -> io::Result<[u8; HEADER]> {
    let mut header = [0; HEADER];
    memory(avma, &mut header)?;
    Ok(header)
}

fn u32_at(header: &[u8; HEADER], at: usize) -> u32 {
    let bytes = header[at..].first_chunk().copied();
    u32::from_ne_bytes(bytes.unwrap_or_default())
}

fn u64_at(header: &[u8; HEADER], at: usize) -> u64 {
    let bytes = header[at..].first_chunk().copied();
    u64::from_ne_bytes(bytes.unwrap_or_default())
}

/// `opentelemetry.proto.processcontext.v1development.ProcessContext`; what else is in it is for
/// readers of threads' contexts.
#[derive(Clone, PartialEq, Message)]
struct ProcessContext {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
}

type Attributes = Vec<(String, String)>;

/// The service's name and the other attributes that are texts within bounds, each key once.
fn decode(payload: &[u8]) -> Option<(Option<String>, Attributes)> {
    let resource = ProcessContext::decode(payload).ok()?.resource;
    let mut service_name = None;
    let mut attributes = Attributes::new();
    for KeyValue { key, value, .. } in resource.unwrap_or_default().attributes {
        let Some(any_value::Value::StringValue(value)) = value.and_then(|it| it.value) else {
            continue;
        };
        // A text that is cut off would be another one.
        let fits = (1..=KEY).contains(&key.len()) && (1..=VALUE).contains(&value.len());
        if !fits || SEEN.iter().any(|seen| key.starts_with(seen)) {
            continue;
        }
        if key == SERVICE_NAME {
            service_name.get_or_insert(value);
        } else if attributes.len() < ATTRIBUTES && attributes.iter().all(|(known, _)| *known != key)
        {
            attributes.push((key, value));
        }
    }
    Some((service_name, attributes))
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;
