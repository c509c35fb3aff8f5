//! What a process belongs to: its container, its service.

use crate::process::ProcessHandle;

/// What is known of a process besides its stacks, read while it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub service_name: Option<String>,
    pub container_id: Option<String>,
    /// Further resource attributes by OpenTelemetry's names (of its process context alone).
    pub attributes: Vec<(String, String)>,
}

/// Reads it. What can't be read is not known.
pub fn identify(_process: &ProcessHandle) -> Identity {
    Identity::default()
}
