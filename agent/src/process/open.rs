//! The file behind a mapping, opened while the process that maps it is there.
//!
//! Two ways lead to it. `/proc/PID/map_files` names the mapped inode itself, whatever became of its
//! path, but takes CAP_SYS_ADMIN or (Linux 5.9) CAP_CHECKPOINT_RESTORE. The path in
//! `/proc/PID/maps`, looked up in the process's own root, needs neither, and may name another file
//! by now. What either gives is opened only once it is known to be the file that was meant.
//!
//! A FUSE file system's daemon may let an open wait for ever. The kernel keeps others than its
//! owner out unless an administrator allowed them in (`fuse_allow_current_process`), so no target
//! can do that to the agent by itself.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, BufReader};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};

use agent_common::executable::FileId;
use thiserror::Error;

use super::file_id::{FileStat, Fit, Wanted};
use super::identity::{ProcessError, ProcessHandle};
use super::maps::read_maps;
use super::sys;

/// Largest file that is opened. The largest libraries of today (GPU kernels) have 2 GB.
pub const FILE_BYTES: u64 = 16 << 30;
/// Most places in one address space that are looked at for a file.
const CANDIDATES: usize = 16;

/// A file that a process executes.
#[derive(Debug)]
pub struct ExecutableFile {
    pub file: File,
    /// Under which the kernel side knows it.
    pub id: FileId,
    /// Whether that is certain. It is not for a listed file on overlayfs, where the kernel side sees
    /// another inode, or where only the kernel knows the generation (tmpfs).
    pub exact: bool,
}

/// Why the file behind a mapping was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(
        "Process {pid} has no file mapped at {start:#x} any more, so its frames there stay \
         unnamed; the next process that maps it is asked again."
    )]
    Unmapped { pid: u32, start: u64 },
    #[error(
        "The file that process {pid} has mapped at {start:#x} is not at its path any more, another \
         is; strata needs CAP_CHECKPOINT_RESTORE (or root) to open it all the same."
    )]
    Replaced { pid: u32, start: u64 },
    #[error(
        "The file that process {pid} has mapped at {start:#x} changed (or was renamed or unlinked) \
         since the kernel side announced it; it will be announced again."
    )]
    Changed { pid: u32, start: u64 },
    #[error(
        "What process {pid} has mapped at {start:#x} is a device or the like and no file; its \
         frames there stay unnamed."
    )]
    NoFile { pid: u32, start: u64 },
    #[error(
        "The file that process {pid} has mapped at {start:#x} has {size} bytes, more than the \
         {FILE_BYTES} that strata reads; its frames are followed by frame pointers."
    )]
    TooLarge { pid: u32, start: u64, size: u64 },
    #[error(
        "The file that process {pid} has mapped at {start:#x} can't be opened: {source}; run \
         strata as root, or with CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE."
    )]
    Unreadable {
        pid: u32,
        start: u64,
        source: io::Error,
    },
}

impl OpenError {
    /// Its name in statistics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Process(error) => error.name(),
            Self::Unmapped { .. } => "unmapped",
            Self::Replaced { .. } => "replaced",
            Self::Changed { .. } => "changed",
            Self::NoFile { .. } => "no_file",
            Self::TooLarge { .. } => "too_large",
            Self::Unreadable { .. } => "unreadable",
        }
    }
}

/// Opens the file that `process` maps at `avma`.
pub fn open_executable(
    process: &ProcessHandle,
    avma: &Range<u64>,
    wanted: &Wanted<'_>,
) -> Result<ExecutableFile, OpenError> {
    let search = Search {
        process,
        start: avma.start,
        wanted,
    };
    let mut failure = None;
    if let Some(found) = search.attempt(search.map_file(avma), &mut failure)? {
        return Ok(found);
    }

    let living = process.living()?;
    let root = sys::path_at(process.directory(), &c_name(format!("{living}root")));
    let candidates = search.candidates(&living)?;
    if candidates.is_empty() {
        return Err(OpenError::Unmapped {
            pid: process.pid(),
            start: avma.start,
        });
    }
    for (range, paths) in candidates {
        // The mapping may have been cut or grown since.
        if range != *avma
            && let Some(found) = search.attempt(search.map_file(&range), &mut failure)?
        {
            return Ok(found);
        }
        for path in paths {
            let file = match &root {
                Ok(root) => sys::path_in_root(root.as_fd(), &c_name(path)),
                Err(error) => Err(io::Error::from(error.kind())),
            };
            if let Some(found) = search.attempt(file, &mut failure)? {
                return Ok(found);
            }
        }
    }
    Err(failure.unwrap_or(OpenError::Unmapped {
        pid: process.pid(),
        start: avma.start,
    }))
}

/// A place where the file may be mapped, and the paths that it may have.
type Candidate = (Range<u64>, Vec<Vec<u8>>);

struct Search<'a> {
    process: &'a ProcessHandle,
    start: u64,
    wanted: &'a Wanted<'a>,
}

impl Search<'_> {
    fn map_file(&self, avma: &Range<u64>) -> io::Result<OwnedFd> {
        let name = format!("map_files/{:x}-{:x}", avma.start, avma.end);
        sys::path_at(self.process.directory(), &c_name(name))
    }

    /// Where the file may be mapped now.
    fn candidates(&self, living: &str) -> Result<Vec<Candidate>, OpenError> {
        let unreadable = |source| self.unreadable(source);
        let maps = self
            .process
            .open_file(&format!("{living}maps"))
            .map_err(unreadable)?;
        let inode = match self.wanted {
            Wanted::Announced(id) => id.inode,
            Wanted::Listed { inode, .. } => *inode,
        };
        let mut candidates = Vec::new();
        read_maps(BufReader::with_capacity(64 << 10, maps), |mapping| {
            let here = mapping.avma.contains(&self.start);
            if mapping.is_file() && (here || (mapping.executable && mapping.inode == inode)) {
                let found = (mapping.avma.clone(), mapping.paths());
                // What is mapped at the very place is likeliest.
                let at = if here { 0 } else { candidates.len() };
                candidates.insert(at, found);
            }
            candidates.len() < CANDIDATES
        })
        .map_err(unreadable)?;
        Ok(candidates)
    }

    /// Opens what a descriptor names if it is the file. `Ok(None)`: it is not, `failure` says why;
    /// a later attempt may find it.
    fn attempt(
        &self,
        path: io::Result<OwnedFd>,
        failure: &mut Option<OpenError>,
    ) -> Result<Option<ExecutableFile>, OpenError> {
        let (pid, start) = (self.process.pid(), self.start);
        let opened = path.and_then(|path| {
            // Nothing but a regular file is ever opened: to open a device is to use it.
            let named = File::from(path);
            let stat = FileStat::of(&named)?;
            if !stat.regular || stat.fit(self.wanted) != Fit::Same {
                return Ok((named, stat));
            }
            // Now its generation can be asked for, and nothing else can take its place.
            let file = sys::reopen(named.as_fd())?;
            let stat = FileStat::of(&file)?;
            Ok((file, stat))
        });
        let (file, stat) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                // A way that is closed tells less than another file found on the other way.
                failure.get_or_insert_with(|| self.unreadable(error));
                return Ok(None);
            }
        };
        *failure = Some(match stat.fit(self.wanted) {
            _ if !stat.regular => OpenError::NoFile { pid, start },
            Fit::Other => OpenError::Replaced { pid, start },
            Fit::Changed => OpenError::Changed { pid, start },
            Fit::Same if stat.id.size > FILE_BYTES => {
                return Err(OpenError::TooLarge {
                    pid,
                    start,
                    size: stat.id.size,
                });
            }
            Fit::Same => {
                let (id, exact) = stat.key(self.wanted);
                return Ok(Some(ExecutableFile { file, id, exact }));
            }
        });
        Ok(None)
    }

    fn unreadable(&self, source: io::Error) -> OpenError {
        OpenError::Unreadable {
            pid: self.process.pid(),
            start: self.start,
            source,
        }
    }
}

/// Names come from the kernel, which has no zero bytes in them; one that has leads nowhere.
fn c_name(name: impl Into<Vec<u8>>) -> CString {
    CString::new(name).unwrap_or_default()
}

#[cfg(test)]
mod tests;
