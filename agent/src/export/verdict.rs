//! What an answer means for the message. The rules are OTLP's, with one difference: nothing is lost
//! because of a setting that somebody can mend. Such a message waits, and the log says what to mend.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};

/// Nobody may keep an exporter from trying for longer than this.
const MOST_WAIT: Duration = Duration::from_secs(300);
const MOST_TEXT: usize = 300;

/// What came of one try.
#[derive(Debug)]
pub struct Outcome {
    /// As it is counted, e.g. `http_503`.
    pub code: String,
    pub verdict: Verdict,
    pub cause: String,
    pub remedy: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The message arrived. Some of its profiles may have been refused.
    Taken { refused: u64 },
    /// The other side can't now; it may have said until when.
    Later(Option<Duration>),
    /// Not before somebody mends something: a token, a path, a quota.
    Blocked,
    /// The other side failed, and perhaps it will on this message again and again.
    Doubtful,
    /// This message will never be taken.
    Refused,
}

impl Outcome {
    pub fn taken(refused: u64, cause: String) -> Self {
        Self {
            code: if refused == 0 { "ok" } else { "partial" }.to_owned(),
            verdict: Verdict::Taken { refused },
            cause,
            remedy: "look at the log of the other side",
        }
    }

    pub fn failed(code: &str, verdict: Verdict, cause: String) -> Self {
        Self {
            code: code.to_owned(),
            verdict,
            cause,
            remedy: remedy(code),
        }
    }

    /// An answer with the right status that is none of this protocol.
    pub fn garbage(cause: String) -> Self {
        Self::failed("garbage", Verdict::Later(None), cause)
    }
}

/// The outcome of an HTTP status that is no success. `ours`: the body is of the protocol, so that
/// the receiver itself refused the message and not somebody before it.
pub fn of_status(status: StatusCode, headers: &HeaderMap, ours: bool, text: &str) -> Outcome {
    let verdict = match status.as_u16() {
        400 | 422 if ours => Verdict::Refused,
        // E.g. a server that expects TLS and got plain text.
        400 | 422 | 500 => Verdict::Doubtful,
        413 => Verdict::Refused,
        408 | 425 | 429 | 502..=504 => Verdict::Later(retry_after(headers, SystemTime::now())),
        // Credentials, path, proxy, redirections, encodings: settings.
        300..=499 | 501 | 505 | 511 => Verdict::Blocked,
        _ => Verdict::Later(retry_after(headers, SystemTime::now())),
    };
    let text = shown(text);
    let cause = match text.as_str() {
        "" => format!("it answered {status}"),
        text => format!("it answered {status}: {text}"),
    };
    Outcome::failed(&format!("http_{}", status.as_u16()), verdict, cause)
}

/// What the other side said, fit for a log: on one line, and not too long.
pub fn shown(text: &str) -> String {
    let mut shown = String::new();
    for letter in text.trim().chars().take(MOST_TEXT) {
        shown.push(if letter.is_control() { ' ' } else { letter });
    }
    if text.trim().chars().nth(MOST_TEXT).is_some() {
        shown.push('…');
    }
    shown
}

/// Seconds or a date.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(bounded(Duration::from_secs(seconds)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(bounded(date.duration_since(now).unwrap_or_default()))
}

pub fn bounded(wait: Duration) -> Duration {
    wait.min(MOST_WAIT)
}

pub fn content_type(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next().unwrap_or(text).trim())
}

fn remedy(code: &str) -> &'static str {
    match code {
        "timeout" => {
            "see whether it is overloaded or a firewall drops packets; a longer timeout may help"
        }
        "connect" => "see that it runs and listens there, and that no firewall is in between",
        "dns" => "look at the name, /etc/hosts and /etc/resolv.conf",
        "tls" => {
            "look at the certificates of both sides: dates, names, and whom each trusts; a server without TLS needs http://"
        }
        "settings" => "mend the file",
        "unfit" => "this is a fault of Strata, please report it",
        "cut" => "see whether it crashes or a proxy cuts long requests",
        "garbage" | "connection" | "http_505" => {
            "see that this is the port of that protocol (OTLP: 4317 for gRPC, 4318 for HTTP) and that TLS is on at both sides or at none"
        }
        "http_401"
        | "http_403"
        | "http_407"
        | "grpc_unauthenticated"
        | "grpc_permission_denied" => {
            "renew the token or password, or have it allowed to write profiles"
        }
        "http_404" | "http_405" | "http_501" | "grpc_unimplemented" | "grpc_not_found" => {
            "look at the endpoint's path and at the receiver: an OpenTelemetry Collector needs --feature-gates=service.profilesSupport and a pipeline of profiles"
        }
        "http_413" | "too_large" => "raise the receiver's limit of a message's size to 4 MiB",
        "http_415" => "choose another compression",
        "http_429" | "grpc_resource_exhausted" => {
            "raise the receiver's limits or memory, or the quota"
        }
        "http_400" | "http_422" | "grpc_invalid_argument" => {
            "see that it speaks the same version of the protocol (OTLP 1.9 or newer), and its log; a server that expects TLS needs https://"
        }
        code if code.starts_with("http_3") => "give the endpoint that it redirects to",
        _ => "look at the log of the other side",
    }
}

#[cfg(test)]
mod tests;
