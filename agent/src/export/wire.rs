//! A message as each protocol sends it, and what its answers mean.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, TE, USER_AGENT,
};
use http::{HeaderMap, Method, Request};
use http_body_util::Full;

use super::client::Answer;
use super::compress::compress;
use super::target::{Target, encoding};
use super::verdict::Outcome;
use super::{Compression, Destination, Protocol, grpc, otlp, parca, pyroscope, series};
use crate::format::FormatError;
use crate::format::read::ReadError;

const AGENT: &str = concat!("strata/", env!("CARGO_PKG_VERSION"));
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
/// What the Connect protocol calls it.
const PROTO: HeaderValue = HeaderValue::from_static("application/proto");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// A message that can't be put into the protocol's form.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("it can't be compressed: {0}")]
    Compress(std::io::Error),
    #[error("it can't be decoded: {0}")]
    Decode(prost::DecodeError),
    #[error("it can't be read: {0}")]
    Read(ReadError),
    #[error("it can't be put into pprof: {0}")]
    Format(FormatError),
}

/// The body of a request: made once a message, and the same at each try.
pub fn body(destination: &Destination, message: &[u8]) -> Result<Bytes, WireError> {
    let compression = compression(destination);
    let bytes = match destination.protocol {
        Protocol::Grpc | Protocol::Http => Cow::Borrowed(message),
        Protocol::Pyroscope => Cow::Owned(pyroscope::request(series::series(message)?)),
        Protocol::Parca => Cow::Owned(parca::request(series::series(message)?)),
    };
    let bytes = compress(&bytes, compression).map_err(WireError::Compress)?;
    Ok(match destination.protocol {
        Protocol::Grpc | Protocol::Parca => grpc::framed(&bytes, compression != Compression::None),
        Protocol::Http | Protocol::Pyroscope => bytes.into(),
    })
}

/// Pyroscope and Parca know gzip alone.
fn compression(destination: &Destination) -> Compression {
    match (destination.protocol, destination.compression) {
        (Protocol::Pyroscope | Protocol::Parca, Compression::Zstd) => Compression::Gzip,
        (_, compression) => compression,
    }
}

pub fn request(
    destination: &Destination,
    target: &Target,
    token: Option<HeaderValue>,
    body: Bytes,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target.uri.clone();
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    // What was set comes after, so that it may take another name.
    headers.extend(target.headers.clone());
    if let Some(token) = token {
        headers.insert(AUTHORIZATION, token);
    }
    match destination.protocol {
        Protocol::Grpc | Protocol::Parca => grpc_headers(headers, destination),
        Protocol::Http => http_headers(headers, destination, PROTOBUF),
        Protocol::Pyroscope => http_headers(headers, destination, PROTO),
    }
    request
}

fn http_headers(headers: &mut HeaderMap, destination: &Destination, content: HeaderValue) {
    headers.insert(ACCEPT, content.clone());
    headers.insert(CONTENT_TYPE, content);
    if let Some(encoding) = encoding(compression(destination)) {
        headers.insert(CONTENT_ENCODING, encoding);
    }
}

fn grpc_headers(headers: &mut HeaderMap, destination: &Destination) {
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if let Some(encoding) = encoding(compression(destination)) {
        headers.insert(GRPC_ENCODING, encoding);
    }
    let accepted = HeaderValue::from_static("gzip, zstd");
    headers.insert(GRPC_ACCEPT_ENCODING, accepted);
    // Eight digits at most.
    let millis = destination.timeout.as_millis().min(99_999_999);
    if let Ok(timeout) = HeaderValue::from_str(&format!("{millis}m")) {
        headers.insert(GRPC_TIMEOUT, timeout);
    }
}

pub fn outcome(protocol: Protocol, answer: &Answer) -> Outcome {
    match protocol {
        Protocol::Grpc => otlp::of_grpc(answer),
        Protocol::Http => otlp::of_http(answer),
        Protocol::Pyroscope => pyroscope::outcome(answer),
        Protocol::Parca => parca::outcome(answer),
    }
}
