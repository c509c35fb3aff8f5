//! A server of gRPC that does what it is told with each call.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::oneshot;

use super::super::compress::expand;
use super::super::grpc::framed;
use super::super::worker::lock;

#[derive(Clone)]
pub(super) enum Act {
    /// A message, then the status 0.
    Answer(Vec<u8>),
    /// Code, text and details.
    Status(u32, &'static str, Vec<u8>),
    /// A message, and no status behind it.
    NoStatus,
    /// An answer of HTTP alone, as a proxy gives it.
    Http(u16),
    Silence,
    /// A message larger than any that is read.
    Huge,
}

#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub path: String,
    pub headers: HeaderMap,
    /// The message as it was before it was compressed.
    pub message: Vec<u8>,
    pub taken: bool,
}

pub(super) struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    end: Option<oneshot::Sender<()>>,
}

impl Server {
    pub fn start(script: impl Fn(usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (end, ended) = oneshot::channel();
        let server = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            end: Some(end),
        };
        let seen = server.seen.clone();
        let script = Arc::new(script);
        thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(listener, seen, script) => {}
                    _ = ended => {}
                }
            });
        });
        server
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.end.take().unwrap().send(());
    }
}

async fn accept(
    listener: tokio::net::TcpListener,
    seen: Arc<Mutex<Vec<Seen>>>,
    script: Arc<impl Fn(usize) -> Act + Send + Sync + 'static>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (seen, script) = (seen.clone(), script.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let (seen, script) = (seen.clone(), script.clone());
                async move { answer(request, &seen, &*script).await }
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

async fn answer(
    request: Request<Incoming>,
    seen: &Mutex<Vec<Seen>>,
    script: &(impl Fn(usize) -> Act + Send + Sync),
) -> Result<Response<Body>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut message = body[5..].to_vec();
    if body[0] == 1 {
        let encoding = head.headers["grpc-encoding"].to_str().unwrap();
        message = expand(&message, encoding, 1 << 30).unwrap();
    }
    let act = {
        let mut seen = lock(seen);
        let act = script(seen.len());
        seen.push(Seen {
            path: head.uri.path().to_owned(),
            headers: head.headers,
            message,
            taken: matches!(&act, Act::Answer(message) if message.is_empty()),
        });
        act
    };
    let mut end = HeaderMap::new();
    let body = match act {
        Act::Silence => std::future::pending().await,
        Act::Http(status) => {
            let page = Full::new(Bytes::from_static(b"<html>")).boxed();
            return Ok(Response::builder().status(status).body(page).unwrap());
        }
        Act::Answer(message) => {
            end.insert("grpc-status", HeaderValue::from_static("0"));
            framed(&message, false)
        }
        Act::NoStatus => framed(b"", false),
        Act::Huge => {
            end.insert("grpc-status", HeaderValue::from_static("0"));
            framed(&vec![0; 1 << 20], false)
        }
        Act::Status(code, text, details) => {
            end.insert("grpc-status", HeaderValue::from(code));
            end.insert("grpc-message", HeaderValue::from_static(text));
            if !details.is_empty() {
                use base64::Engine as _;
                let details = base64::prelude::BASE64_STANDARD_NO_PAD.encode(details);
                end.insert("grpc-status-details-bin", details.parse().unwrap());
            }
            Bytes::new()
        }
    };
    let body = Full::new(body)
        .with_trailers(async { Some(Ok(end)) })
        .boxed();
    let response = Response::builder().header("content-type", "application/grpc");
    Ok(response.body(body).unwrap())
}
