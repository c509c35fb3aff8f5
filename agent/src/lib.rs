//! Strata's agent. The rooms, in the order in which a sample passes through them:
//!
//! - [`bpf`]: loads the kernel side, fills its maps, decodes its records. The only room that knows
//!   aya.
//! - [`process`]: processes and the files that they execute.
//! - [`unwind`]: `.eh_frame` and `.debug_frame` to unwind rows. Bytes in, rows out.
//! - [`python`]: which interpreter a file holds, where it keeps its state, line tables.
//! - [`profile`]: the interned model that all others write to or read from.
//! - [`symbols`]: names of native, kernel and JIT code.
//! - [`session`]: a recording: takes records, reads the files that they speak of, makes the profile.
//! - [`mod@format`]: one file an output format: profile in, bytes out.
//! - [`metadata`]: the container and service that a process belongs to.
//! - [`store`]: what the agent recorded, on disk within bounds; the exporters' spool.
//! - [`export`]: ships it: one file a protocol.
//! - [`telemetry`]: the agent's own metrics, health and state.
//! - [`doctor`]: what works on this machine and what is missing, by asking the rooms above.
//! - [`cli`]: one file a subcommand.

pub mod bpf;
pub mod cli;
pub mod doctor;
pub mod export;
pub mod format;
pub mod metadata;
pub mod process;
pub mod profile;
pub mod python;
pub mod session;
pub mod store;
pub mod symbols;
pub mod telemetry;
pub mod unwind;
