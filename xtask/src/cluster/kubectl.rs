//! Talks to the cluster as its administrator.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use super::config::NODE;
use super::place::Place;
use crate::process;

pub fn command(place: &Place) -> Result<Command> {
    let mut command = Command::new(place.programs()?.join("kubectl"));
    command
        .arg("--kubeconfig")
        .arg(place.kubeconfig())
        // Its cache of what the server knows would go into our home.
        .arg("--cache-dir")
        .arg(place.state().join("kubectl-cache"))
        .stdin(Stdio::null());
    Ok(command)
}

/// Whether it succeeds.
pub fn succeeds(place: &Place, arguments: &[&str]) -> bool {
    let Ok(mut command) = command(place) else {
        return false;
    };
    let command = command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

pub fn node_is_ready(place: &Place) -> bool {
    let condition = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    let Ok(mut command) = command(place) else {
        return false;
    };
    command.stderr(Stdio::null());
    process::output(command.args(["get", "node", NODE, "-o", condition]))
        .is_ok_and(|status| status == "True")
}

/// What a user has to type to talk to it too.
pub fn hint(kubeconfig: &Path, kubectl: &Path) -> String {
    format!(
        "export KUBECONFIG={}\n# its kubectl: {}",
        kubeconfig.display(),
        kubectl.display()
    )
}
