//! CPython seen from outside: which interpreter a file holds, where it keeps its state, and what
//! is read there.
//!
//! - [`detect()`] looks at a file, [`derive()`] at a live process of it; together they give the
//!   offsets that the kernel side walks with, or say why there are none ([`Unfit`]).
//! - [`lines`] and [`text`] decode what the kernel side ships of a code object.
//! - [`place()`] merges Python frames into the native stack; [`is_internal`] tells which native
//!   frames of the interpreter are its plumbing.
//!
//! Bytes in, values out: another process is read through [`Memory`] alone, and [`reader`] is the
//! only file here that does I/O. Whatever comes from a process or a file may be hostile: all access
//! is checked, all loops end, nothing panics.

mod accessor;
mod derive;
mod detect;
mod elf;
mod eval_loop;
mod internal;
pub mod lines;
mod memory;
mod offsets;
mod place;
pub mod reader;
pub mod text;
mod thread_state;
mod unfit;
mod validate;
mod version;
pub mod walk;

pub use derive::{Findings, derive, derive_with, hold_for_file};
pub use detect::{Binary, detect};
pub use internal::{is_internal, is_loop_callee};
pub use memory::{Memory, ReadError};
pub use offsets::{LayoutSource, named};
pub use place::{Merged, Placed, Role, place};
pub use thread_state::KeySource;
pub use unfit::Unfit;
pub use version::Version;

#[cfg(test)]
mod tests;
