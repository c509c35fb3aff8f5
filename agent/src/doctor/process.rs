//! What Strata sees in one process.

use serde::Serialize;

use super::report::{Finding, State};
use crate::process::cgroup::container_id;
use crate::process::{ProcessError, ProcessHandle};

/// A process.
#[derive(Debug, Serialize)]
pub struct ProcessReport {
    pub pid: u32,
    /// Its own choice.
    pub name: Option<String>,
    pub command: Vec<String>,
    /// Start in clock ticks since boot.
    pub start_ticks: Option<u64>,
    pub threads: Option<u64>,
    pub container: Option<String>,
    /// Why it can't be looked at.
    pub error: Option<String>,
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

impl ProcessReport {
    pub fn title(&self) -> String {
        match &self.name {
            Some(name) => format!("Process {} ({name})", self.pid),
            None => format!("Process {}", self.pid),
        }
    }
}

/// Looks at a process.
pub fn examine(pid: u32) -> ProcessReport {
    let mut report = ProcessReport {
        pid,
        name: None,
        command: Vec::new(),
        start_ticks: None,
        threads: None,
        container: None,
        error: None,
        findings: Vec::new(),
    };
    if let Err(error) = look(&mut report) {
        report.findings.push(failure(&error));
        report.error = Some(error.to_string());
    }
    report
}

fn look(report: &mut ProcessReport) -> Result<(), ProcessError> {
    let handle = ProcessHandle::open(report.pid)?;
    let stat = handle.stat()?;
    report.pid = handle.pid();
    report.name = Some(text(&stat.comm));
    report.start_ticks = Some(stat.start_ticks);
    report.threads = Some(stat.threads);
    report.command = handle
        .command_line()
        .unwrap_or_default()
        .iter()
        .map(|argument| text(argument))
        .collect();
    report.container = container_id(&handle);
    let threads = match stat.threads {
        1 => "1 thread".to_owned(),
        number => format!("{number} threads"),
    };
    let detail = format!("{}; {threads}", report.command.join(" "));
    report.findings.push(Finding::ok("command", detail));
    let container = report.container.clone();
    let container = container.unwrap_or_else(|| "none".to_owned());
    report.findings.push(Finding::ok("container", container));
    Ok(())
}

fn failure(error: &ProcessError) -> Finding {
    let (detail, remedy) = match error {
        ProcessError::Gone { .. } => (
            "it is not there.".to_owned(),
            "Check the pid; of a short-lived process take the command: strata record -- COMMAND",
        ),
        ProcessError::Denied { what, .. } => (
            format!("{what} may not be read."),
            "Run it with sudo, or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH.",
        ),
        ProcessError::Unreadable { what, source, .. } => (
            format!("{what} can't be read: {source}."),
            "Check that /proc is mounted.",
        ),
        ProcessError::Malformed { what, .. } => (
            format!("{what} is not as this version of strata knows it."),
            "Use a newer strata, or report it with the kernel's name.",
        ),
    };
    Finding::new(State::Fail, "process", detail).remedy(remedy)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
