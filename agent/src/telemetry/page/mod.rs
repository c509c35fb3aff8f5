//! `/debug/status`: the state of the agent on one page, for people; or as JSON.

mod json;

use http::StatusCode;

use super::Snapshot;
use super::routes::{Answer, made};
use super::server::Traffic;

pub fn answer(snapshot: &Snapshot, traffic: &Traffic, _query: Option<&str>) -> Answer {
    let text = json::write(snapshot, traffic);
    made(StatusCode::OK, "application/json", text)
}
