//! Work on files, on threads of its own: one huge file must not delay another process.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use agent_common::executable::FileId;
use agent_common::process::ProcessId;

use super::executables;
use super::space::maps_of;
use crate::process::file_id::Wanted;
use crate::process::open::open_executable;
use crate::process::{ProcessError, ProcessHandle};
use crate::python::{self, Binary};
use crate::symbols::Source;
use crate::unwind::{self, Segments};

/// Threads that read files.
const WORKERS: usize = 2;
/// Jobs that may wait; more are announced again later.
const WAITING: usize = 4096;
/// Largest file that is read.
const FILE_BYTES: u64 = 2 << 30;

/// A file to be read, through a mapping of a process.
#[derive(Clone, Debug)]
pub enum Job {
    /// The kernel side met it.
    Announced { process: ProcessId, key: FileId, avma: Range<u64>, name: String },
    /// It was mapped when the agent started.
    Listed { pid: u32, device: u64, inode: u64, avma: Range<u64>, path: String },
}

/// What was read of a file.
pub struct Described {
    /// Under which the kernel side knows it.
    pub key: FileId,
    pub path: String,
    pub source: Source,
    pub segments: Option<Segments>,
    /// Or why there are none: a short reason.
    pub rows: Result<unwind::Table, String>,
    pub python: Option<Binary>,
    /// Whether samples wait for it.
    pub announced: bool,
}

/// Outcome of a job.
pub enum Outcome {
    Described(Box<Described>),
    /// Not to be had now; the reason.
    Failed(Option<FileId>, String),
}

/// The threads.
pub struct Loader {
    jobs: Sender<Job>,
    done: Receiver<Outcome>,
    waiting: usize,
    /// Announced files that are being read.
    reading: HashSet<FileId>,
}

impl Loader {
    pub fn start() -> io::Result<Self> {
        let (jobs, todo) = channel::<Job>();
        let (results, done) = channel();
        let todo = Arc::new(Mutex::new(todo));
        for number in 0..WORKERS {
            let (todo, results) = (Arc::clone(&todo), results.clone());
            thread::Builder::new().name(format!("strata-file-{number}")).spawn(move || {
                loop {
                    let job = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = job else { break };
                    if results.send(work(&job)).is_err() {
                        break;
                    }
                }
            })?;
        }
        Ok(Self { jobs, done, waiting: 0, reading: HashSet::new() })
    }

    /// Asks for a file, once.
    pub fn ask(&mut self, job: Job) {
        if let Job::Announced { key, .. } = &job
            && (self.waiting >= WAITING || !self.reading.insert(*key))
        {
            return;
        }
        if self.jobs.send(job).is_ok() {
            self.waiting += 1;
        }
    }

    /// A finished job, if there is one.
    pub fn poll(&mut self) -> Option<Outcome> {
        let outcome = self.done.try_recv().ok()?;
        self.finished(&outcome);
        Some(outcome)
    }

    /// Waits for the next finished job; none is left when this gives nothing.
    pub fn wait(&mut self) -> Option<Outcome> {
        if self.waiting == 0 {
            return None;
        }
        let outcome = self.done.recv().ok()?;
        self.finished(&outcome);
        Some(outcome)
    }

    pub fn is_idle(&self) -> bool {
        self.waiting == 0
    }

    fn finished(&mut self, outcome: &Outcome) {
        self.waiting = self.waiting.saturating_sub(1);
        let key = match outcome {
            Outcome::Described(described) => Some(&described.key),
            Outcome::Failed(key, _) => key.as_ref(),
        };
        if let Some(key) = key {
            self.reading.remove(key);
        }
    }
}

fn work(job: &Job) -> Outcome {
    let (key, opened) = match job {
        Job::Announced { process, key, avma, name } => {
            let opened = ProcessHandle::open_same(process)
                .map_err(|error: ProcessError| error.to_string())
                .and_then(|handle| {
                    let path = path_at(&handle, avma).unwrap_or_else(|| name.clone());
                    open_executable(&handle, avma, &Wanted::Announced(key))
                        .map(|found| (found, path))
                        .map_err(|error| error.to_string())
                });
            (Some(*key), opened)
        }
        Job::Listed { pid, device, inode, avma, path } => {
            let wanted = Wanted::Listed { device: *device, inode: *inode };
            let opened = ProcessHandle::open(*pid)
                .map_err(|error| error.to_string())
                .and_then(|handle| {
                    open_executable(&handle, avma, &wanted)
                        .map(|found| (found, path.clone()))
                        .map_err(|error| error.to_string())
                });
            (None, opened)
        }
    };
    match opened {
        Ok((found, path)) => {
            let announced = matches!(job, Job::Announced { .. });
            Outcome::Described(Box::new(describe(found.id, path, found.file, announced)))
        }
        Err(reason) => Outcome::Failed(key, reason),
    }
}

/// Reads what is wanted of an open file.
pub fn describe(key: FileId, path: String, file: File, announced: bool) -> Described {
    let bytes = read(&file);
    let source = executables::source(file);
    match bytes {
        Ok(bytes) => Described {
            key,
            path,
            source,
            segments: Segments::of(&bytes).ok(),
            rows: unwind::build(&bytes).map_err(|error| error.to_string()),
            python: python::detect(&bytes),
            announced,
        },
        Err(error) => Described {
            key,
            path,
            source,
            segments: None,
            rows: Err(error.to_string()),
            python: None,
            announced,
        },
    }
}

/// The file's bytes. Read, never mapped: somebody who cuts a mapped file off ends the agent.
pub fn read(file: &File) -> io::Result<Vec<u8>> {
    let size = file.metadata()?.len();
    if size > FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is larger than 2 GiB"));
    }
    let mut bytes = vec![0; size as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn path_at(handle: &ProcessHandle, avma: &Range<u64>) -> Option<String> {
    let mut path = None;
    maps_of(handle, |mapping| {
        if mapping.avma.start == avma.start {
            path = Some(String::from_utf8_lossy(&mapping.path()).into_owned());
        }
        path.is_none()
    })
    .ok()?;
    path
}
