//! The agent's own metrics, health and state, over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::{export, store};

/// All that there is to say, as of some moment.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub store: store::Status,
    pub exporters: Vec<export::Status>,
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("not there yet")]
    Todo,
}

/// What the agent tells and the server shows.
#[derive(Default)]
pub struct Telemetry;

impl Telemetry {
    pub fn update(&self, _status: Status) {}
}

/// Serves until the end of the process, on a thread of its own; the address in use.
pub fn serve(
    _listen: SocketAddr,
    _telemetry: Arc<Telemetry>,
) -> Result<SocketAddr, TelemetryError> {
    Err(TelemetryError::Todo)
}
