//! The file that an executable was first seen as, kept open: its process, its container or its
//! path may be gone when names are wanted.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::error::SymbolError;

/// Bytes of an executable. Read piecewise, never mapped: a file that somebody truncates while it
/// is mapped would kill the agent (SIGBUS).
#[derive(Clone, Debug)]
pub enum Source {
    File(Arc<File>),
    /// An image in memory, e.g. the vDSO.
    Bytes(Arc<[u8]>),
}

/// An executable whose addresses are to be named.
#[derive(Clone, Debug)]
pub struct ExecutableFile {
    /// Never given to another file in the life of a [`super::Symbolizer`], which caches by it.
    pub id: u32,
    /// For messages and to find a separate debug file; never opened.
    pub path: String,
    pub source: Source,
}

impl ExecutableFile {
    pub fn new(id: u32, path: impl Into<String>, file: Arc<File>) -> Self {
        Self {
            id,
            path: path.into(),
            source: Source::File(file),
        }
    }
}

impl Source {
    pub(super) fn len(&self) -> Result<u64, SymbolError> {
        match self {
            Self::File(file) => match file.metadata() {
                Ok(metadata) => Ok(metadata.len()),
                Err(cause) => Err(SymbolError::Read {
                    what: "the file's size",
                    cause,
                }),
            },
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// `size` bytes at `offset`. Nothing is allocated for what the file does not have.
    pub(super) fn read(
        &self,
        what: &'static str,
        offset: u64,
        size: u64,
    ) -> Result<Vec<u8>, SymbolError> {
        let outside = SymbolError::OutOfBounds { what };
        let Some(end) = offset
            .checked_add(size)
            .filter(|_| size <= isize::MAX as u64)
        else {
            return Err(outside);
        };
        if end > self.len()? {
            return Err(outside);
        }
        match self {
            Self::File(file) => {
                let mut bytes = vec![0; size as usize];
                match file.read_exact_at(&mut bytes, offset) {
                    Ok(()) => Ok(bytes),
                    Err(cause) => Err(SymbolError::Read { what, cause }),
                }
            }
            Self::Bytes(all) => Ok(all[offset as usize..end as usize].to_vec()),
        }
    }
}
