//! What Strata sees in one process.

use std::io;
use std::sync::Arc;

use serde::Serialize;

use super::files::{self, Examined, FileReport};
use super::interpreter::{self, InterpreterReport};
use super::report::{Finding, State};
use crate::process::cgroup::container_id;
use crate::process::{ProcessError, ProcessHandle};
use crate::python::Memory as _;
use crate::python::reader::ProcessMemory;
use crate::session::names::find_perf_map;
use crate::session::space::Snapshot;
use crate::symbols::perf_map::PerfMap;
use crate::symbols::{Source, SymbolError};

/// Files that are shown without being asked for more. The others are counted.
const SHOWN: usize = 5;

/// Code that is in no file.
#[derive(Debug, Default, Serialize)]
pub struct CodeWithoutFile {
    pub mappings: usize,
    pub bytes: u64,
}

/// The map that a JIT compiler writes for perf.
#[derive(Debug, Serialize)]
pub struct PerfMapReport {
    pub path: String,
    /// Lines that name something.
    pub names: usize,
}

/// A process.
#[derive(Debug, Default, Serialize)]
pub struct ProcessReport {
    pub pid: u32,
    /// Its own choice.
    pub name: Option<String>,
    pub command: Vec<String>,
    /// Start in clock ticks since boot.
    pub start_ticks: Option<u64>,
    pub threads: Option<u64>,
    pub container: Option<String>,
    /// Whether its memory may be read. None: it has none.
    pub memory_readable: Option<bool>,
    pub files: Vec<FileReport>,
    pub code_without_file: CodeWithoutFile,
    pub perf_map: Option<PerfMapReport>,
    pub interpreters: Vec<InterpreterReport>,
    /// Why it can't be looked at.
    pub error: Option<String>,
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

impl ProcessReport {
    pub fn title(&self) -> String {
        match &self.name {
            Some(name) => format!("Process {} ({})", self.pid, name.escape_default()),
            None => format!("Process {}", self.pid),
        }
    }

    fn note(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

/// Looks at a process.
pub fn examine(pid: u32) -> ProcessReport {
    let mut report = ProcessReport {
        pid,
        ..ProcessReport::default()
    };
    if let Err(error) = look(&mut report) {
        report.note(failure(&error));
        report.error = Some(error.to_string());
    }
    report
}

fn look(report: &mut ProcessReport) -> Result<(), ProcessError> {
    let handle = ProcessHandle::open(report.pid)?;
    if identify(report, &handle)? {
        let detail = "a kernel thread: it has kernel stacks only";
        report.note(Finding::ok("mappings", detail));
        return Ok(());
    }
    let Some(snapshot) = Snapshot::take(&handle) else {
        let detail = "its mappings may not be read: its stacks are cut at the first file that no \
                      other process has, and have no Python frames.";
        let remedy = "Run strata with sudo, or with CAP_SYS_PTRACE.";
        report.note(Finding::new(State::Warn, "mappings", detail).remedy(remedy));
        return Ok(());
    };
    memory(report, &snapshot);
    let examined = files::examine(&handle, &snapshot);
    note_files(report, &examined);
    for file in examined {
        if let Some((binary, avma, offset)) = &file.python {
            let place = (*avma, *offset);
            let found = interpreter::examine(binary, &file.report.path, report.pid, place);
            report.findings.extend(found.findings());
            report.interpreters.push(found);
        }
        report.files.push(file.report);
    }
    code_without_file(report, &handle, &snapshot);
    Ok(())
}

/// Who it is. Gives whether it is a kernel thread.
fn identify(report: &mut ProcessReport, handle: &ProcessHandle) -> Result<bool, ProcessError> {
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
    report.container = container_id(handle);
    let threads = match stat.threads {
        1 => "1 thread".to_owned(),
        number => format!("{number} threads"),
    };
    // It may be megabytes, and control a terminal.
    let command: String = report.command.join(" ").chars().take(120).collect();
    let detail = match &*command {
        "" => threads,
        command => format!("{}; {threads}", command.escape_default()),
    };
    report.note(Finding::ok("command", detail));
    let container = report.container.clone();
    let container = container.unwrap_or_else(|| "none".to_owned());
    report.note(Finding::ok("container", container));
    Ok(stat.kernel_thread)
}

/// Whether its memory may be read, by the first bytes of a file's mapping.
fn memory(report: &mut ProcessReport, snapshot: &Snapshot) {
    let Some(start) = snapshot.files().next().map(|file| file.avma.start) else {
        return;
    };
    let read = ProcessMemory::new(report.pid).read(start, &mut [0; 4]);
    report.memory_readable = Some(read.is_ok());
    let finding = match read {
        Ok(()) => Finding::ok("memory", "may be read").more(),
        Err(error) => {
            let remedy = "Run strata with sudo, or with CAP_SYS_PTRACE.";
            let detail = format!("may not be read, so that it has no Python frames: {error}");
            Finding::new(State::Warn, "memory", detail).remedy(remedy)
        }
    };
    report.note(finding);
}

/// The first file is the program. Where there are many, the others count.
fn note_files(report: &mut ProcessReport, examined: &[Examined]) {
    let mut others = 0;
    for (number, file) in examined.iter().enumerate() {
        let mut finding = file.finding();
        finding.label = finding.label.escape_default().to_string();
        if number >= SHOWN && finding.state == State::Ok && file.python.is_none() {
            others += 1;
            finding = finding.more();
        }
        report.note(finding);
    }
    if others > 0 {
        let detail = format!("{others}, with rows and names (-v lists them)");
        report.note(Finding::ok("other files", detail));
    }
}

fn code_without_file(report: &mut ProcessReport, handle: &ProcessHandle, snapshot: &Snapshot) {
    let (mappings, bytes) = snapshot.code_without_file();
    report.code_without_file = CodeWithoutFile { mappings, bytes };
    let label = "JIT code";
    let found = find_perf_map(handle).and_then(|(path, file)| {
        let map = PerfMap::load(&Source::File(Arc::new(file)))?;
        Ok((path.display().to_string(), map.count()))
    });
    let size = format!("{} KiB of code in no file", bytes.div_ceil(1024));
    let finding = match found {
        Ok((path, names)) => {
            let detail = format!("{size}; {names} names in {path}");
            report.perf_map = Some(PerfMapReport { path, names });
            Finding::ok(label, detail)
        }
        Err(SymbolError::Read { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            if bytes == 0 {
                return;
            }
            Finding::new(
                State::Warn,
                label,
                format!("{size}, and no perf map to name it."),
            )
            .remedy(
                "Start the program so that it writes /tmp/perf-PID.map: node \
                     --perf-basic-prof, jcmd PID Compiler.perfmap, python -X perf.",
            )
        }
        Err(error) => Finding::new(State::Warn, label, format!("{size}. {error}"))
            .remedy("Have the process's own user or root own the map, and strata run with sudo."),
    };
    report.note(finding);
}

fn failure(error: &ProcessError) -> Finding {
    let (detail, remedy) = match error {
        ProcessError::Gone { .. } => (
            "it is not there.".to_owned(),
            "Check the pid; of a short-lived process take the command: strata record -- COMMAND",
        ),
        ProcessError::Denied { what, .. } => (
            format!("{what} may not be read."),
            "Run strata with sudo, or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH.",
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
