//! A real Prometheus, and promtool. `tests/setup.sh` brings them.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Problem;
use super::http::{free_port, get, quoted};
use super::readers::brought;

/// How long it may take to start, and until it has scraped.
const PATIENCE: Duration = Duration::from_secs(60);

/// What promtool finds wrong with metrics in the text format; empty: nothing.
pub fn promtool(metrics: &str) -> Result<String, Problem> {
    let why = |error: std::io::Error| format!("promtool: {error}");
    let mut child = Command::new(brought("bin/promtool")?)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(why)?;
    if let Some(mut input) = child.stdin.take() {
        // One that has seen enough closes.
        let _ = input.write_all(metrics.as_bytes());
    }
    let output = child.wait_with_output().map_err(why)?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    Ok(match (output.status.success(), said.is_empty()) {
        (false, true) => format!("promtool ended with {}", output.status),
        _ => said,
    })
}

/// What promtool says of a configuration that it refuses.
pub fn check_config(configuration: &str, folder: &Path) -> Result<Result<(), String>, Problem> {
    let why = |error: std::io::Error| format!("promtool: {error}");
    std::fs::create_dir_all(folder).map_err(why)?;
    let file = folder.join("prometheus.yml");
    std::fs::write(&file, configuration).map_err(why)?;
    let output = Command::new(brought("bin/promtool")?)
        .args(["check", "config"])
        .arg(file)
        .output()
        .map_err(why)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(match output.status.success() {
        true => Ok(()),
        false => Err(said),
    })
}

/// A Prometheus that scrapes one port every second. Killed when dropped.
pub struct Prometheus {
    child: Child,
    port: u16,
}

impl Prometheus {
    /// Starts one, and waits until it has scraped twice.
    pub fn start(target: u16, folder: &Path) -> Result<Self, Problem> {
        let configuration = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs: [{{job_name: strata, static_configs: [{{targets: [\"127.0.0.1:{target}\"]}}]}}]\n"
        );
        let mut prometheus = Self::with(&configuration, folder)?;
        prometheus.wait("count_over_time(up[1m]) >= 2")?;
        Ok(prometheus)
    }

    /// Starts one with this configuration, and waits until it answers.
    pub fn with(configuration: &str, folder: &Path) -> Result<Self, Problem> {
        let program = brought("bin/prometheus")?;
        let why = |error: std::io::Error| format!("Prometheus can't be started: {error}");
        std::fs::create_dir_all(folder).map_err(why)?;
        let port = free_port()?;
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, configuration).map_err(why)?;
        let child = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("log")).map_err(why)?)
            .spawn()
            .map_err(why)?;
        let mut prometheus = Self { child, port };
        prometheus.wait("vector(1)")?;
        Ok(prometheus)
    }

    /// Waits until a query has a result.
    pub fn wait(&mut self, expression: &str) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            if self.query(expression).is_ok_and(|found| !found.is_empty()) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(format!("Prometheus has no result for {expression} in time"))
    }

    /// The series that a query has as its result.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let answer = self.ask(&format!("/api/v1/query?query={}", quoted(expression)))?;
        match &answer["data"]["result"] {
            Value::Array(found) => Ok(found.clone()),
            other => Err(format!("{expression}: {other}")),
        }
    }

    /// An answer of its interface.
    pub fn ask(&self, path: &str) -> Result<Value, String> {
        let answer = get(self.port, path, "application/json")?;
        let value: Value = serde_json::from_str(&answer.body)
            .map_err(|error| format!("{path}: {error}: {}", answer.body))?;
        if value["status"] == "success" {
            return Ok(value);
        }
        Err(format!("{path}: {}: {}", answer.status, value["error"]))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
