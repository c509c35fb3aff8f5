//! A message as each protocol sends it, and what its answers mean.

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
use super::{Compression, Destination, Protocol, grpc, otlp};

const AGENT: &str = concat!("strata/", env!("CARGO_PKG_VERSION"));
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// A message that can't be put into the protocol's form.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("it can't be compressed: {0}")]
    Compress(std::io::Error),
}

/// The body of a request: made once a message, and the same at each try.
pub fn body(destination: &Destination, message: &[u8]) -> Result<Bytes, WireError> {
    let compressed =
        |bytes: &[u8]| compress(bytes, destination.compression).map_err(WireError::Compress);
    let framed = |bytes: &[u8]| grpc::framed(bytes, destination.compression != Compression::None);
    match destination.protocol {
        Protocol::Grpc => Ok(framed(&compressed(message)?)),
        Protocol::Http => Ok(compressed(message)?.into()),
        Protocol::Pyroscope | Protocol::Parca => Ok(Bytes::new()),
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
        Protocol::Pyroscope => {}
    }
    request
}

fn http_headers(headers: &mut HeaderMap, destination: &Destination, content: HeaderValue) {
    headers.insert(ACCEPT, content.clone());
    headers.insert(CONTENT_TYPE, content);
    if let Some(encoding) = encoding(destination.compression) {
        headers.insert(CONTENT_ENCODING, encoding);
    }
}

fn grpc_headers(headers: &mut HeaderMap, destination: &Destination) {
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if let Some(encoding) = encoding(destination.compression) {
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
        Protocol::Pyroscope | Protocol::Parca => Outcome::garbage(String::new()),
    }
}
