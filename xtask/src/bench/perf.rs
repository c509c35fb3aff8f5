//! `perf record`, begun switched off, and switched by its control FIFO.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;

use super::child::{Place, Running, quiet};
use super::toggle::Switch;

/// What perf answers when it has done as told: a C string with its end.
const ACK: &[u8] = b"ack\n\0";

pub struct Perf {
    running: Running,
    control: File,
    answers: File,
    output: PathBuf,
}

impl Perf {
    /// `graph`: the argument of --call-graph.
    pub fn start(pid: u32, rate: u32, graph: &str, work: &Path) -> Result<Self> {
        let (control, answers) = (fifo(&work.join("control"))?, fifo(&work.join("answers"))?);
        let output = work.join("perf.data");
        let mut command = quiet("perf");
        command.args(["record", "-e", "cpu-clock", "-F", &rate.to_string()]);
        command.args(["--call-graph", graph, "-p", &pid.to_string(), "-D", "-1"]);
        // Else perf goes to each CPU to switch its events, and waits for the target's.
        command.arg("--per-thread");
        command.arg("--control").arg(format!(
            "fifo:{},{}",
            work.join("control").display(),
            work.join("answers").display()
        ));
        command.arg("-o").arg(&output);
        command.stderr(File::create(work.join("perf.log"))?);
        let running =
            Running::start(&mut command, Place::Aside).context("tests/setup.sh installs perf")?;
        Ok(Self {
            running,
            control,
            answers,
            output,
        })
    }

    /// Ends it; where its data are, and how many samples it says to have.
    pub fn finish(mut self) -> Result<(PathBuf, u64)> {
        self.running.end(Signal::INT, Duration::from_secs(60))?;
        let said = std::fs::read_to_string(self.output.with_file_name("perf.log"))?;
        let samples = captured(&said).with_context(|| format!("perf took no samples: {said}"))?;
        Ok((self.output, samples))
    }

    fn tell(&mut self, word: &str) -> Result<()> {
        writeln!(self.control, "{word}").context("perf does not listen")?;
        let until = Instant::now() + Duration::from_secs(10);
        let mut answer = Vec::new();
        // Opened without blocking: perf may be gone.
        while !answer.ends_with(ACK) {
            let mut bytes = [0; 16];
            match self.answers.read(&mut bytes) {
                Ok(count) => answer.extend_from_slice(bytes.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("perf's answer can't be read"),
            }
            ensure!(!self.running.has_ended()?, "perf ended: see perf.log");
            if Instant::now() > until {
                bail!("perf does not answer");
            }
            thread::sleep(Duration::from_micros(500));
        }
        Ok(())
    }
}

impl Switch for Perf {
    fn on(&mut self) -> Result<()> {
        self.tell("enable")
    }

    fn off(&mut self) -> Result<()> {
        self.tell("disable")
    }
}

/// A new FIFO, open at both ends so that opening it waits for nobody.
fn fifo(path: &Path) -> Result<File> {
    let _ = std::fs::remove_file(path);
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        .with_context(|| format!("{} can't be made", path.display()))?;
    Ok(OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
        .open(path)?)
}

/// `[ perf record: Captured and wrote 0.113 MB perf.data (1234 samples) ]`
pub fn captured(said: &str) -> Option<u64> {
    let (before, _) = said.split_once(" samples) ]")?;
    before
        .rsplit('(')
        .next()?
        .trim_start_matches('~')
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::captured;

    #[test]
    fn the_number_of_samples_is_read_from_what_perf_says() {
        let said = "Events disabled\n[ perf record: Woken up 3 times to write data ]\n\
                    [ perf record: Captured and wrote 0.113 MB /x/perf.data (1234 samples) ]\n";
        assert_eq!(captured(said), Some(1234));
        assert_eq!(
            captured("[ perf record: Captured and wrote 0.002 MB pd ]"),
            None
        );
    }
}
