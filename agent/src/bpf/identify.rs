//! The kernel side's identity of an open file.

use std::fs::File;

use agent_common::executable::{FileId, Identified};
use aya::maps::{Array, MapData};
use aya::programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _};
use memmap2::MmapOptions;

use super::load::{Loaded, access};
use super::load_error::LoadError;
use super::plain::Plain;

const PROGRAM: &str = "identify_file";

/// Asks the kernel side.
pub struct Identifier(Array<MapData, Plain<Identified>>);

impl Identifier {
    pub fn new(loaded: &mut Loaded) -> Result<Self, LoadError> {
        loaded.load_raw(PROGRAM)?;
        let answer = Array::try_from(loaded.take("IDENTIFIED")?).map_err(access("IDENTIFIED"))?;
        Ok(Self(answer))
    }

    /// Under which identity the kernel side meets a file, whatever `fstat` says of it.
    pub fn identify(&self, loaded: &Loaded, file: &File) -> Option<FileId> {
        // SAFETY: the mapping is never looked into, so it does not matter who changes the file.
        let mapping = unsafe { MmapOptions::new().len(1).map(file) }.ok()?;
        let avma = mapping.as_ptr() as u64;
        let program: &RawTracePoint = loaded.program(PROGRAM)?.try_into().ok()?;
        let mut options = RawTracePointRunOptions::default();
        options.args[0] = avma;
        program.test_run(options).ok()?;
        let answer = self.0.get(&0, 0).ok()?.0;
        (answer.avma == avma).then_some(answer.file)
    }
}
