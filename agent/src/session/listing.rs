//! The files that run when a recording begins. They are opened and read while the kernel's verifier
//! is still at work.

use std::process;

use super::loader::{AskError, Loader};
use crate::process::file_id::Wanted;
use crate::process::{ProcessHandle, list};

/// What was found in `/proc`.
pub struct Listing {
    pub list: list::List,
    /// Files that could not be asked for, and why.
    pub failures: Vec<AskError>,
}

impl Listing {
    /// Asks for the files of all processes, or of `only` these where some are given.
    pub fn ask(loader: &mut Loader, only: &[u32]) -> Self {
        let mut list = list::list();
        let mut failures = Vec::new();
        let own = process::id();
        for file in &mut list.files {
            // The agent itself is never sampled.
            file.uses.retain(|place| {
                list.processes
                    .get(place.process as usize)
                    .is_some_and(|process| process.pid != own)
            });
        }
        for file in &list.files {
            let process_of = |place: &list::Use| list.processes.get(place.process as usize);
            let wanted = |place: &&list::Use| {
                only.is_empty()
                    || process_of(place).is_some_and(|process| only.contains(&process.pid))
            };
            let Some(place) = file.uses.iter().find(wanted) else {
                continue;
            };
            let Some(process) = process_of(place) else {
                continue;
            };
            let wanted = Wanted::Listed {
                device: file.device,
                inode: file.inode,
            };
            let path = String::from_utf8_lossy(&file.path).into_owned();
            let asked = ProcessHandle::open(process.pid)
                .map_err(AskError::from)
                .and_then(|handle| {
                    loader.ask(&handle, &place.avma, &wanted, Some(path), |_| false)
                });
            failures.extend(asked.err());
        }
        Self { list, failures }
    }
}
