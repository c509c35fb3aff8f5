//! Why there are no names.

use std::io;

/// Why a file, the kernel or a perf map gives no names, or fewer than it might.
#[derive(Debug, thiserror::Error)]
pub enum SymbolError {
    #[error("Reading {what} failed: {cause}.")]
    Read {
        what: &'static str,
        cause: io::Error,
    },
    #[error("The file is not an ELF file of a 64-bit little-endian machine.")]
    NotElf,
    #[error("The file is damaged: {what} lies outside of it.")]
    OutOfBounds { what: &'static str },
    #[error("The file's {what} has {size} bytes; at most {limit} are read.")]
    TooLarge { what: String, size: u64, limit: u64 },
    #[error("The file's {what} could not be decompressed: {cause}.")]
    Compression { what: String, cause: String },
    #[error(
        "The file's debug information is damaged ({0}): lines and inlined functions are missing."
    )]
    Dwarf(#[from] gimli::Error),
    #[error(
        "The file's debug information takes more than {0} s or {1} address ranges to read: lines \
         and inlined functions are missing."
    )]
    DwarfTooCostly(u64, usize),
    #[error(
        "The file's table of Go functions takes too many steps to read: lines and inlined functions \
         are missing at some places. Keep the debug information (no -w) to have them."
    )]
    GoTooCostly,
    #[error("The file's table of Go functions is damaged or of a format that is not known.")]
    GoTable,
    #[error(
        "The file's table of Go functions does not say where the code begins: names can't be given \
         without the symbol table. Link the program without -s."
    )]
    GoText,
    #[error(
        "The kernel hides the addresses of its symbols (kernel.kptr_restrict): run as root, with \
         CAP_SYSLOG in a container, or set kernel.kptr_restrict to 0."
    )]
    KernelRestricted,
    #[error("The perf map is not a regular file of the process's own user.")]
    PerfMapNotTrusted,
}
