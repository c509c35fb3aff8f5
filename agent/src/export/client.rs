//! The way of a request and its answer, the same for all protocols. What is read of an answer is
//! bounded; what went wrong on the way is told by its cause.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::dns::{DnsError, Resolver};
use super::error::SettingError;
use super::files::Look;
use super::{Destination, Protocol, Tls, tls};

/// An answer has a few bytes, or a page that somebody else put there.
pub const MOST_ANSWER_BYTES: usize = 64 << 10;
const MOST_CONNECT_TIME: Duration = Duration::from_secs(10);

pub struct Client {
    pool: Pool<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    looks: [Option<Look>; 3],
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

/// Why there is no answer that could be understood.
#[derive(Debug)]
pub struct Fault {
    pub code: &'static str,
    pub cause: String,
}

impl Client {
    pub fn new(destination: &Destination) -> Result<Self, SettingError> {
        // Before they are read: a change in between is seen the next time.
        let looks = tls::looks(&destination.tls);
        let config = tls::config(&destination.tls)?;
        let mut tcp = HttpConnector::new_with_resolver(Resolver::default());
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(destination.timeout.min(MOST_CONNECT_TIME)));
        let tls = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http();
        let http2 = matches!(destination.protocol, Protocol::Grpc | Protocol::Parca);
        let connector = match http2 {
            true => tls.enable_http2().wrap_connector(tcp),
            false => tls.enable_http1().wrap_connector(tcp),
        };
        let pool = Pool::builder(TokioExecutor::new())
            .http2_only(http2)
            .http1_max_buf_size(MOST_ANSWER_BYTES)
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(1)
            .build(connector);
        Ok(Self { pool, looks })
    }

    /// Whether certificates have changed since this client was made.
    pub fn outdated(&self, tls: &Tls) -> bool {
        self.looks != tls::looks(tls)
    }

    pub async fn post(&self, request: Request<Full<Bytes>>) -> Result<Answer, Fault> {
        let answer = self.pool.request(request).await.map_err(|e| fault(&e))?;
        let (head, body) = answer.into_parts();
        let (body, trailers) = match Limited::new(body, MOST_ANSWER_BYTES).collect().await {
            Ok(body) => {
                let trailers = body.trailers().cloned().unwrap_or_default();
                (body.to_bytes(), trailers)
            }
            // The status says enough if it is an error; what stands below it is lost.
            Err(_) if !head.status.is_success() => (Bytes::new(), HeaderMap::new()),
            Err(error) => return Err(fault(&*error)),
        };
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            trailers,
        })
    }
}

/// What is at the root of it.
fn fault(error: &(dyn StdError + 'static)) -> Fault {
    let mut code = "connection";
    let mut causes = Vec::<String>::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        // That it is the client's says nothing to anybody.
        let of_client = error.is::<hyper_util::client::legacy::Error>() && error.source().is_some();
        if !of_client && !causes.last().is_some_and(|last| last.ends_with(&text)) {
            causes.push(text);
        }
        if let Some(known) = known(error) {
            code = known;
        }
        next = error.source();
    }
    Fault {
        code,
        cause: causes.join(": "),
    }
}

fn known(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    if error.is::<DnsError>() {
        return Some("dns");
    }
    if error.is::<rustls::Error>() {
        return Some("tls");
    }
    if error.is::<LengthLimitError>() {
        return Some("garbage");
    }
    if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
        return error.is_connect().then_some("connect");
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return match () {
            () if error.is_parse() => Some("garbage"),
            () if error.is_incomplete_message() || error.is_closed() => Some("cut"),
            () => None,
        };
    }
    let error = error.downcast_ref::<std::io::Error>()?;
    // What an io::Error wraps is no source of it.
    let inner = error.get_ref()?;
    known(inner)
}
