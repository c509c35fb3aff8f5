//! Files with code: from first sight an id, an open descriptor and a place in the kernel's maps.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use agent_common::executable::{
    EXECUTABLE_FIRST, EXECUTABLE_VDSO, Executable, FileId, PYTHON_PENDING,
};

use super::loader::Described;
use crate::bpf::table::{Range, Table};
use crate::bpf::{LoadError, Loaded};
use crate::python::Binary;
use crate::symbols::{ExecutableFile, Identity, Source};
use crate::unwind::{self, Segments};

/// Most files that are kept open, counted by identity: the kernel side's table has as many entries.
const FILES: usize = 8192;

/// A file with code.
pub struct Known {
    pub key: FileId,
    /// Other identities under which the kernel side knows it.
    pub aliases: Vec<FileId>,
    pub file: ExecutableFile,
    pub segments: Option<Segments>,
    /// What the kernel side was told of it.
    pub entry: Executable,
    pub range: Range,
    /// The interpreter that it holds.
    pub python: Option<Arc<Binary>>,
    /// Rows for samples that were deferred until this file was read.
    pub rows: Option<Arc<unwind::Table>>,
    identity: OnceCell<Identity>,
}

impl Known {
    /// Its build id and hash, read when they are first wanted.
    pub fn identity(&self) -> &Identity {
        self.identity.get_or_init(|| self.file.identity())
    }
}

/// All of them.
#[derive(Default)]
pub struct Executables {
    by_id: HashMap<u32, Known>,
    by_key: HashMap<FileId, u32>,
    next: u32,
    /// Files for which there were no rows, by reason.
    pub problems: HashMap<&'static str, u64>,
}

impl Executables {
    pub fn new() -> Self {
        Self {
            next: EXECUTABLE_FIRST,
            ..Self::default()
        }
    }

    pub fn get(&self, id: u32) -> Option<&Known> {
        self.by_id.get(&id)
    }

    pub fn by_key(&self, key: &FileId) -> Option<&Known> {
        self.by_id.get(self.by_key.get(key)?)
    }

    /// Whether a file with this device and inode is known, as `/proc/PID/maps` has them.
    pub fn has_inode(&self, device: u64, inode: u64) -> bool {
        self.by_key
            .keys()
            .any(|key| key.device == device && key.inode == inode)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Known> {
        self.by_id.values()
    }

    /// Takes a described file over and tells the kernel side of it. One that can't be read gets an
    /// entry without rows, so that it is not announced for ever.
    pub fn add(
        &mut self,
        loaded: &mut Loaded,
        table: &mut Table,
        described: Described,
        keep_rows: bool,
    ) -> Result<(), LoadError> {
        if self.by_key.contains_key(&described.key) {
            return Ok(());
        }
        if self.by_key.len() >= FILES {
            self.problem("too_many_files");
            return Ok(());
        }
        let id = self.next;
        self.next += 1;
        let mut entry = Executable::default();
        let mut range = Range { first: 0, cells: 0 };
        let mut rows = None;
        match described.rows {
            Ok(built) => {
                match table.insert(&built) {
                    Ok(placed) => (entry, range) = placed,
                    Err(error) => self.problem(error.name()),
                }
                rows = keep_rows.then(|| Arc::new(built));
            }
            Err(name) => self.problem(name),
        }
        entry.id = id;
        if described
            .python
            .as_ref()
            .is_some_and(|python| python.unfit().is_none())
        {
            entry.python = PYTHON_PENDING;
        }
        loaded.set_executable(&described.key, &entry)?;
        let known = Known {
            key: described.key,
            aliases: Vec::new(),
            file: ExecutableFile {
                id,
                path: described.path,
                source: described.source,
            },
            segments: described.segments,
            entry,
            range,
            python: described.python.map(Arc::new),
            rows,
            identity: OnceCell::new(),
        };
        self.by_key.insert(described.key, id);
        self.by_id.insert(id, known);
        Ok(())
    }

    /// Tells the kernel side that a file which it announced is one that is known already.
    pub fn alias(
        &mut self,
        loaded: &mut Loaded,
        key: &FileId,
        known: &FileId,
    ) -> Result<(), LoadError> {
        // An identity that is known already stays whose it is.
        let (Some(&id), None) = (self.by_key.get(known), self.by_key.get(key)) else {
            return Ok(());
        };
        if self.by_key.len() >= FILES {
            self.problem("too_many_files");
            return Ok(());
        }
        let Some(executable) = self.by_id.get_mut(&id) else {
            return Ok(());
        };
        executable.aliases.push(*key);
        self.by_key.insert(*key, id);
        loaded.set_executable(key, &executable.entry)
    }

    /// The vDSO, whose image is the same in every process.
    pub fn add_vdso(
        &mut self,
        loaded: &mut Loaded,
        table: &mut Table,
        image: Vec<u8>,
    ) -> Result<(), LoadError> {
        let mut entry = Executable::default();
        let mut range = Range { first: 0, cells: 0 };
        let mut rows = None;
        match unwind::build_vdso(&image) {
            Ok(built) => {
                match table.insert(&built) {
                    Ok(placed) => (entry, range) = placed,
                    Err(error) => self.problem(error.name()),
                }
                rows = Some(Arc::new(built));
            }
            Err(error) => self.problem(error.name()),
        }
        entry.id = EXECUTABLE_VDSO;
        loaded.set_vdso(&entry)?;
        let known = Known {
            key: FileId::default(),
            aliases: Vec::new(),
            segments: Segments::of(&image).ok(),
            file: ExecutableFile {
                id: EXECUTABLE_VDSO,
                path: "[vdso]".to_owned(),
                source: Source::Bytes(image.into()),
            },
            entry,
            range,
            python: None,
            rows,
            identity: OnceCell::new(),
        };
        self.by_id.insert(EXECUTABLE_VDSO, known);
        Ok(())
    }

    /// Ties a file to the slot of the interpreter table that was validated for it, or to none.
    pub fn set_python(
        &mut self,
        loaded: &mut Loaded,
        id: u32,
        slot: Option<u32>,
    ) -> Result<(), LoadError> {
        if let Some(known) = self.by_id.get_mut(&id) {
            known.entry.python = slot.map_or(0, |slot| slot + 1);
            for key in [&known.key].into_iter().chain(&known.aliases) {
                loaded.set_executable(key, &known.entry)?;
            }
        }
        Ok(())
    }

    fn problem(&mut self, reason: &'static str) {
        *self.problems.entry(reason).or_default() += 1;
    }
}

/// The file to be kept open of what the process room opened.
pub fn source(file: File) -> Source {
    Source::File(Arc::new(file))
}
