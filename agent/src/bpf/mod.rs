//! Loading, attaching and feeding the kernel side, and decoding what it sends. The only room that
//! knows aya; it never names code and never reads another process.

pub mod btf;
pub mod counters;
pub mod cpus;
pub mod decode;
#[cfg(test)]
mod decode_tests;
pub mod identify;
pub mod kernel;
pub mod limits;
pub mod load;
mod load_error;
mod plain;
pub mod policies;
pub mod ring;
mod room;
pub mod table;
pub mod trial;

pub use load::{Event, Link, Loaded, Options};
pub use load_error::LoadError;
