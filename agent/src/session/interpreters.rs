//! Interpreters: offsets derived and validated on the first live process of each file.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

use agent_common::executable::PYTHON_PENDING;
use agent_common::process::ProcessId;
use agent_common::python::{PYTHONS, ProcessPython, PythonOffsets};

use super::executables::{Executables, Gone};
use super::space::maps_of;
use crate::bpf::table::{REST, Table};
use crate::bpf::{LoadError, Loaded};
use crate::process::{ProcessHandle, list};
use crate::python::reader::ProcessMemory;
use crate::python::{Unfit, Version, derive, hold_for_file};

/// First and longest wait between two attempts at a file. A new process takes some 20 ms to its
/// first Python frame; what is sampled between that and the first attempt after it lacks them.
const FIRST_WAIT: Duration = Duration::from_millis(2);
/// Attempts that are made that fast.
const FAST: u32 = 50;
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// Wait where all processes that had the file are gone.
const NOBODY: Duration = Duration::from_secs(3600);

/// Most processes that are tried for one file; the newest count.
const PLACES: usize = 16;

/// An interpreter file that has no offsets yet.
struct Pending {
    executable: u32,
    /// avma of a mapping and its file offset in processes that have it.
    places: Vec<Place>,
    next: Instant,
    wait: Duration,
    attempts: u32,
    last: Option<Unfit>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    pid: u32,
    avma: u64,
    offset: u64,
}

/// All of them.
#[derive(Default)]
pub struct Interpreters {
    /// Version by slot; None: nobody has it.
    versions: Vec<Option<Version>>,
    /// Slots that were given back, since when: a walk that is under way may still use them.
    resting: VecDeque<(Instant, u32)>,
    pending: Vec<Pending>,
    /// Files that will never have offsets, by reason.
    pub unfit: HashMap<&'static str, u64>,
}

impl Interpreters {
    pub fn version(&self, slot: u32) -> Option<Version> {
        self.versions.get(slot as usize).copied().flatten()
    }

    /// Reasons of those that still have no offsets.
    pub fn pending(&self) -> impl Iterator<Item = &'static str> {
        self.pending
            .iter()
            .map(|pending| pending.last.as_ref().map_or("not_tried", Unfit::name))
    }

    /// Takes note that a process has an interpreter's file mapped.
    pub fn seen(&mut self, executables: &Executables, id: u32, pid: u32, avma: u64, offset: u64) {
        let Some(known) = executables.get(id) else {
            return;
        };
        let Some(binary) = &known.python else { return };
        if known.entry.python != PYTHON_PENDING {
            return;
        }
        let pending = match self
            .pending
            .iter()
            .position(|pending| pending.executable == id)
        {
            Some(place) => &mut self.pending[place],
            None => {
                if let Some(unfit) = binary.unfit() {
                    *self.unfit.entry(unfit.name()).or_default() += 1;
                    return;
                }
                self.pending.push(Pending {
                    executable: id,
                    places: Vec::new(),
                    next: Instant::now(),
                    wait: FIRST_WAIT,
                    attempts: 0,
                    last: None,
                });
                let last = self.pending.len() - 1;
                &mut self.pending[last]
            }
        };
        let place = Place { pid, avma, offset };
        if !pending.places.contains(&place) {
            if pending.places.len() >= PLACES {
                pending.places.remove(0);
            }
            pending.places.push(place);
            pending.next = Instant::now();
            pending.wait = FIRST_WAIT;
            pending.attempts = 0;
        }
    }

    /// When the next attempt is due.
    pub fn due(&self) -> Option<Instant> {
        self.pending.iter().map(|pending| pending.next).min()
    }

    /// Tries what is due.
    pub fn attempt(
        &mut self,
        loaded: &mut Loaded,
        executables: &mut Executables,
        table: &mut Table,
    ) -> Result<(), LoadError> {
        let now = Instant::now();
        let mut index = 0;
        while index < self.pending.len() {
            if self.pending[index].next > now {
                index += 1;
                continue;
            }
            match self.try_one(index, executables) {
                Some((place, offsets, lasting)) => {
                    if lasting && !self.has_slot() {
                        executables.evict_python(loaded, table)?;
                        self.pending[index].next = now + 2 * REST;
                        index += 1;
                        continue;
                    }
                    let id = self.pending.swap_remove(index).executable;
                    if !lasting {
                        *self.unfit.entry("static_tls_of_a_library").or_default() += 1;
                        executables.set_python(loaded, id, None)?;
                        continue;
                    }
                    self.accept(loaded, executables, id, place, &offsets)?;
                }
                None => {
                    let pending = &mut self.pending[index];
                    if pending.last.as_ref().is_some_and(Unfit::is_final) {
                        if let Some(unfit) = &pending.last {
                            *self.unfit.entry(unfit.name()).or_default() += 1;
                        }
                        let id = self.pending.swap_remove(index).executable;
                        executables.set_python(loaded, id, None)?;
                        continue;
                    }
                    pending.attempts += 1;
                    if pending.attempts > FAST {
                        pending.wait = (pending.wait * 2).min(LONGEST_WAIT);
                        pending.places.retain(|place| exists(place.pid));
                        if pending.places.is_empty() {
                            // Until one is seen again.
                            pending.wait = NOBODY;
                        }
                    }
                    pending.next = now + pending.wait;
                    index += 1;
                }
            }
        }
        Ok(())
    }

    fn try_one(
        &mut self,
        index: usize,
        executables: &Executables,
    ) -> Option<(Place, PythonOffsets, bool)> {
        let pending = &mut self.pending[index];
        let binary = executables.get(pending.executable)?.python.clone()?;
        for place in &pending.places {
            let Some(bias) = binary.bias(place.avma, place.offset) else {
                continue;
            };
            match derive(&binary, &ProcessMemory::new(place.pid), bias) {
                Ok(offsets) => return Some((*place, offsets, hold_for_file(&binary, &offsets))),
                Err(unfit) => pending.last = Some(unfit),
            }
        }
        None
    }

    fn accept(
        &mut self,
        loaded: &mut Loaded,
        executables: &mut Executables,
        id: u32,
        place: Place,
        offsets: &PythonOffsets,
    ) -> Result<(), LoadError> {
        let Some(slot) = self.take_slot(Version::from_hex(offsets.version)) else {
            *self.unfit.entry("too_many_interpreters").or_default() += 1;
            return executables.set_python(loaded, id, None);
        };
        loaded.set_python(slot, offsets)?;
        executables.set_python(loaded, id, Some(slot))?;
        tracing::debug!(
            pid = place.pid,
            version = offsets.version,
            "interpreter validated"
        );
        Ok(())
    }

    fn has_slot(&self) -> bool {
        let rested = |(since, _): &(Instant, u32)| since.elapsed() > REST;
        self.versions.len() < PYTHONS as usize || self.resting.front().is_some_and(rested)
    }

    fn take_slot(&mut self, version: Version) -> Option<u32> {
        if self.versions.len() < PYTHONS as usize {
            self.versions.push(Some(version));
            return Some(self.versions.len() as u32 - 1);
        }
        let (_, slot) = self.resting.pop_front()?;
        self.versions[slot as usize] = Some(version);
        Some(slot)
    }

    /// A file was given up.
    pub fn forget(&mut self, loaded: &mut Loaded, gone: &Gone) -> Result<(), LoadError> {
        self.pending.retain(|pending| pending.executable != gone.id);
        let Some(slot) = gone.slot else { return Ok(()) };
        for process in loaded.processes_of_python(slot) {
            loaded.remove_process_python(&process)?;
        }
        if let Some(version) = self.versions.get_mut(slot as usize) {
            *version = None;
            self.resting.push_back((Instant::now(), slot));
        }
        Ok(())
    }

    /// Looks for interpreters in a process whose native walk broke before it met one.
    pub fn look(
        &mut self,
        loaded: &mut Loaded,
        executables: &Executables,
        process: &ProcessId,
    ) -> Result<(), LoadError> {
        let Ok(handle) = ProcessHandle::open_same(process) else {
            return Ok(());
        };
        let mut found = None;
        let _ = maps_of(&handle, |mapping| {
            let known = executables.iter().find(|known| {
                known.entry.python != 0
                    && known.entry.python != PYTHON_PENDING
                    && known.key.inode == mapping.inode
                    && known.key.device == mapping.device
            });
            match known {
                Some(known) if mapping.executable => {
                    found = Some((
                        known.entry.python,
                        mapping.avma.start,
                        mapping.offset,
                        known,
                    ));
                    false
                }
                _ => true,
            }
        });
        let Some((python, start, offset, known)) = found else {
            return Ok(());
        };
        let Some(bias) = known
            .python
            .as_ref()
            .and_then(|binary| binary.bias(start, offset))
        else {
            return Ok(());
        };
        let runtime = known
            .python
            .as_ref()
            .map_or(0, |binary| binary.runtime.wrapping_add(bias));
        let entry = ProcessPython {
            runtime,
            python,
            padding: 0,
        };
        loaded.set_process_python(process, &entry)
    }

    /// Where interpreters' files are mapped when the agent starts.
    pub fn scan(&mut self, executables: &Executables, list: &list::List) {
        for file in &list.files {
            let known = executables.iter().find(|known| {
                known.python.is_some()
                    && known.key.inode == file.inode
                    && known.key.device == file.device
            });
            let Some(known) = known else { continue };
            for place in &file.uses {
                let Some(process) = list.processes.get(place.process as usize) else {
                    continue;
                };
                self.seen(
                    executables,
                    known.file.id,
                    process.pid,
                    place.avma.start,
                    place.offset,
                );
            }
        }
    }
}

fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}
