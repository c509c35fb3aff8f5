//! A call of one message with one answer over gRPC: a POST with five bytes before the message, and a
//! status behind the answer. Written here rather than taken from a client for all kinds of calls, since what
//! counts is to tell a status that the other side gave from one made up for an answer that broke off.

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use prost::Message;

use super::client::{Answer, MOST_ANSWER_BYTES};
use super::compress::expand;
use super::verdict::{self, Outcome, Verdict, bounded};

const HEAD: usize = 5;
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// google.rpc.Status
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// google.protobuf.Any
#[derive(Clone, PartialEq, Message)]
pub struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// google.rpc.RetryInfo
#[derive(Clone, PartialEq, Message)]
pub struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub delay: Option<Span>,
}

/// google.protobuf.Duration
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Span {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// The message as it goes over the wire.
pub fn framed(message: &[u8], compressed: bool) -> Bytes {
    let mut framed = BytesMut::with_capacity(HEAD + message.len());
    framed.put_u8(compressed.into());
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(message);
    framed.freeze()
}

/// The message of an answer, or what its status means.
pub fn message(answer: &Answer) -> Result<Bytes, Outcome> {
    let content = verdict::content_type(&answer.headers);
    let grpc = content.is_some_and(|content| content.starts_with("application/grpc"));
    // A status stands in the headers where there is no message.
    let ends = [&answer.trailers, &answer.headers];
    let end = ends.into_iter().find(|end| end.contains_key("grpc-status"));
    let Some(end) = end else {
        return Err(match answer.status {
            StatusCode::OK if grpc => Outcome::failed(
                "cut",
                Verdict::Later(None),
                "its answer ends without a status".to_owned(),
            ),
            StatusCode::OK => Outcome::garbage("its answer is not gRPC".to_owned()),
            status => {
                let text = String::from_utf8_lossy(&answer.body);
                verdict::of_status(status, &answer.headers, false, &text)
            }
        });
    };
    match text(end, "grpc-status").parse() {
        Ok(0) => unframed(&answer.body, text(&answer.headers, "grpc-encoding"))
            .ok_or_else(|| Outcome::garbage("its answer is no message of gRPC".to_owned())),
        Ok(code) => Err(of_code(code, end)),
        Err(_) => Err(Outcome::garbage("its status is no number".to_owned())),
    }
}

/// Go's servers compress an answer as the question was, whether they were told that they may or not.
fn unframed(body: &Bytes, encoding: &str) -> Option<Bytes> {
    let (head, message) = body.split_at_checked(HEAD)?;
    let length = u32::from_be_bytes(head[1..].try_into().ok()?) as usize;
    match head[0] {
        _ if message.len() != length => None,
        0 => Some(body.slice(HEAD..)),
        1 => expand(message, encoding, MOST_ANSWER_BYTES).map(Bytes::from),
        _ => None,
    }
}

fn of_code(code: u32, end: &HeaderMap) -> Outcome {
    let said = percent_decoded(text(end, "grpc-message"));
    let wait = retry_info(text(end, "grpc-status-details-bin"));
    let (name, verdict) = match code {
        1 => ("cancelled", Verdict::Later(wait)),
        2 => ("unknown", Verdict::Doubtful),
        3 => ("invalid_argument", Verdict::Refused),
        4 => ("deadline_exceeded", Verdict::Later(wait)),
        5 => ("not_found", Verdict::Blocked),
        6 => ("already_exists", Verdict::Doubtful),
        7 => ("permission_denied", Verdict::Blocked),
        // Without a time it is a quota or a size. A quota may be raised; meanwhile nothing is lost.
        8 if wait.is_some() => ("resource_exhausted", Verdict::Later(wait)),
        8 => ("resource_exhausted", Verdict::Blocked),
        9 => ("failed_precondition", Verdict::Doubtful),
        10 => ("aborted", Verdict::Later(wait)),
        11 => ("out_of_range", Verdict::Later(wait)),
        12 => ("unimplemented", Verdict::Blocked),
        13 => ("internal", Verdict::Doubtful),
        14 => ("unavailable", Verdict::Later(wait)),
        15 => ("data_loss", Verdict::Later(wait)),
        16 => ("unauthenticated", Verdict::Blocked),
        _ => ("unknown", Verdict::Doubtful),
    };
    let cause = match verdict::shown(&said).as_str() {
        "" => format!("it answered {}", name.to_uppercase()),
        said => format!("it answered {}: {said}", name.to_uppercase()),
    };
    if wait.is_none() && matches!(code, 8 | 11) && says_too_large(&said) {
        return Outcome::failed("too_large", Verdict::Refused, cause);
    }
    Outcome::failed(&format!("grpc_{name}"), verdict, cause)
}

/// Servers have no code of its own for it: Go and C++ say "received message larger than max", Java
/// "gRPC message exceeds maximum size", Rust "message length too large".
fn says_too_large(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    let size = ["larger than max", "exceeds maximum size", "too large"];
    said.contains("message") && size.iter().any(|text| said.contains(text))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().trim()
}

/// How long to wait, if the status says so.
fn retry_info(details: &str) -> Option<Duration> {
    let bytes = BASE64.decode(details).ok()?;
    let status = Status::decode(&*bytes).ok()?;
    let info = status
        .details
        .iter()
        .find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(&*info.value)
        .ok()?
        .delay
        .unwrap_or_default();
    let seconds = u64::try_from(delay.seconds).unwrap_or(0);
    let nanos = u64::try_from(delay.nanos).unwrap_or(0);
    let wait = Duration::from_secs(seconds).checked_add(Duration::from_nanos(nanos));
    Some(bounded(wait.unwrap_or(Duration::MAX)))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, escaped) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (byte, _) => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
