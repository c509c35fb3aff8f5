//! Files with code: from first sight an id, an open descriptor and a place in the kernel's maps.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::File;
use std::mem;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Instant;

use agent_common::executable::{
    EXECUTABLE_FIRST, EXECUTABLE_VDSO, Executable, FileId, PYTHON_PENDING,
};

use super::loader::Described;
use crate::bpf::table::{Placed, REST, Table, TableError};
use crate::bpf::{LoadError, Loaded};
use crate::python::Binary;
use crate::symbols::{ExecutableFile, Identity, Source};
use crate::unwind::{self, Segments};

/// Most files, counted by identity: the kernel side's table has as many entries.
const FILES: usize = 8192;
/// Batches without a sample after which is looked whether a file is deleted.
const UNUSED: u64 = 6;
/// Files that wait for room in the tables of rows. They are few: room comes in a moment.
const UNPLACED: usize = 8;

/// A file with code.
pub struct Known {
    pub key: FileId,
    /// Other identities under which the kernel side knows it.
    pub aliases: Vec<FileId>,
    pub file: ExecutableFile,
    pub segments: Option<Segments>,
    /// What the kernel side was told of it.
    pub entry: Executable,
    pub placed: Placed,
    /// The interpreter that it holds.
    pub python: Option<Arc<Binary>>,
    identity: OnceCell<Identity>,
    /// Number of the batch that had it last.
    used: u64,
}

impl Known {
    /// Its build id and hash, read when they are first wanted.
    pub fn identity(&self) -> &Identity {
        self.identity.get_or_init(|| self.file.identity())
    }
}

/// A file that was given up.
pub struct Gone {
    pub id: u32,
    /// Of its interpreter.
    pub slot: Option<u32>,
}

/// A file for which room was made that can be had soon.
struct Unplaced {
    described: Box<Described>,
    since: Instant,
}

/// All of them.
pub struct Executables {
    by_id: HashMap<u32, Known>,
    by_key: HashMap<FileId, u32>,
    /// Given up, but stacks on their way may have them: of this batch, and of the last one.
    retired: [HashMap<u32, Known>; 2],
    gone: Vec<Gone>,
    unplaced: Vec<Unplaced>,
    next: u32,
    /// Most files that are kept open, counted by identity.
    most: usize,
    /// Number of the batch that is under way.
    batch: u64,
    /// Files for which there were no rows, by reason.
    pub problems: HashMap<&'static str, u64>,
    /// Files given up.
    pub evicted: u64,
}

impl Executables {
    /// `most`: files that may be kept open.
    pub fn new(most: usize) -> Self {
        Self {
            by_id: HashMap::new(),
            by_key: HashMap::new(),
            retired: Default::default(),
            gone: Vec::new(),
            unplaced: Vec::new(),
            next: EXECUTABLE_FIRST,
            most: most.min(FILES),
            batch: 1,
            problems: HashMap::new(),
            evicted: 0,
        }
    }

    pub fn get(&self, id: u32) -> Option<&Known> {
        let retired = || self.retired.iter().find_map(|known| known.get(&id));
        self.by_id.get(&id).or_else(retired)
    }

    pub fn by_key(&self, key: &FileId) -> Option<&Known> {
        self.by_id.get(self.by_key.get(key)?)
    }

    /// Whether a file need not be read: it was.
    pub fn has(&self, key: &FileId) -> bool {
        self.by_key.contains_key(key) || self.unplaced.iter().any(|it| it.described.key == *key)
    }

    /// Whether a file with this device and inode is known, as `/proc/PID/maps` has them.
    pub fn has_inode(&self, device: u64, inode: u64) -> bool {
        let unplaced = self.unplaced.iter().map(|it| &it.described.key);
        self.by_key
            .keys()
            .chain(unplaced)
            .any(|key| key.device == device && key.inode == inode)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Known> {
        self.by_id.values()
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Takes a described file over and tells the kernel side of it. One that can't be read gets an
    /// entry without rows, so that it is not announced for ever.
    pub fn add(
        &mut self,
        loaded: &mut Loaded,
        table: &mut Table,
        described: Described,
    ) -> Result<(), LoadError> {
        if self.has(&described.key) {
            return Ok(());
        }
        if self.by_key.len() >= self.most {
            self.evict(loaded, table, self.most / 8, |_, _| false)?;
        }
        self.place(loaded, table, Box::new(described))
    }

    /// Tries files again that found no room.
    pub fn place_late(&mut self, loaded: &mut Loaded, table: &mut Table) -> Result<(), LoadError> {
        let rested = |it: &mut Unplaced| it.since.elapsed() > 2 * REST;
        let rested: Vec<Unplaced> = self.unplaced.extract_if(.., rested).collect();
        for it in rested {
            self.place(loaded, table, it.described)?;
        }
        Ok(())
    }

    /// Whether files wait for room.
    pub fn wait_for_room(&self) -> bool {
        !self.unplaced.is_empty()
    }

    fn place(
        &mut self,
        loaded: &mut Loaded,
        table: &mut Table,
        described: Box<Described>,
    ) -> Result<(), LoadError> {
        let mut entry = Executable::default();
        let mut placed = Placed::default();
        match &described.rows {
            Ok(built) => match table.insert(built) {
                Ok(found) => (entry, placed) = found,
                Err(error) => {
                    if self.unplaced.len() < UNPLACED
                        && self.make_room(loaded, table, built, &error)?
                    {
                        self.unplaced.push(Unplaced {
                            described,
                            since: Instant::now(),
                        });
                        return Ok(());
                    }
                    self.problem(error.name());
                }
            },
            Err(name) => self.problem(name),
        }
        let id = self.next;
        self.next += 1;
        entry.id = id;
        let fit = |python: &Binary| python.unfit().is_none();
        if described.python.as_ref().is_some_and(fit) {
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
            placed,
            python: described.python.map(Arc::new),
            identity: OnceCell::new(),
            used: self.batch,
        };
        self.by_key.insert(described.key, id);
        self.by_id.insert(id, known);
        Ok(())
    }

    /// Gives files up until a table will find room; false: it never will.
    fn make_room(
        &mut self,
        loaded: &mut Loaded,
        table: &mut Table,
        rows: &unwind::Table,
        error: &TableError,
    ) -> Result<bool, LoadError> {
        let cells = (rows.index.len() + rows.rows.len()) as u64;
        match error {
            TableError::Budget { .. } if table.can_hold(rows) => {
                // What is free may be in pieces; then this comes again, and gives up more.
                let before = table.free_soon();
                let wanted = if before < cells {
                    cells
                } else {
                    before + cells
                };
                let enough = |table: &Table, _| table.free_soon() >= wanted;
                self.evict(loaded, table, usize::MAX, enough)?;
                Ok(table.free_soon() > before || table.rests())
            }
            TableError::Rules => {
                Ok(self.evict(loaded, table, self.most / 16, |_, _| false)? > 0 || table.rests())
            }
            _ => Ok(false),
        }
    }

    /// Gives up at most `most` files, those that were not sampled for the longest time first, until
    /// `enough`; how many.
    fn evict(
        &mut self,
        loaded: &mut Loaded,
        table: &mut Table,
        most: usize,
        enough: impl Fn(&Table, usize) -> bool,
    ) -> Result<usize, LoadError> {
        let known = self
            .by_id
            .values()
            .filter(|it| it.file.id >= EXECUTABLE_FIRST);
        let mut oldest: Vec<(u64, u32)> = known.map(|it| (it.used, it.file.id)).collect();
        oldest.sort_unstable();
        let mut count = 0;
        for (_, id) in oldest.into_iter().take(most.max(1)) {
            if enough(table, count) {
                break;
            }
            self.give_up(loaded, table, id)?;
            count += 1;
        }
        Ok(count)
    }

    /// The kernel side forgets a file first, then its cells and its interpreter's slot are free.
    fn give_up(
        &mut self,
        loaded: &mut Loaded,
        table: &mut Table,
        id: u32,
    ) -> Result<(), LoadError> {
        let Some(mut known) = self.by_id.remove(&id) else {
            return Ok(());
        };
        loaded.remove_executable([&known.key].into_iter().chain(&known.aliases))?;
        for key in [&known.key].into_iter().chain(&known.aliases) {
            self.by_key.remove(key);
        }
        table.remove(mem::take(&mut known.placed));
        let slot = known.entry.python;
        self.gone.push(Gone {
            id,
            slot: (slot != 0 && slot != PYTHON_PENDING).then(|| slot - 1),
        });
        self.evicted += 1;
        known.entry = Executable {
            id,
            ..Executable::default()
        };
        if self.retired[0].len() >= self.most {
            self.retired[0].clear();
        }
        self.retired[0].insert(id, known);
        Ok(())
    }

    /// Gives up the file that was not sampled for the longest time of those with an interpreter.
    pub fn evict_python(
        &mut self,
        loaded: &mut Loaded,
        table: &mut Table,
    ) -> Result<(), LoadError> {
        let tied = |known: &&Known| known.entry.python != 0 && known.entry.python != PYTHON_PENDING;
        let oldest = self.by_id.values().filter(tied);
        let oldest = oldest.min_by_key(|known| (known.used, known.file.id));
        match oldest.map(|known| known.file.id) {
            Some(id) => self.give_up(loaded, table, id),
            None => Ok(()),
        }
    }

    /// Gives up files that nobody can execute again, once no batch had them for a while: an open
    /// file takes room on the disk until then.
    pub fn give_up_deleted(
        &mut self,
        loaded: &mut Loaded,
        table: &mut Table,
    ) -> Result<(), LoadError> {
        if !self.batch.is_multiple_of(UNUSED) {
            return Ok(());
        }
        let unused =
            |known: &&Known| known.file.id >= EXECUTABLE_FIRST && known.used + UNUSED < self.batch;
        let deleted: Vec<u32> = self
            .by_id
            .values()
            .filter(unused)
            .filter(|known| is_deleted(&known.file.source))
            .map(|known| known.file.id)
            .collect();
        for id in deleted {
            self.give_up(loaded, table, id)?;
        }
        Ok(())
    }

    /// Files that were given up since this was last asked.
    pub fn take_gone(&mut self) -> Vec<Gone> {
        mem::take(&mut self.gone)
    }

    /// A batch had these files.
    pub fn touch(&mut self, ids: impl IntoIterator<Item = u32>) {
        for id in ids {
            if let Some(known) = self.by_id.get_mut(&id) {
                known.used = self.batch;
            }
        }
    }

    /// The next batch begins.
    pub fn next_batch(&mut self) {
        self.batch += 1;
        self.retired[1] = mem::take(&mut self.retired[0]);
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
            self.problem("too_many_identities");
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
        let mut placed = Placed::default();
        match unwind::build_vdso(&image) {
            Ok(built) => match table.insert(&built) {
                Ok(found) => (entry, placed) = found,
                Err(error) => self.problem(error.name()),
            },
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
            placed,
            python: None,
            identity: OnceCell::new(),
            used: self.batch,
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

/// Without any name.
fn is_deleted(source: &Source) -> bool {
    match source {
        Source::File(file) => file.metadata().is_ok_and(|metadata| metadata.nlink() == 0),
        Source::Bytes(_) => false,
    }
}
