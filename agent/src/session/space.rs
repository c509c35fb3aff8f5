//! A process's mappings as `/proc` has them, for what the kernel side could not unwind itself.

use std::collections::HashMap;
use std::io::{self, BufReader};
use std::ops::Range;

use agent_common::executable::{EXECUTABLE_ANONYMOUS, EXECUTABLE_VDSO, FileId};
use agent_common::process::ProcessId;

use super::executables::Executables;
use crate::bpf::table::Table;
use crate::process::ProcessHandle;
use crate::process::maps::{Mapping, read_maps};
use crate::python::Memory as _;
use crate::python::reader::ProcessMemory;
use crate::unwind::{Place, Space};

/// Most mappings of a process that are kept.
const MAPPINGS: usize = 65_536;

/// Gives each mapping of a process to `each`, until that returns false.
pub fn maps_of(handle: &ProcessHandle, each: impl FnMut(&Mapping<'_>) -> bool) -> io::Result<u64> {
    let living = handle.living().map_err(io::Error::other)?;
    let maps = handle.open_file(&format!("{living}maps"))?;
    read_maps(BufReader::new(maps), each)
}

/// An executable mapping.
#[derive(Clone, Debug)]
struct Part {
    avma: Range<u64>,
    offset: u64,
    device: u64,
    inode: u64,
    name: String,
}

/// A file of a snapshot.
pub struct Listed<'a> {
    pub avma: &'a Range<u64>,
    pub offset: u64,
    pub device: u64,
    pub inode: u64,
    pub path: &'a str,
}

/// Executable mappings of a process at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot(Vec<Part>);

impl Snapshot {
    pub fn take(handle: &ProcessHandle) -> Option<Self> {
        let mut parts = Vec::new();
        maps_of(handle, |mapping| {
            if mapping.executable {
                parts.push(Part {
                    avma: mapping.avma.clone(),
                    offset: mapping.offset,
                    device: mapping.device,
                    inode: mapping.inode,
                    name: String::from_utf8_lossy(&mapping.path()).into_owned(),
                });
            }
            parts.len() < MAPPINGS
        })
        .ok()?;
        Some(Self(parts))
    }

    pub fn mappings(&self) -> usize {
        self.0.len()
    }

    /// Its files.
    pub fn files(&self) -> impl Iterator<Item = Listed<'_>> {
        self.0
            .iter()
            .filter(|part| part.inode != 0)
            .map(|part| Listed {
                avma: &part.avma,
                offset: part.offset,
                device: part.device,
                inode: part.inode,
                path: &part.name,
            })
    }

    /// Mappings with code that is in no file, as JIT compilers make it, and their bytes.
    pub fn code_without_file(&self) -> (usize, u64) {
        let kernels = ["[vdso]", "[vsyscall]", "[uprobes]"];
        let parts = self.0.iter();
        parts
            .filter(|part| part.inode == 0 && !kernels.contains(&part.name.as_str()))
            .fold((0, 0), |(count, bytes), part| {
                (count + 1, bytes + (part.avma.end - part.avma.start))
            })
    }

    fn find(&self, avma: u64) -> Option<&Part> {
        self.0.iter().find(|part| part.avma.contains(&avma))
    }
}

/// A process as the walk sees it.
pub struct Mapped<'a> {
    pub process: ProcessId,
    pub snapshot: &'a Snapshot,
    pub executables: &'a Executables,
    pub table: &'a Table,
    /// Files under which the kernel side announced mappings of this process, by their start.
    pub announced: &'a HashMap<(ProcessId, u64), FileId>,
    /// Whether a file has to be read first.
    pub wanted: bool,
}

impl Space for Mapped<'_> {
    fn place(&mut self, avma: u64) -> Place {
        let Some(part) = self.snapshot.find(avma) else {
            return Place::NotExecutable;
        };
        let id = if part.name == "[vdso]" {
            EXECUTABLE_VDSO
        } else if part.inode == 0 {
            return Place::Code {
                executable: EXECUTABLE_ANONYMOUS,
                offset: avma,
                rule: None,
            };
        } else {
            match self.known(part) {
                Some(id) => id,
                None => {
                    self.wanted = true;
                    return Place::UnknownExecutable;
                }
            }
        };
        let offset = avma - part.avma.start + part.offset;
        let rule = self
            .executables
            .get(id)
            .and_then(|known| self.table.rule(&known.entry, offset));
        Place::Code {
            executable: id,
            offset,
            rule,
        }
    }

    fn code_before(&mut self, avma: u64) -> Option<[u8; 8]> {
        let mut bytes = [0; 8];
        ProcessMemory::new(self.process.pid)
            .read(avma.checked_sub(8)?, &mut bytes)
            .ok()?;
        Some(bytes)
    }
}

impl Mapped<'_> {
    fn known(&self, part: &Part) -> Option<u32> {
        let announced = self.announced.get(&(self.process, part.avma.start));
        if let Some(known) = announced.and_then(|key| self.executables.by_key(key)) {
            return Some(known.file.id);
        }
        let same = |key: &FileId| key.device == part.device && key.inode == part.inode;
        self.executables
            .iter()
            .find(|known| same(&known.key))
            .map(|known| known.file.id)
    }
}
