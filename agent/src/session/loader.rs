//! Work on files, on threads of its own: one huge file must not delay another process. Opening is
//! cheap and done at once, while the process that has the file is still there.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use std::{panic, thread};

use agent_common::executable::FileId;

use super::queue::Queue;
use super::space::maps_of;
use super::{executables, image};
use crate::process::file_id::{FileStat, Wanted};
use crate::process::open::{OpenError, open_executable};
use crate::process::{ProcessError, ProcessHandle};
use crate::python::{self, Binary};
use crate::symbols::Source;
use crate::unwind::{self, Segments, UnwindError};

/// Bytes of a file from which on it is a large one.
const LARGE: u64 = 24 << 20;
/// Threads that read files.
const WORKERS: usize = 2;
/// Files that may wait; more are announced again later.
const WAITING: usize = 4096;

/// An open file to be read.
struct Job {
    key: FileId,
    path: String,
    file: File,
    announced: bool,
}

impl Job {
    /// Whether it takes much memory while it is read. One thread alone reads such files, so that
    /// there is one of them at a time, and others need not wait for it.
    fn is_large(&self) -> bool {
        let size = self.file.metadata().map_or(0, |metadata| metadata.len());
        size > LARGE
    }
}

/// What was read of a file.
pub struct Described {
    /// Under which the kernel side knows it.
    pub key: FileId,
    pub path: String,
    pub source: Source,
    pub segments: Option<Segments>,
    /// Or why there are none: a name for the statistics.
    pub rows: Result<unwind::Table, &'static str>,
    pub python: Option<Binary>,
    /// Whether samples wait for it.
    pub announced: bool,
    /// How long it took to read.
    pub took: Duration,
}

/// What comes of asking for a file.
pub enum Asked {
    /// It is read, or was.
    Taken,
    /// It was read under this identity, which is that of `/proc/PID/maps`; on overlay file systems
    /// the kernel side has another.
    SameAs(FileId),
}

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{WAITING} files wait to be read; it will be announced again.")]
    Busy,
}

impl From<ProcessError> for AskError {
    fn from(error: ProcessError) -> Self {
        Self::Open(error.into())
    }
}

impl AskError {
    /// Its name in statistics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open(error) => error.name(),
            Self::Busy => "too_many_wait",
        }
    }
}

/// The threads.
pub struct Loader {
    jobs: Arc<Queue<FileId, Job>>,
    done: Receiver<Described>,
    waiting: usize,
    reading: HashSet<FileId>,
}

impl Loader {
    pub fn start() -> io::Result<Self> {
        let jobs = Arc::new(Queue::<FileId, Job>::new());
        let (results, done) = channel();
        for number in 0..WORKERS {
            let (todo, results) = (Arc::clone(&jobs), results.clone());
            thread::Builder::new()
                .name(format!("strata-file-{number}"))
                .spawn(move || {
                    while let Some(job) = todo.pop(|job| number == 0 || !job.is_large()) {
                        if results.send(describe(job)).is_err() {
                            break;
                        }
                    }
                })?;
        }
        Ok(Self {
            jobs,
            done,
            waiting: 0,
            reading: HashSet::new(),
        })
    }

    /// Opens the file behind a mapping of a process and has it read, unless `known` says that it
    /// was. `path` is what to call it, if that is known already.
    pub fn ask(
        &mut self,
        process: &ProcessHandle,
        avma: &Range<u64>,
        wanted: &Wanted<'_>,
        path: Option<String>,
        known: impl Fn(&FileId) -> bool,
    ) -> Result<Asked, AskError> {
        let announced = match wanted {
            Wanted::Announced(key) => {
                if self.reading.contains(*key) {
                    self.jobs.ask_again(key);
                    return Ok(Asked::Taken);
                }
                if known(key) {
                    return Ok(Asked::Taken);
                }
                true
            }
            Wanted::Listed { .. } => false,
        };
        if self.waiting >= WAITING {
            return Err(AskError::Busy);
        }
        let found = open_executable(process, avma, wanted)?;
        let mapped = if announced {
            mapped_at(process, avma)
        } else {
            None
        };
        if let Some((device, inode, _)) = mapped
            && let Ok(stat) = FileStat::of(&found.file)
        {
            let (listed, _) = stat.key(&Wanted::Listed { device, inode });
            if listed != found.id && known(&listed) {
                return Ok(Asked::SameAs(listed));
            }
        }
        if known(&found.id) || !self.reading.insert(found.id) {
            return Ok(Asked::Taken);
        }
        let path = path.or(mapped.map(|(_, _, path)| path)).unwrap_or_default();
        let job = Job {
            key: found.id,
            path,
            file: found.file,
            announced,
        };
        self.jobs.push(found.id, job, announced.into());
        self.waiting += 1;
        Ok(Asked::Taken)
    }

    /// Has a file read that nobody has mapped yet.
    pub fn ask_ahead(&mut self, path: &Path) {
        let Ok(file) = File::open(path) else { return };
        let Ok(stat) = FileStat::of(&file) else {
            return;
        };
        if stat.regular && self.reading.insert(stat.id) {
            let path = path.to_string_lossy().into_owned();
            let job = Job {
                key: stat.id,
                path,
                file,
                announced: false,
            };
            self.jobs.push(stat.id, job, 0);
            self.waiting += 1;
        }
    }

    /// A file that was read, if there is one.
    pub fn poll(&mut self) -> Option<Described> {
        let described = self.done.try_recv().ok()?;
        self.finished(&described);
        Some(described)
    }

    /// Waits for the next file; none is left when this gives nothing.
    pub fn wait(&mut self) -> Option<Described> {
        if self.waiting == 0 {
            return None;
        }
        let described = self.done.recv().ok()?;
        self.finished(&described);
        Some(described)
    }

    pub fn is_idle(&self) -> bool {
        self.waiting == 0
    }

    fn finished(&mut self, described: &Described) {
        self.waiting = self.waiting.saturating_sub(1);
        self.reading.remove(&described.key);
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.jobs.close();
    }
}

/// What a recording takes out of a file.
pub struct Contents {
    pub segments: Option<Segments>,
    pub rows: Result<unwind::Table, UnwindError>,
    pub python: Option<Binary>,
}

impl Contents {
    /// Reads what is wanted of an open file.
    fn read(file: &File) -> io::Result<Self> {
        Ok(Self::of(&image::read(file)?))
    }

    fn of(image: &[u8]) -> Self {
        Self {
            segments: Segments::of(image).ok(),
            rows: unwind::build(image),
            python: python::detect(image),
        }
    }
}

/// Reads the same, and tells which sections the rows come from, for people.
pub fn examine(file: &File) -> io::Result<(Contents, Vec<&'static str>)> {
    let image = image::read(file)?;
    let rows_from = unwind::sources(&image).unwrap_or_default();
    Ok((Contents::of(&image), rows_from))
}

/// Reads a file of the list.
fn describe(job: Job) -> Described {
    let Job {
        key,
        path,
        file,
        announced,
    } = job;
    let begin = Instant::now();
    // A defect in a parser costs this file its rows, not the recording its threads.
    let contents = panic::catch_unwind(|| Contents::read(&file))
        .unwrap_or_else(|_| Err(io::Error::other("a parser panicked")));
    let source = executables::source(file);
    let (segments, rows, python) = match contents {
        Ok(contents) => (
            contents.segments,
            contents.rows.map_err(|error| error.name()),
            contents.python,
        ),
        Err(_) => (None, Err("unreadable"), None),
    };
    Described {
        key,
        path,
        source,
        segments,
        rows,
        python,
        announced,
        took: begin.elapsed(),
    }
}

/// Device, inode and path of a mapping as `/proc/PID/maps` has them.
fn mapped_at(handle: &ProcessHandle, avma: &Range<u64>) -> Option<(u64, u64, String)> {
    let mut found = None;
    maps_of(handle, |mapping| {
        if mapping.avma.start == avma.start {
            let path = String::from_utf8_lossy(&mapping.path()).into_owned();
            found = Some((mapping.device, mapping.inode, path));
        }
        found.is_none()
    })
    .ok()?;
    found
}
