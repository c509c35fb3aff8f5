//! Files that a recording meets: asked for, described, and made known to the kernel side.

use agent_common::executable::FileId;
use agent_common::record::Announcement;

use super::loader::{AskError, Asked, Described};
use super::machine::name_of;
use super::{Session, SessionError};
use crate::process::ProcessHandle;
use crate::process::file_id::Wanted;
use crate::symbols::Source;

impl Session {
    pub(super) fn take(&mut self, described: Described) -> Result<(), SessionError> {
        self.slowest.add(&described);
        let keep = described.announced;
        let key = described.key;
        // An announced file's key is the kernel side's own.
        let met_as = match &described.source {
            Source::File(file) if !keep => self.identifier.identify(&self.loaded, file),
            _ => None,
        };
        self.executables
            .add(&mut self.loaded, &mut self.table, described)?;
        if let Some(met_as) = met_as
            && met_as != key
        {
            self.executables.alias(&mut self.loaded, &met_as, &key)?;
        }
        Ok(())
    }

    /// The kernel side met a file that is not described, or a process whose interpreter is not.
    pub(super) fn take_announcement(
        &mut self,
        announced: &Announcement,
    ) -> Result<(), SessionError> {
        let (process, start) = (announced.process, announced.start);
        if let Some(known) = self.executables.by_key(&announced.file) {
            let (id, pid) = (known.file.id, process.pid);
            self.interpreters
                .seen(&self.executables, id, pid, start, announced.offset);
            return Ok(());
        }
        self.deferred.announced(process, start, announced.file);
        let asked = ProcessHandle::open_same(&process)
            .map_err(AskError::from)
            .and_then(|handle| {
                let wanted = Wanted::Announced(&announced.file);
                let known = |key: &FileId| self.executables.has(key);
                self.loader
                    .ask(&handle, &(start..announced.end), &wanted, None, known)
            });
        match asked {
            Ok(Asked::Taken) => Ok(()),
            Ok(Asked::SameAs(known)) => {
                Ok(self
                    .executables
                    .alias(&mut self.loaded, &announced.file, &known)?)
            }
            Err(error) => {
                let name = name_of(&announced.name);
                tracing::debug!(name, %error, "file not opened");
                self.note_failure(&error);
                Ok(())
            }
        }
    }

    pub(super) fn note_failure(&mut self, error: &AskError) {
        *self.failures.entry(error.name()).or_default() += 1;
    }
}
