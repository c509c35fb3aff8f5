//! `/debug/status`: the state of the agent on one page, for people; or as JSON.
//!
//! The page has no scripts and loads nothing, and its policy says so: whatever hostile text slipped
//! through could still do nothing.

mod chart;
mod head;
mod json;
mod kubernetes;
mod labels;
mod sections;
mod units;

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderValue, StatusCode};
use sha2::{Digest, Sha256};

use super::Snapshot;
use super::routes::{Answer, made};
use super::server::Traffic;

const STYLE: &str = include_str!("style.css");

/// Nothing but the page's own style sheet.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
});

pub fn answer(snapshot: &Snapshot, traffic: &Traffic, query: Option<&str>) -> Answer {
    let mut parameters = query.unwrap_or_default().split('&');
    if parameters.any(|parameter| parameter == "format=json") {
        let text = json::write(snapshot, traffic);
        return made(StatusCode::OK, "application/json", text);
    }
    let mut answer = made(StatusCode::OK, "text/html; charset=utf-8", write(snapshot));
    let headers = answer.headers_mut();
    if let Some(policy) = POLICY.as_ref() {
        headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
    }
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    answer
}

fn write(snapshot: &Snapshot) -> String {
    let head = head::write(snapshot);
    let sections = sections::write(snapshot);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Strata agent</title>\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><style>{STYLE}</style></head>\
         <body><main>\n{head}{sections}\
         <footer>As of this moment; load the page again for newer numbers. \
         The same <a href=\"/debug/status?format=json\">as JSON</a>, \
         or <a href=\"/metrics\">as metrics</a>. Times of batches do not count while the machine is suspended.</footer>\
         </main></body></html>\n"
    )
}
