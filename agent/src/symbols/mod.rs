//! Names of native, kernel and JIT code.
//!
//! A [`Symbolizer`] answers for an svma of an open file, a kernel address, or an avma of JIT code,
//! off the hot path and long after the sample. A name is that of the symbol whose size covers the
//! address; where there is none, the answer is that there is none. Lines and inlined functions come
//! from debug information, in the file itself or in a separate one with the same build id.
//!
//! Files are read, never mapped, and everything in them is hostile: sizes are checked before they
//! are allocated, loops are bounded, and no parser recurses. That, and names that respect sizes, is
//! why this room reads symbols and DWARF itself instead of leaving it to a library.
//!
//! Knows nothing of processes, samples or profiles.

mod debug_file;
mod decompress;
mod demangle;
mod dwarf;
mod elf;
mod error;
mod gopclntab;
mod identity;
pub mod inventory;
mod kernel;
mod native;
pub mod perf_map;
mod plt;
mod range_map;
mod source;
mod symbol_table;
mod symbolizer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use demangle::demangle;
pub use error::SymbolError;
pub use identity::Identity;
pub use kernel::KernelSymbols;
pub use source::{ExecutableFile, Source};
pub use symbolizer::{Problem, Symbolizer};

/// A function at an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbol {
    /// Demangled.
    pub name: Arc<str>,
    /// As the symbol table has it.
    pub system_name: Arc<str>,
    /// Source file, as the compiler was given it.
    pub file: Option<Arc<str>>,
    /// The line of the address or, where something was inlined, of the call.
    pub line: Option<u32>,
    /// The line on which the function begins.
    pub first_line: Option<u32>,
    /// The compiler put it into the next one of the list.
    pub inlined: bool,
    /// svma (kernel: address) at which its symbol begins.
    pub start: Option<u64>,
    /// The kernel module, or `[kernel]`.
    pub module: Option<Arc<str>>,
}

/// What a [`Symbolizer`] may use.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether to look for lines and inlined functions at all.
    pub debug_information: bool,
    /// Most bytes of one file's debug information, decompressed. Files with more have names from
    /// their symbol tables only.
    pub debug_information_bytes: u64,
    /// Most time for the debug information of one file and batch.
    pub debug_information_time: Duration,
    /// Where separate debug files are.
    pub debug_directories: Vec<PathBuf>,
    /// Symbol tables of more bytes are not kept: they are gone through for each batch.
    pub whole_table_bytes: u64,
    /// Most bytes of what is kept of files. Only the file in use may be larger.
    pub cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            debug_information: true,
            debug_information_bytes: 512 << 20,
            debug_information_time: Duration::from_secs(30),
            debug_directories: vec!["/usr/lib/debug".into()],
            whole_table_bytes: 2 << 20,
            cache_bytes: 256 << 20,
        }
    }
}

#[cfg(test)]
mod oracle;
