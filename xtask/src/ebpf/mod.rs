//! The eBPF object. It is committed, so that a user needs stable Rust alone; what is here makes it and proves that it
//! belongs to its sources.
//!
//! - `sources`: which files make the object, and one hash over them
//! - `toolchain`: the one compiler that makes these bytes, and whether it is on this machine
//! - `build`: sources + toolchain → object; `wrapper` keeps the machine's paths out of it, `object` drops its DWARF and
//!   writes into it what it was made from
//! - `check`: is the committed object the one that its sources make?
//! - `lint`: clippy, by the pinned toolchain, over what the workspace's clippy can't compile
//! - `setup`: brings the toolchain to a new machine; `debian` fetches the part that rustup may not have there

mod build;
mod check;
mod debian;
mod lint;
mod object;
mod setup;
mod sources;
mod toolchain;
pub mod wrapper;

use anyhow::Result;

use crate::repository::Repository;

#[derive(clap::Args)]
pub struct Args {
    /// Change nothing: fail unless the committed object belongs to its sources.
    #[arg(long, group = "instead")]
    check: bool,
    /// Run clippy over the kernel side; it needs the pinned compiler.
    #[arg(long, group = "instead")]
    lint: bool,
    /// Install what building the object needs.
    #[arg(long, group = "instead")]
    setup: bool,
}

pub fn run(repository: &Repository, args: &Args) -> Result<()> {
    if args.setup {
        setup::run(repository)
    } else if args.check {
        check::run(repository)
    } else if args.lint {
        lint::run(repository)
    } else {
        build::run(repository)
    }
}
