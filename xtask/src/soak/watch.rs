//! What an agent holds at a moment.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

use crate::bench::proc::{Ebpf, status_kib};

/// Longest answer of the agent that is believed.
const ANSWER: u64 = 1 << 20;

/// Clock ticks of `/proc` in a second (USER_HZ), on all machines.
const TICKS: f64 = 100.0;

#[derive(Clone, Debug, Default, Serialize)]
pub struct Reading {
    /// Since the agent was started.
    pub seconds: f64,
    pub anonymous_kib: u64,
    pub descriptors: u64,
    pub threads: u64,
    /// Of the agent's own threads.
    pub cpu_seconds: f64,
    /// Of its eBPF programs, which run in others' time.
    pub ebpf_seconds: f64,
    /// Memory of its eBPF maps.
    pub map_kib: u64,
    /// Entries or bytes of what the agent says is bounded, and its bound (0: none told).
    pub tables: BTreeMap<String, (u64, u64)>,
}

impl Reading {
    /// `log`: what the agent said so far, its address among it.
    pub fn take(pid: u32, since: Duration, log: &str) -> Result<Self> {
        let ebpf = Ebpf::of(pid)?;
        let folder = format!("/proc/{pid}/fd");
        let descriptors = fs::read_dir(&folder)
            .with_context(|| format!("{folder} can't be read"))?
            .count() as u64;
        Ok(Self {
            seconds: since.as_secs_f64(),
            anonymous_kib: status_kib(pid, "RssAnon")?,
            descriptors,
            threads: status_kib(pid, "Threads")?,
            cpu_seconds: cpu_seconds(pid)?,
            ebpf_seconds: ebpf.run_ns as f64 * 1e-9,
            map_kib: ebpf.map_bytes / 1024,
            tables: address(log).and_then(tables).unwrap_or_default(),
        })
    }

    pub fn head() -> String {
        format!(
            "{:>6} {:>10} {:>9} {:>6} {:>7} {:>8} {:>8}  tables",
            "s", "RssAnon", "maps", "files", "threads", "CPU", "eBPF"
        )
    }

    /// Its line in the table; shares of a core are since the reading `before`.
    pub fn line(&self, before: Option<&Self>) -> String {
        let zero = Self::default();
        let before = before.unwrap_or(&zero);
        let share = |now: f64, then: f64| (now - then) * 100.0 / (self.seconds - before.seconds);
        let tables: Vec<String> = self
            .tables
            .iter()
            .map(|(name, (used, _))| format!("{name} {used}"))
            .collect();
        format!(
            "{:>6.0} {:>6} KiB {:>5} KiB {:>6} {:>7} {:>6.2} % {:>6.2} %  {}",
            self.seconds,
            self.anonymous_kib,
            self.map_kib,
            self.descriptors,
            self.threads,
            share(self.cpu_seconds, before.cpu_seconds),
            share(self.ebpf_seconds, before.ebpf_seconds),
            tables.join(", ")
        )
    }
}

/// CPU time of a process, threads that ended among it, to the tick.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("{path} can't be read"))?;
    // The name may hold anything; what follows its bracket is numbers.
    let rest = text.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = rest
        .split_ascii_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|word| word.parse::<u64>().ok())
        .sum();
    Ok(ticks as f64 / TICKS)
}

/// Where the agent serves its state, by its log.
fn address(log: &str) -> Option<&str> {
    let end = log.find("metrics, health and state are served")?;
    // The address stands beside the message, before or after it by the log's form.
    let line = &log[log[..end].rfind('\n').map_or(0, |at| at + 1)..];
    let line = line.lines().next()?;
    let at = line.find("127.0.0.1:")?;
    let rest = &line[at..];
    let end = rest
        .find(|it: char| !it.is_ascii_digit() && it != '.' && it != ':')
        .unwrap_or(rest.len());
    Some(&rest[..end])
}

fn tables(address: &str) -> Option<BTreeMap<String, (u64, u64)>> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!(
        "GET /debug/status?format=json HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.take(ANSWER).read_to_string(&mut answer).ok()?;
    let body = answer.split_once("\r\n\r\n")?.1;
    let value: Value = serde_json::from_str(body).ok()?;
    let tables = value["tables"].as_array()?.iter().filter_map(|table| {
        let name = table["name"].as_str()?.to_owned();
        Some((name, (table["used"].as_u64()?, table["most"].as_u64()?)))
    });
    Some(tables.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_either_form_of_the_log() {
        let text =
            "INFO sampling\nINFO metrics, health and state are served address=127.0.0.1:40123\n";
        assert_eq!(address(text), Some("127.0.0.1:40123"));
        let json =
            "{\"address\":\"127.0.0.1:9\",\"message\":\"metrics, health and state are served\"}";
        assert_eq!(address(json), Some("127.0.0.1:9"));
        assert_eq!(address("nothing"), None);
    }

    #[test]
    fn our_own_reading_is_taken() {
        let pid = std::process::id();
        let reading = Reading::take(pid, Duration::from_secs(1), "").unwrap();
        assert!(reading.anonymous_kib > 0 && reading.descriptors >= 3 && reading.threads >= 1);
        assert_eq!(reading.map_kib, 0);
        assert!(reading.line(None).contains("KiB"));
    }
}
