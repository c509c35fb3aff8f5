//! Unwind tables: bytes of an ELF file in, unwind rows out. No file is opened here and no other
//! room is known.
//!
//! ```text
//! elf, segments       headers; where file offsets and svmas meet
//!   └─ sources        where .eh_frame and .debug_frame are
//!        └─ frames    their entries, one function's at a time
//!             └─ functions    every row of `program` through `rule` into `rules`
//!                  └─ spans, stubs   which function has which bytes; code that nothing describes
//!                       └─ table     sorted rows and their index
//! walk                a whole stack by such rules, for samples that came before their rows
//! ```
//!
//! Everything that is read is the file's own claim. Sums are checked, sizes and work are capped,
//! and what a rule cannot say becomes a rule that says so.

mod build;
mod elf;
mod error;
mod expression;
mod frames;
mod functions;
mod machine;
mod program;
mod rule;
mod rules;
mod segments;
mod sources;
mod spans;
mod stubs;
mod table;
mod walk;

pub use error::UnwindError;
pub use machine::Machine;
pub use segments::{Segment, Segments};
pub use table::Table;
pub use walk::{Place, Space, StackSlice, Walk, walk};

use elf::Header;

/// The unwind table of an executable or library: ELF, 64 bits, x86_64 or aarch64.
///
/// Makes 13 to 20 million rows a second on a busy virtual machine (libpython 3.11: 57,000 rows in
/// 3 ms), where gimli's table alone, with nothing made of its rows, makes 19 to 27 million. Touches
/// headers and call frame information only, never the code, except for the first bytes of an
/// x86_64 `.plt`.
pub fn build(file: &[u8]) -> Result<Table, UnwindError> {
    build::build(&Header::parse(file)?, false)
}

/// The unwind table of a vDSO image, whose offsets are those in the image.
pub fn build_vdso(image: &[u8]) -> Result<Table, UnwindError> {
    build::build(&Header::parse(image)?, true)
}

/// The sections that [`build`] takes a file's rows from.
pub fn sources(file: &[u8]) -> Result<Vec<&'static str>, UnwindError> {
    Ok(build::sources(&Header::parse(file)?))
}

/// The machine that a file is for.
pub fn machine(file: &[u8]) -> Result<Machine, UnwindError> {
    Ok(Header::parse(file)?.machine)
}

#[cfg(test)]
mod tests;
