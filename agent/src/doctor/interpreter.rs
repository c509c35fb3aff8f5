//! What Strata makes of a Python interpreter in a process: which it is, where each offset comes
//! from, what the live process confirmed.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use agent_common::python::{PythonOffsets, thread};
use serde::Serialize;

use super::files::Problem;
use super::report::{Finding, State};
use crate::python::reader::ProcessMemory;
use crate::python::{
    Binary, Findings, KeySource, LayoutSource, Unfit, derive_with, hold_for_file, named,
};

/// A recording tries for as long as it lasts. What fails this often in a row is not chance.
const ATTEMPTS: u32 = 20;
const WAIT: Duration = Duration::from_millis(5);

/// An interpreter.
#[derive(Debug, Serialize)]
pub struct InterpreterReport {
    pub kind: &'static str,
    /// The file that holds it.
    pub path: String,
    pub version: Option<String>,
    pub free_threaded: bool,
    /// `_Py_DebugOffsets` or `table`.
    pub offsets_from: Option<&'static str>,
    /// By name, in bytes. None: they were not confirmed.
    pub offsets: Option<BTreeMap<&'static str, u16>>,
    /// Thread states that were found.
    pub threads: Option<usize>,
    /// Frames of the thread whose chain confirmed the offsets.
    pub frames: Option<usize>,
    /// Where a thread keeps its state: `glibc_key`, `musl_key` or `static_tls`.
    pub thread_state: Option<&'static str>,
    /// Place of `autoTSSkey` in `_PyRuntime`, and how it was found: `accessor`, `table` or
    /// `search`.
    pub key_offset: Option<u32>,
    pub key_from: Option<&'static str>,
    /// Stretches of the evaluation loop's code, which 3.8 to 3.10 need.
    pub eval_loop_parts: usize,
    /// Why Strata does not walk its frames.
    pub error: Option<Problem>,
    #[serde(skip)]
    unfit: Option<Unfit>,
}

/// Derives offsets as a recording does. The file is mapped at `avma` from `offset` on.
pub fn examine(
    binary: &Binary,
    path: &str,
    pid: u32,
    (avma, offset): (u64, u64),
) -> InterpreterReport {
    let source = binary.layout_source();
    let mut report = InterpreterReport {
        kind: "CPython",
        path: path.to_owned(),
        version: binary.version.map(|version| version.to_string()),
        free_threaded: binary.free_threaded,
        offsets_from: source.map(|source| match source {
            LayoutSource::DebugOffsets => "_Py_DebugOffsets",
            LayoutSource::Table => "table",
        }),
        offsets: None,
        threads: None,
        frames: None,
        thread_state: None,
        key_offset: None,
        key_from: None,
        eval_loop_parts: binary.eval_loop.len(),
        error: None,
        unfit: None,
    };
    let mut findings = Findings::default();
    let derived = match binary.bias(avma, offset) {
        Some(bias) => attempt(binary, pid, bias, &mut findings),
        None => Err(binary.unfit().cloned().unwrap_or(Unfit::TextSegments)),
    };
    report.threads = findings.threads;
    report.frames = findings.frames;
    report.key_from = findings.key.map(|key| match key {
        KeySource::Accessor => "accessor",
        KeySource::Table => "table",
        KeySource::Search => "search",
    });
    match derived {
        Ok(offsets) => report.take(binary, &offsets),
        Err(unfit) => {
            report.error = Some(Problem {
                name: unfit.name(),
                message: unfit.to_string(),
            });
            report.unfit = Some(unfit);
        }
    }
    report
}

fn attempt(
    binary: &Binary,
    pid: u32,
    bias: u64,
    findings: &mut Findings,
) -> Result<PythonOffsets, Unfit> {
    let memory = ProcessMemory::new(pid);
    let mut result = derive_with(binary, &memory, bias, findings);
    for _ in 1..ATTEMPTS {
        match &result {
            Ok(_) => break,
            Err(unfit) if unfit.is_final() => break,
            Err(_) => {
                sleep(WAIT);
                *findings = Findings::default();
                result = derive_with(binary, &memory, bias, findings);
            }
        }
    }
    result
}

impl InterpreterReport {
    fn take(&mut self, binary: &Binary, offsets: &PythonOffsets) {
        self.offsets = Some(named(offsets).into_iter().collect());
        self.thread_state = Some(match offsets.thread {
            thread::GLIBC_KEY => "glibc_key",
            thread::MUSL_KEY => "musl_key",
            _ => "static_tls",
        });
        self.key_offset = self.key_from.map(|_| offsets.key_offset);
        if !hold_for_file(binary, offsets) {
            self.error = Some(Problem {
                name: "static_tls_of_a_library",
                message: "The thread state is in the static TLS of a library, whose place differs \
                          from process to process."
                    .to_owned(),
            });
        }
    }

    /// For people.
    pub fn findings(&self) -> Vec<Finding> {
        let version = self.version.as_deref().unwrap_or("of unknown version");
        let threading = if self.free_threaded {
            ", free-threaded"
        } else {
            ""
        };
        let detail = format!("{} {version}{threading}, in {}", self.kind, self.path);
        let mut found = vec![Finding::ok("interpreter", detail)];
        found.push(self.offsets_finding());
        found.extend(self.thread_state_finding());
        if self.eval_loop_parts > 0 {
            let detail = match self.eval_loop_parts {
                1 => "found, in one piece".to_owned(),
                parts => format!("found, in {parts} pieces"),
            };
            found.push(Finding::ok("evaluation loop", detail));
        }
        if let Some(offsets) = &self.offsets {
            let list: Vec<String> = offsets
                .iter()
                .map(|(name, offset)| format!("{name} {offset}"))
                .collect();
            found.push(Finding::ok("members", list.join(", ")).more());
        }
        found
    }

    fn offsets_finding(&self) -> Finding {
        let label = "Python offsets";
        let from = match self.offsets_from {
            Some("table") => "from Strata's table (its version publishes none)",
            Some(_) => "from the interpreter's own _Py_DebugOffsets",
            None => "none",
        };
        if let Some(problem) = &self.error {
            let reached = match (self.threads, self.frames) {
                (Some(threads), Some(frames)) => {
                    format!(" {threads} thread states and {frames} frames were right.")
                }
                (Some(threads), None) => format!(" {threads} thread states were right."),
                _ => String::new(),
            };
            let detail = format!(
                "{from}, not confirmed ({}): {}{reached}",
                problem.name, problem.message
            );
            return Finding::new(State::Warn, label, detail).remedy(self.remedy());
        }
        let count = |number: Option<usize>, one: &str, many: &str| match number {
            Some(1) => format!("1 {one}"),
            number => format!("{} {many}", number.unwrap_or(0)),
        };
        let detail = format!(
            "{from}, confirmed on {} and {} of this process",
            count(self.threads, "thread state", "thread states"),
            count(self.frames, "frame", "frames"),
        );
        Finding::ok(label, detail)
    }

    fn thread_state_finding(&self) -> Option<Finding> {
        let place = match self.thread_state? {
            "glibc_key" => "under a pthread key, as glibc keeps it",
            "musl_key" => "under a pthread key, as musl keeps it",
            _ => "in static thread-local storage",
        };
        let mut detail = place.to_owned();
        if let (Some(offset), Some(from)) = (self.key_offset, self.key_from) {
            let from = match from {
                "accessor" => "named by the code of PyGILState_GetThisThreadState",
                "table" => "as Strata's table has it",
                _ => "found by a search of _PyRuntime",
            };
            detail += &format!("; the key is at _PyRuntime+{offset:#x}, {from}");
        }
        Some(Finding::ok("thread state", detail))
    }

    fn remedy(&self) -> &'static str {
        match &self.unfit {
            Some(Unfit::NotInitialised | Unfit::NoFrames) => {
                "Ask again while it runs Python code; a recording goes on trying."
            }
            Some(Unfit::Unreadable(_)) => "Run strata with sudo, or with CAP_SYS_PTRACE.",
            Some(Unfit::FreeThreaded(_)) => {
                "Use the build with the GIL for Python frames; native stacks are there."
            }
            Some(Unfit::UnsupportedVersion(_)) => {
                "Use CPython 3.8 to 3.15 or a newer strata; native stacks are there."
            }
            _ => "Native stacks are there all the same. Report it, with strata doctor -v -p PID.",
        }
    }
}
