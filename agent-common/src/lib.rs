//! The contract between the kernel side and the agent: record layouts, map keys, unwind rows,
//! offset tables and counter ids. Plain `#[repr(C)]` data and the pure functions that both sides
//! must agree on (stack hash, row search, one unwind step), so that the agent's tests run the
//! very code that the eBPF program runs.
//!
//! Nothing here allocates, panics or does I/O.
#![no_std]

pub mod code;
pub mod counter;
pub mod cut;
pub mod executable;
pub mod filter;
pub mod hash;
pub mod kernel;
pub mod process;
pub mod python;
pub mod record;
pub mod row;
pub mod stack;
pub mod step;
