//! Processes and the files that they execute: which process it is (pid and start time), which file
//! is behind a mapping, who descends from whom, who is in which container.
//!
//! The kernel side announces; this room opens what was announced, once, and checks that it is what
//! was meant. It never writes to a process, stops none, and never keeps a bare pid over time.

pub mod cgroup;
pub mod children;
pub mod confine;
mod environment;
pub mod file_id;
pub mod identity;
pub mod list;
pub mod maps;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod open;
pub mod rights;
pub mod stat;
mod sys;

pub use identity::{ProcessError, ProcessHandle, same_start};
