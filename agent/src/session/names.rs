//! Names of processes and threads, as the kernel side told them.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_common::process::ProcessId;
use agent_common::record;

use super::bounded::Bounded;
use super::machine::name_of;
use crate::process::ProcessHandle;
use crate::process::stat::status_field;
use crate::symbols::{Source, SymbolError};

/// Most perf maps that are kept open.
const PERF_MAPS: usize = 256;
/// First and longest wait until a process that has no perf map is looked at again.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// All of them.
pub struct Names {
    processes: Bounded<ProcessId, String>,
    threads: Bounded<(ProcessId, u32), String>,
    /// Paths of the files that processes execute.
    executables: Bounded<ProcessId, Option<String>>,
    perf_maps: Bounded<ProcessId, PerfMap>,
}

/// The perf map of a process with JIT code, open since that was first seen; or when to look again.
enum PerfMap {
    Open(Source),
    Absent { next: Instant, wait: Duration },
}

impl Names {
    pub fn new(budget: usize) -> Self {
        Self {
            processes: Bounded::new(budget / 4),
            threads: Bounded::new(budget / 2),
            executables: Bounded::new(budget / 4),
            perf_maps: Bounded::of_count(PERF_MAPS),
        }
    }

    pub fn add(&mut self, thread: &record::Thread) {
        let name = name_of(&thread.process_name);
        let bytes = name.len();
        self.processes.insert(thread.process, name, bytes);
        let name = name_of(&thread.name);
        let bytes = name.len();
        self.threads
            .insert((thread.process, thread.thread), name, bytes);
    }

    /// A batch has this thread. Its name is read if it was given up meanwhile.
    pub fn sampled(&mut self, process: &ProcessId, thread: u32) {
        self.executables.get(process);
        let process_known = self.processes.get(process).is_some();
        let thread_known = self.threads.get(&(*process, thread)).is_some();
        if process_known && thread_known {
            return;
        }
        let Some((of_process, of_thread)) = read_names(process, thread) else {
            return;
        };
        let bytes = of_process.len();
        self.processes.insert(*process, of_process, bytes);
        let bytes = of_thread.len();
        self.threads.insert((*process, thread), of_thread, bytes);
    }

    pub fn process(&self, process: &ProcessId) -> &str {
        self.processes
            .peek(process)
            .map_or("[unknown]", String::as_str)
    }

    pub fn thread(&self, process: &ProcessId, thread: u32) -> &str {
        self.threads
            .peek(&(*process, thread))
            .map_or("[unknown]", String::as_str)
    }

    /// Opens the perf map of a process in which code without a file was seen, while it is there.
    pub fn open_perf_map(&mut self, process: &ProcessId) {
        let wait = match self.perf_maps.get(process) {
            Some(PerfMap::Open(_)) => return,
            Some(PerfMap::Absent { next, .. }) if *next > Instant::now() => return,
            Some(PerfMap::Absent { wait, .. }) => (*wait * 2).min(LONGEST_WAIT),
            None => FIRST_WAIT,
        };
        let found = match perf_map(process) {
            Some(source) => PerfMap::Open(source),
            None => PerfMap::Absent {
                next: Instant::now() + wait,
                wait,
            },
        };
        self.perf_maps.insert(*process, found, 0);
    }

    /// Reads which file a process executes, while it is there. One that executes another file in
    /// between has the path of that one here, so whoever uses the path looks for it in the stacks.
    pub fn read_executable(&mut self, process: &ProcessId) {
        if !self.executables.contains(process) {
            let path = ProcessHandle::open_same(process)
                .and_then(|handle| handle.executable())
                .ok();
            let path = path.map(|path| String::from_utf8_lossy(&path).into_owned());
            let bytes = path.as_ref().map_or(0, String::len);
            self.executables.insert(*process, path, bytes);
        }
    }

    pub fn executable(&self, process: &ProcessId) -> Option<&str> {
        self.executables.peek(process)?.as_deref()
    }

    pub fn perf_map(&self, process: &ProcessId) -> Option<&Source> {
        match self.perf_maps.peek(process)? {
            PerfMap::Open(source) => Some(source),
            PerfMap::Absent { .. } => None,
        }
    }

    pub fn bytes(&self) -> usize {
        self.processes.bytes() + self.threads.bytes() + self.executables.bytes()
    }

    /// Processes, threads and perf maps that were given up since this was last asked.
    pub fn take_evicted(&mut self) -> u64 {
        self.processes.take_evicted()
            + self.threads.take_evicted()
            + self.executables.take_evicted()
            + self.perf_maps.take_evicted()
    }
}

/// The names of a process and of one of its threads, as they are now.
fn read_names(process: &ProcessId, thread: u32) -> Option<(String, String)> {
    let handle = ProcessHandle::open_same(process).ok()?;
    let name = |path: &str| {
        let bytes = handle.read(path, 64).ok()?;
        let text = String::from_utf8_lossy(bytes.trim_ascii_end()).into_owned();
        Some(text)
    };
    let names = (name("comm")?, name(&format!("task/{thread}/comm"))?);
    handle.is(process).then_some(names)
}

fn perf_map(process: &ProcessId) -> Option<Source> {
    let handle = ProcessHandle::open_same(process).ok()?;
    let (_, file) = find_perf_map(&handle).ok()?;
    handle.is(process).then(|| Source::File(Arc::new(file)))
}

/// The perf map of a process and where it is, if it may be believed.
pub fn find_perf_map(handle: &ProcessHandle) -> Result<(PathBuf, File), SymbolError> {
    let absent = || SymbolError::Read {
        what: "the process's status",
        cause: std::io::ErrorKind::NotFound.into(),
    };
    let status = handle.read("status", 8192).map_err(|_| absent())?;
    let status = String::from_utf8_lossy(&status);
    // Its pid where it lives, which is the one it writes into the name.
    let pids = status_field(&status, "NSpid").ok_or_else(absent)?;
    let pid = pids.split_whitespace().last().ok_or_else(absent)?;
    let owners = status_field(&status, "Uid").unwrap_or_default();
    let owner = owners.split_whitespace().next();
    let owner = owner.and_then(|owner| owner.parse().ok());
    let owner = owner.ok_or_else(absent)?;
    let path = format!("/proc/{}/root/tmp/perf-{pid}.map", handle.pid());
    let path = PathBuf::from(path);
    let file = crate::symbols::perf_map::open(&path, owner)?;
    Ok((path, file))
}
