//! One connection: one request, one answer, the end.
//!
//! Connections are not kept for the next request: nobody asks often, and so all that a connection
//! can take is bounded by a single deadline.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::Telemetry;
use super::routes;

/// Until the head of the request is there.
const HEAD: Duration = Duration::from_secs(5);
/// Until the whole answer is written.
const WHOLE: Duration = Duration::from_secs(10);
/// Of the request's head, in bytes. hyper takes no less than 8 KiB.
const HEAD_BYTES: usize = 16 << 10;
const HEADERS: usize = 64;

pub enum End {
    Answered,
    /// The client took too long to ask or to listen.
    TooSlow,
    /// The client went away, or does not speak HTTP.
    Broken,
}

pub async fn answer(stream: TcpStream, address: SocketAddr, telemetry: &Telemetry) -> End {
    let service = service_fn(|request| async move {
        // A body is not read: nothing here takes one.
        let (head, _) = hyper::Request::into_parts(request);
        Ok::<_, Infallible>(routes::answer(&head, address, telemetry))
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(WHOLE, connection).await {
        Ok(Ok(())) => End::Answered,
        Ok(Err(error)) if error.is_timeout() => End::TooSlow,
        Ok(Err(error)) => {
            tracing::debug!(%error, "connection not answered");
            End::Broken
        }
        Err(_) => End::TooSlow,
    }
}
