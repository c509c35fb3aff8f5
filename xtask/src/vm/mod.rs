//! `cargo xtask vm KERNEL`: does the release binary do its work on that kernel?
//!
//! Boots one of Debian's kernels under QEMU's software emulation, without disks or network: an initramfs made here holds
//! busybox, the `strata` binary, a C and a Python program with known stacks, and a script that profiles them and prints
//! the result on the serial console. The host reads the console and judges.
//!
//! This proves that the eBPF programs load and walk on an older kernel. It measures nothing: emulation is ten times slower
//! than the machine.

mod build;
pub use build::strata as build_strata;
mod console;
mod cpio;
mod folded;
mod initramfs;
mod kernel;
mod libraries;
mod qemu;
mod verdict;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use console::Console;
use kernel::Kernel;

use crate::repository::Repository;

/// How long the guest profiles, and how often. Long enough for some hundred samples of each program at a tenth of speed.
const RECORD_SECONDS: u32 = 10;
const RECORD_HZ: u32 = 99;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Series of a kernel that tests/setup.sh has fetched (5.10, 6.12), or the path of a vmlinuz
    kernel: String,
    /// Memory of the guest, in MB
    #[arg(long, value_name = "MB", default_value_t = 1024)]
    memory: u32,
    /// Give up when the guest has not powered off by then
    #[arg(long, value_name = "SECS", default_value_t = 300)]
    timeout: u64,
    /// Use this `strata` instead of building one
    #[arg(long, value_name = "PATH", conflicts_with = "boot_only")]
    strata: Option<PathBuf>,
    /// Leave strata out: prove that the kernel boots and that both programs run in it
    #[arg(long)]
    boot_only: bool,
    /// Keep the initramfs after a run that passed
    #[arg(long)]
    keep: bool,
}

/// Boots of which the guest's kernel died.
///
/// QEMU 7.2's emulation of x86_64 loses interrupt frames now and then, in the kernels' first two seconds above all and
/// without any `strata` in the guest (`--boot-only` shows it: about every second boot of 6.12). Such a boot proves nothing
/// and is made again. A kernel that dies once `strata` has begun is suspect, and gets fewer chances.
#[derive(Default)]
struct Deaths {
    before: u32,
    during: u32,
}

const BOOTS: u32 = 12;
const BOOTS_WITH_STRATA: u32 = 2;

impl Deaths {
    /// Whether the boot that printed this counts for nothing.
    fn boot_again(&mut self, console: &str) -> bool {
        let died = ["Kernel panic", "Oops:", "BUG:"]
            .iter()
            .any(|mark| console.contains(mark));
        if !died || console.contains("@@done") {
            return false;
        }
        if console.contains("@@recording") {
            self.during += 1;
            self.during <= BOOTS_WITH_STRATA
        } else {
            self.before += 1;
            self.before <= BOOTS
        }
    }

    fn print(&self, label: &str) {
        if self.before + self.during > 0 {
            println!(
                "  the kernel of {label} died in the emulator: {} times before strata was started, {} times after",
                self.before, self.during
            );
        }
    }
}

pub fn run(repository: &Repository, args: &Args) -> Result<()> {
    let kernel = Kernel::find(&args.kernel)?;
    let strata = match (&args.strata, args.boot_only) {
        (Some(path), _) => Some(path.clone()),
        (None, true) => None,
        (None, false) => Some(build::strata(repository)?),
    };

    let work = repository.target().join("vm").join(kernel.label());
    fs::create_dir_all(&work).with_context(|| format!("{} can't be made", work.display()))?;
    let initramfs = work.join("initramfs.cpio");
    let image = initramfs::Contents {
        strata,
        chain: build::chain(repository, &work)?,
        without_admin: build::without_admin(repository, &work)?,
        seconds: RECORD_SECONDS,
        hz: RECORD_HZ,
    }
    .pack()
    .context("the guest's initramfs can't be put together")?;
    fs::write(&initramfs, &image)
        .with_context(|| format!("{} can't be written", initramfs.display()))?;

    eprintln!(
        "vm {}: booting, {} MB of initramfs",
        kernel.label(),
        image.len() >> 20
    );
    let log = work.join("console.log");
    let machine = qemu::Machine {
        kernel: &kernel.image,
        initramfs: &initramfs,
        memory_mb: args.memory,
        timeout: Duration::from_secs(args.timeout),
    };
    let mut deaths = Deaths::default();
    let (text, end) = loop {
        let end = machine.run(&log)?;
        let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        if !deaths.boot_again(&text) {
            break (text, end);
        }
    };
    deaths.print(&kernel.label());
    let console = Console::parse(&text);
    let verdict = verdict::judge(&console, &kernel, args.boot_only, &end);
    print!("{verdict}");
    verdict.into_result().with_context(|| {
        format!(
            "vm {} failed; the guest's console is {}",
            kernel.label(),
            log.display()
        )
    })?;
    if !args.keep {
        // A failed run keeps it, to be booted again by hand.
        fs::remove_file(&initramfs)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kernels_that_died_are_booted_again_and_not_for_ever() {
        let mut deaths = Deaths::default();
        assert!(!deaths.boot_again("@@begin facts\n@@done"));
        assert!(!deaths.boot_again("nothing but silence"));
        let early = "[ 1.6] Kernel panic - not syncing: Fatal exception in interrupt";
        assert!((0..BOOTS).all(|_| deaths.boot_again(early)));
        assert!(!deaths.boot_again(early));
        let late = format!("@@recording\n{early}");
        assert!((0..BOOTS_WITH_STRATA).all(|_| deaths.boot_again(&late)));
        assert!(!deaths.boot_again(&late));
    }
}
