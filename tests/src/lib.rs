//! What the end-to-end tests are made of.
//!
//! A test starts a program of `workloads/`, records it with the `strata` binary, and compares the recording with what the
//! program says of itself, or with what an independent tool says. The parts, in the order in which data flows through them:
//!
//! * [`machine`]: the only module that touches the machine. Starts programs, compiles them, runs `strata`, asks `nm`.
//! * [`folded`], [`stats`]: a recording as data.
//! * The checks, each pure and each with a test of its own: [`legal`] (Python's call chains with their lines), [`lines`]
//!   (on which lines leaves are), [`callbacks`] (C between Python frames), [`orders`] (native call chains), [`shares`],
//!   [`symbols`] (names against the symbol table), [`roots`], [`depth`]. All count with [`verdict`]; the denominator is
//!   what the kernel side was asked for, so that a lost sample is a wrong one.
//! * [`faults`]: recordings spoiled on purpose. Each check has to fail on them, or it proves nothing.

pub mod callbacks;
pub mod depth;
pub mod faults;
pub mod folded;
pub mod legal;
pub mod lines;
pub mod machine;
pub mod names;
pub mod orders;
pub mod readers;
pub mod roots;
pub mod shares;
pub mod stats;
pub mod symbols;
pub mod verdict;
