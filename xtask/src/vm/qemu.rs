//! Runs the machine until it powers off, within a time limit.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const QEMU: &str = "qemu-system-x86_64";

pub struct Machine<'a> {
    pub kernel: &'a Path,
    pub initramfs: &'a Path,
    pub memory_mb: u32,
    pub timeout: Duration,
}

/// How the run ended, as far as the host can see.
#[derive(Debug, PartialEq)]
pub enum End {
    PoweredOff(Duration),
    TimedOut(Duration),
}

impl Machine<'_> {
    /// The serial console's output goes to `log`.
    pub fn run(&self, log: &Path) -> Result<End> {
        let console =
            File::create(log).with_context(|| format!("{} can't be written", log.display()))?;
        let errors = console.try_clone()?;
        let start = Instant::now();
        let child = self
            .command()
            .stdin(Stdio::null())
            .stdout(console)
            .stderr(errors)
            .spawn();
        let mut child = match child {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                bail!("{QEMU} is not installed; run tests/setup.sh as root")
            }
            other => other.with_context(|| format!("{QEMU} can't be started"))?,
        };
        loop {
            if let Some(status) = child.try_wait()? {
                if !status.success() {
                    bail!(
                        "{QEMU} ended with {status}; its own message is in {}",
                        log.display()
                    );
                }
                return Ok(End::PoweredOff(start.elapsed()));
            }
            if start.elapsed() > self.timeout {
                child.kill()?;
                child.wait()?;
                return Ok(End::TimedOut(self.timeout));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Software emulation on purpose, even where there is /dev/kvm: it behaves the same on every machine. Two CPUs, since
    /// per-CPU maps and rings hide mistakes on one. `tsc=unstable`: emulated counters drift apart.
    fn command(&self) -> Command {
        let mut command = Command::new(QEMU);
        command
            .args([
                "-accel",
                "tcg",
                "-cpu",
                "qemu64",
                "-smp",
                "2",
                "-m",
                &self.memory_mb.to_string(),
            ])
            .args([
                "-nodefaults",
                "-no-reboot",
                "-display",
                "none",
                "-serial",
                "stdio",
            ])
            .arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.initramfs)
            .args([
                "-append",
                "console=ttyS0 panic=-1 rdinit=/init quiet mitigations=off tsc=unstable",
            ]);
        command
    }
}
