//! Tests of the room. Each compares with something that was not made by it: gimli's own table and
//! expression evaluator, readelf, glibc's `backtrace`, or what was laid out by hand.

mod assembled;
mod entries;
mod files;
mod fixture;
mod hostile;
mod lookup;
mod machines;
mod oracle;
mod readelf;
mod steps;
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
mod threads;
mod walks;
