//! What a process belongs to: its container, its pod, its service.
//!
//! | what | where from |
//! |---|---|
//! | `service.name` | its process context, else its OTEL_SERVICE_NAME |
//! | `container.id` | its cgroups, whatever the process itself says |
//! | `k8s.pod.uid` | its cgroups |
//! | other `k8s.*`, `container.*` | [`kubernetes`] or [`engine`], asked by those two |
//! | other attributes | its process context, but for those of `process`, `container` and `k8s`, which others know better |
//!
//! Of its environment that one variable is read, and nothing else; nothing of its arguments.

pub mod budget;
mod context;
pub mod engine;
pub mod kubernetes;
pub mod pods;
pub mod relabel;
pub mod select;

use crate::process::ProcessHandle;
use crate::process::cgroup::{container_id, pod_uid};
use context::Context;

/// Where a service's name may stand in a process's environment.
const SERVICE_NAME_VARIABLE: &str = "OTEL_SERVICE_NAME";
/// The attributes that it becomes, and the container's id, by the semantic conventions.
pub const SERVICE_NAME: &str = "service.name";
pub const CONTAINER_ID: &str = "container.id";
pub const EXECUTABLE_NAME: &str = "process.executable.name";

/// What is known of a process besides its stacks, read while it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub service_name: Option<String>,
    pub container_id: Option<String>,
    /// As the kubelet wrote it into its cgroup's name.
    pub pod_uid: Option<String>,
    /// The last part of the path of its executable.
    pub executable_name: Option<String>,
    /// Further resource attributes by OpenTelemetry's names (of its process context alone).
    pub attributes: Vec<(String, String)>,
    /// By its environment.
    variable: Option<String>,
    /// Where its context was found, as it was then.
    context: Option<Context>,
}

/// Reads it. What can't be read is not known.
pub fn identify(process: &ProcessHandle) -> Identity {
    let variable = process.variable(SERVICE_NAME_VARIABLE).ok().flatten();
    let variable = variable.and_then(|value| String::from_utf8(value).ok());
    let mut identity = Identity {
        container_id: container_id(process),
        pod_uid: pod_uid(process),
        executable_name: executable_name(process),
        // One that is empty counts as none.
        variable: variable.filter(|value| !value.is_empty()),
        ..Identity::default()
    };
    identity.look_again(process);
    identity
}

impl Identity {
    /// Looks for the process's context once more: it is published at some time after the start, and
    /// may be published anew. Returns whether what is known has changed.
    pub fn look_again(&mut self, process: &ProcessHandle) -> bool {
        let found = match &self.context {
            Some(known) => known.read_again(process),
            None => context::find(process),
        };
        let before = (
            self.service_name.take(),
            std::mem::take(&mut self.attributes),
        );
        // One that is just being written keeps its last state.
        if found.is_some() {
            self.context = found;
        }
        if let Some(context) = &self.context {
            self.service_name.clone_from(&context.service_name);
            self.attributes.clone_from(&context.attributes);
        }
        if self.service_name.is_none() {
            self.service_name.clone_from(&self.variable);
        }
        before.0 != self.service_name || before.1 != self.attributes
    }

    /// Whether the process has published a context.
    pub fn has_context(&self) -> bool {
        self.context.is_some()
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        let texts = [
            &self.service_name,
            &self.container_id,
            &self.pod_uid,
            &self.executable_name,
            &self.variable,
        ];
        let texts: usize = texts.into_iter().flatten().map(String::capacity).sum();
        let context = self.context.as_ref().map_or(0, Context::bytes);
        size_of::<Self>() + texts + 2 * context
    }
}

fn executable_name(process: &ProcessHandle) -> Option<String> {
    let path = process.executable().ok()?;
    let path = path.strip_suffix(b" (deleted)").unwrap_or(&path);
    let name = path.rsplit(|&byte| byte == b'/').next()?;
    Some(String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests;
