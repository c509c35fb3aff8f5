//! What works on this machine, what is missing, and how to get it.
//!
//! - [`machine`], [`rights`], [`settings`]: what the kernel and this process's rights allow.
//! - [`trial`]: what a recording does first, done for a moment.
//! - [`process`]: what Strata sees in one process; [`files`] and [`interpreter`] are its parts.
//! - [`report`]: what was found, for people and for programs.
//!
//! Nothing is looked at in a way of its own: the rooms that a recording uses are asked the same
//! questions.

pub mod files;
pub mod interpreter;
pub mod machine;
pub mod process;
pub mod report;
pub mod rights;
pub mod settings;
mod status;
pub mod trial;

use report::{Check, Report, State};
use rights::Rights;

use crate::bpf::kernel::release;

/// Looks at the machine, and at these processes.
pub fn examine(pids: &[u32]) -> Report {
    let release = release();
    let rights = Rights::read();
    let mut checks = machine::checks(&release);
    checks.extend(rights.checks(&release));
    checks.extend(settings::checks(&rights));
    let has_types = |check: &Check| check.name != "btf" || check.finding.state == State::Ok;
    let ready = rights.suffice() && checks.iter().all(has_types);
    let tried = trial::run(&rights, ready);
    checks.extend(tried.checks);
    let processes = pids.iter().map(|&pid| process::examine(pid)).collect();
    Report::new(checks, tried.programs, processes)
}
