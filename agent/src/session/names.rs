//! Names of processes and threads, as the kernel side told them.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use agent_common::process::ProcessId;
use agent_common::record;

use super::machine::name_of;
use crate::process::ProcessHandle;
use crate::process::stat::status_field;
use crate::symbols::{Source, SymbolError};

/// Most processes and threads that are kept.
const MOST: usize = 1 << 17;

/// All of them.
#[derive(Default)]
pub struct Names {
    processes: HashMap<ProcessId, String>,
    threads: HashMap<(ProcessId, u32), String>,
    /// Perf maps of processes with JIT code, open since that was first seen.
    perf_maps: HashMap<ProcessId, Option<Source>>,
    /// Paths of the files that processes execute.
    executables: HashMap<ProcessId, Option<String>>,
    pub dropped: u64,
}

impl Names {
    pub fn add(&mut self, thread: &record::Thread) {
        if self.threads.len() >= MOST {
            self.dropped += 1;
            return;
        }
        self.processes
            .insert(thread.process, name_of(&thread.process_name));
        self.threads
            .insert((thread.process, thread.thread), name_of(&thread.name));
    }

    pub fn process(&self, process: &ProcessId) -> &str {
        self.processes
            .get(process)
            .map_or("[unknown]", String::as_str)
    }

    pub fn thread(&self, process: &ProcessId, thread: u32) -> &str {
        self.threads
            .get(&(*process, thread))
            .map_or("[unknown]", String::as_str)
    }

    /// Opens the perf map of a process in which code without a file was seen, while it is there.
    pub fn open_perf_map(&mut self, process: &ProcessId) {
        if self.perf_maps.len() < MOST && !matches!(self.perf_maps.get(process), Some(Some(_))) {
            self.perf_maps.insert(*process, perf_map(process));
        }
    }

    /// Reads which file a process executes, while it is there. One that executes another file in
    /// between has the path of that one here, so whoever uses the path looks for it in the stacks.
    pub fn read_executable(&mut self, process: &ProcessId) {
        if self.executables.len() < MOST && !self.executables.contains_key(process) {
            let path = ProcessHandle::open_same(process)
                .and_then(|handle| handle.executable())
                .ok();
            let path = path.map(|path| String::from_utf8_lossy(&path).into_owned());
            self.executables.insert(*process, path);
        }
    }

    pub fn executable(&self, process: &ProcessId) -> Option<&str> {
        self.executables.get(process)?.as_deref()
    }

    pub fn perf_map(&self, process: &ProcessId) -> Option<&Source> {
        self.perf_maps.get(process)?.as_ref()
    }
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
