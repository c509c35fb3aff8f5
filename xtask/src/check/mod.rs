//! The repository's own rules, enforced. Each rule looks at a `Tree` and gives what it found; each has tests that plant a
//! violation and see it found.
//!
//! - `arrows`: which room of the agent may use which
//! - `memory`: who may read another process's memory; that nobody stops or writes to one
//! - `pure`: which rooms do no I/O
//! - `common`: the contract between kernel and agent depends on nothing
//! - `sizes`: a file is one concept
//! - `docs`: flags in the documentation exist
//! - `hosts`: no file names a package registry
//!
//! They read Rust as text (`source`: comments, literals and tests told apart; `paths`: who names what), which is quick
//! and good enough to keep honest people from mistakes.

mod arrows;
mod common;
mod docs;
mod flags;
mod hosts;
mod memory;
mod paths;
mod pure;
mod room;
mod sizes;
mod source;
mod tree;

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::repository::Repository;
use tree::Tree;

#[derive(clap::Args)]
pub struct Args {}

/// One place where a rule is broken. The message says what to do instead.
#[derive(Debug)]
struct Violation {
    file: PathBuf,
    line: usize,
    message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

type Rule = fn(&Tree) -> Result<Vec<Violation>>;

pub fn run(repository: &Repository, _: &Args) -> Result<()> {
    let tree = Tree::of_repository(repository.root())?;
    let machine_hosts = hosts::of_this_machine();
    let rules: &[Rule] = &[
        arrows::check,
        memory::check,
        pure::check,
        common::check,
        sizes::check,
        docs::check,
    ];
    let mut violations = hosts::check(&tree, &machine_hosts)?;
    for rule in rules {
        violations.extend(rule(&tree)?);
    }
    if violations.is_empty() {
        println!("{} files keep the repository's rules.", tree.files().len());
        return Ok(());
    }
    violations.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    for violation in &violations {
        println!("{violation}");
    }
    bail!(
        "the repository's rules are broken in {} places; each is listed above",
        violations.len()
    )
}
