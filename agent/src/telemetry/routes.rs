//! What is answered to which request. Nothing here changes anything.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;

use super::exposition::{self, Format};
use super::{Telemetry, metrics, page};

pub type Answer = Response<Full<Bytes>>;

const PATHS: &str = "\
/metrics                    metrics of the agent, for Prometheus and others
/healthz                    200 while the main loop goes on, 503 when only a restart helps
/readyz                     200 while samples are taken and kept, 503 and the reason otherwise
/debug/status               the agent's state, for people
/debug/status?format=json   the same for programs
";

const TEXT: &str = "text/plain; charset=utf-8";

pub fn answer(head: &Parts, address: SocketAddr, telemetry: &Telemetry) -> Answer {
    let path = head.uri.path();
    telemetry.traffic.count(match path {
        "/metrics" => "metrics",
        "/healthz" => "healthz",
        "/readyz" => "readyz",
        "/debug/status" => "status",
        _ => "other",
    });
    if ![Method::GET, Method::HEAD].contains(&head.method) {
        let why = "This server only tells: GET and HEAD are all that it knows.\n";
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, why);
        answer
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    if !is_meant(&head.headers, address) {
        let why = "This server listens on this machine alone, so it is asked by an address or as \
                   localhost, and not by another name.\n";
        return text(StatusCode::MISDIRECTED_REQUEST, why);
    }
    match path {
        "/metrics" => {
            let accept = head.headers.get_all(ACCEPT).iter();
            let accept: Vec<&str> = accept.filter_map(|value| value.to_str().ok()).collect();
            let format = Format::negotiate(&accept.join(","));
            let families = metrics::families(&telemetry.snapshot(), &telemetry.traffic);
            let text = exposition::write(&families, format);
            made(StatusCode::OK, format.content_type(), text)
        }
        "/healthz" => {
            let snapshot = telemetry.snapshot();
            let interval = snapshot.status.settings.interval;
            verdict(snapshot.pulse.alive(snapshot.now, interval))
        }
        "/readyz" => {
            let snapshot = telemetry.snapshot();
            verdict(snapshot.pulse.ready(snapshot.now, &snapshot.status))
        }
        "/debug/status" => {
            page::answer(&telemetry.snapshot(), &telemetry.traffic, head.uri.query())
        }
        "/" => text(StatusCode::OK, PATHS),
        _ => text(
            StatusCode::NOT_FOUND,
            &format!("There is nothing at this path. What there is:\n\n{PATHS}"),
        ),
    }
}

fn verdict(verdict: Result<(), String>) -> Answer {
    match verdict {
        Ok(()) => text(StatusCode::OK, "ok\n"),
        Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n")),
    }
}

fn text(status: StatusCode, text: &str) -> Answer {
    made(status, TEXT, text.to_owned())
}

pub fn made(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// On a loopback address, a web page in somebody's browser could reach us by a name of its own that
/// it points there. Such a request carries that name.
fn is_meant(headers: &HeaderMap, address: SocketAddr) -> bool {
    if !address.ip().is_loopback() {
        return true;
    }
    let Some(host) = headers.get(HOST) else {
        return true;
    };
    let Ok(host) = host.to_str() else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_only_addresses_and_localhost_are_meant() {
        let loopback: SocketAddr = "127.0.0.1:9100".parse().unwrap();
        let asked = |host: &'static str, address| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(host));
            is_meant(&headers, address)
        };
        for host in ["127.0.0.1:9100", "localhost", "LocalHost:80", "[::1]:9100"] {
            assert!(asked(host, loopback), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9100",
            "localhost.evil.example",
            "",
        ] {
            assert!(!asked(host, loopback), "{host}");
        }
        assert!(is_meant(&HeaderMap::new(), loopback));
        let everywhere = "0.0.0.0:9100".parse().unwrap();
        assert!(asked("node-7.example", everywhere));
    }
}
