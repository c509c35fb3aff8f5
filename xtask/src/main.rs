//! Chores of this repository, run as `cargo xtask <chore>`. Each chore is a module with an `Args` and a `run`.

mod bench;
mod check;
mod cluster;
mod dist;
mod ebpf;
mod fuzz;
mod man;
mod outage;
mod process;
mod repository;
mod scratch;
mod soak;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::repository::Repository;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of this repository")]
struct Xtask {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Build the eBPF object that is committed beside the agent, or prove that it belongs to its sources.
    Ebpf(ebpf::Args),
    /// Enforce the repository's own rules.
    Check(check::Args),
    /// Run the fuzz targets, or show that each finds the bug planted in it.
    Fuzz(fuzz::Args),
    /// Build what hosts install: a tarball and a Debian package, with a program that needs no library.
    Dist(dist::Args),
    /// Write the manual's pages.
    Man(man::Args),
    /// Boot an older kernel under QEMU and prove that strata does its work there.
    Vm(vm::Args),
    /// Take the Collector away for ten minutes, under load, and prove that nothing is lost.
    Outage(outage::Args),
    /// Run the agent while everything comes and goes, and prove that nothing of it grows.
    Soak(soak::Args),
    /// Bring up a real Kubernetes of one node, and end it.
    Cluster(cluster::Args),
    /// Prove on such a Kubernetes that every sample has its pod's name.
    #[command(name = "e2e-k8s")]
    E2eK8s(cluster::story::Args),
    /// Measure what Strata costs, and what other profilers cost.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    // cargo calls the compiler's wrapper with the compiler's own arguments, so this comes before ours are parsed.
    if let Some(code) = ebpf::wrapper::run_if_asked() {
        return code;
    }
    let chore = Xtask::parse().chore;
    let result = Repository::find().and_then(|repository| match chore {
        Chore::Ebpf(args) => ebpf::run(&repository, &args),
        Chore::Check(args) => check::run(&repository, &args),
        Chore::Fuzz(args) => fuzz::run(&repository, &args),
        Chore::Dist(args) => dist::run(&repository, &args),
        Chore::Man(args) => man::run(&repository, &args),
        Chore::Vm(args) => vm::run(&repository, &args),
        Chore::Outage(args) => outage::run(&repository, &args),
        Chore::Soak(args) => soak::run(&repository, &args),
        Chore::Cluster(args) => cluster::run(&repository, &args),
        Chore::E2eK8s(args) => cluster::story::run(&repository, &args),
        Chore::Bench(args) => bench::run(&repository, &args),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
