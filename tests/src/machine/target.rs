//! A workload while it runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::shown;

/// How long a workload may take to get ready, and to end.
const PATIENCE: Duration = Duration::from_secs(40);

/// A started workload. Killed when dropped.
pub struct Target {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
    what: String,
    /// As this machine's first process id name space counts.
    pub pid: u32,
}

impl Target {
    /// Starts a workload and waits until it says `ready`.
    pub fn start(command: &mut Command) -> Result<Self, String> {
        let mut target = Self::spawn(command)?;
        match target.line_with("ready") {
            Ok(_) => Ok(target),
            Err(error) => Err(target.explain(&error)),
        }
    }

    /// Starts a workload without waiting for anything.
    pub fn spawn(command: &mut Command) -> Result<Self, String> {
        let what = shown(command);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| format!("{what} can't be started: {error}"))?;
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().ok_or("no pipe from the workload")?);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut said = child.stderr.take().ok_or("no pipe from the workload")?;
        let errors = std::thread::spawn(move || {
            let mut text = Vec::new();
            // What can't be read is not there to be shown.
            let _ = said.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let pid = child.id();
        Ok(Self {
            input: child.stdin.take(),
            child,
            lines,
            errors: Some(errors),
            what,
            pid,
        })
    }

    /// The next line that begins so.
    pub fn line_with(&mut self, start: &str) -> Result<String, String> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self
                .lines
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(line) if line.starts_with(start) => return Ok(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("`{}` did not say `{start}` in time", self.what));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("`{}` ended without saying `{start}`", self.what));
                }
            }
        }
    }

    /// The lines up to the one that begins so.
    pub fn lines_to(&mut self, end: &str) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line_with("")?;
            if line.starts_with(end) {
                return Ok(lines);
            }
            lines.push(line);
        }
    }

    /// Says something to the workload.
    pub fn tell(&mut self, line: &str) -> Result<(), String> {
        let input = self
            .input
            .as_mut()
            .ok_or("the workload's input is closed")?;
        writeln!(input, "{line}")
            .map_err(|error| format!("`{}` does not listen: {error}", self.what))
    }

    /// Asks the workload to end, and returns the truth that it then prints.
    pub fn stop(mut self) -> Result<String, String> {
        signal(self.pid, libc::SIGTERM);
        self.truth()
    }

    /// Waits for the truth, which is the last thing printed.
    pub fn truth(&mut self) -> Result<String, String> {
        let truth = self.line_with("{").map_err(|error| self.explain(&error))?;
        self.wait()?;
        Ok(truth)
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> Result<ExitStatus, String> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if Instant::now() > until => {
                    return Err(format!("`{}` does not end", self.what));
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => return Err(format!("`{}` can't be waited for: {error}", self.what)),
            }
        }
    }

    /// An error with what the workload itself said about it.
    fn explain(&mut self, error: &str) -> String {
        let _ = self.child.kill();
        let said = self
            .errors
            .take()
            .and_then(|errors| errors.join().ok())
            .unwrap_or_default();
        format!("{error}\n{}", said.trim())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process that this one started.
pub fn signal(pid: u32, number: i32) {
    if let Ok(pid) = i32::try_from(pid) {
        // SAFETY: kill takes two numbers and touches no memory of ours.
        unsafe { libc::kill(pid, number) };
    }
}
