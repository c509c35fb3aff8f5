//! A real OpenTelemetry Collector, in both protocols and all compressions.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use super::*;
use crate::export::Compression;

pub(super) struct Collector {
    child: Child,
    pub folder: TempDir,
    pub grpc: u16,
    pub http: u16,
}

impl Collector {
    /// None where there is no Collector, which the output says.
    pub fn start(tls: &str) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let [grpc, http] = [free_port(), free_port()];
        Self::start_in(folder, grpc, http, tls)
    }

    pub fn start_in(folder: TempDir, grpc: u16, http: u16, tls: &str) -> Option<Self> {
        let cache = std::env::var_os("STRATA_TEST_DIR")
            .map_or_else(|| PathBuf::from("/var/cache/strata-test"), PathBuf::from);
        let program = cache.join("bin/otelcol");
        if !program.is_file() {
            let missing = format!("{} is missing; tests/setup.sh brings it", program.display());
            assert!(std::env::var_os("STRATA_CI").is_none(), "{missing}");
            eprintln!("SKIPPED: {missing}");
            return None;
        }
        let settings = format!(
            "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: \"127.0.0.1:{grpc}\"{tls}}}, \
             http: {{endpoint: \"127.0.0.1:{http}\"{tls}}}}}}}}}\n\
             exporters: {{file: {{path: \"{}\", append: true, flush_interval: 20ms}}}}\n\
             service:\n\
             \x20 telemetry: {{metrics: {{level: none}}}}\n\
             \x20 pipelines: {{profiles: {{receivers: [otlp], exporters: [file]}}}}\n",
            written(folder.path()).display()
        );
        let file = folder.path().join("collector.yaml");
        fs::write(&file, settings).unwrap();
        let child = Command::new(program)
            .arg(format!("--config=file:{}", file.display()))
            .arg("--feature-gates=service.profilesSupport")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let collector = Self {
            child,
            folder,
            grpc,
            http,
        };
        for port in [grpc, http] {
            let end = Instant::now() + PATIENCE;
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(Instant::now() < end, "{}", collector.log());
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Some(collector)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The numbers of the messages that it wrote, as it wrote them.
    pub fn received(&self) -> Vec<u64> {
        received(self.folder.path())
    }

    pub fn endpoint(&self, scheme: &str, protocol: Protocol) -> String {
        let port = match protocol {
            Protocol::Grpc => self.grpc,
            _ => self.http,
        };
        format!("{scheme}://localhost:{port}")
    }

    /// Ends it at once, in the middle of what it does.
    pub fn kill(mut self) -> TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.folder, TempDir::new().unwrap())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn received(folder: &Path) -> Vec<u64> {
    let text = fs::read_to_string(written(folder)).unwrap_or_default();
    let mut numbers = Vec::new();
    for line in text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
    {
        let message: serde_json::Value = serde_json::from_str(line).unwrap();
        for resource in message["resourceProfiles"].as_array().unwrap() {
            let profile = &resource["scopeProfiles"][0]["profiles"][0];
            let id = profile["profileId"].as_str().unwrap();
            let number = u128::from_str_radix(id, 16).unwrap();
            let line = &message["dictionary"]["locationTable"][1]["lines"][0]["line"];
            assert_eq!(line.as_str().unwrap(), number.to_string());
            numbers.push(u64::try_from(number).unwrap());
        }
    }
    numbers
}

fn written(folder: &Path) -> PathBuf {
    folder.join("written.json")
}

/// A port that is free now, which nobody else takes in a moment.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[track_caller]
pub(super) fn assert_received(collector: &Collector, expected: &[u64]) {
    let end = Instant::now() + PATIENCE;
    while collector.received().len() < expected.len() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(collector.received(), expected, "{}", collector.log());
}

#[test]
fn it_takes_messages_in_both_protocols_and_all_compressions() {
    let Some(collector) = Collector::start("") else {
        return;
    };
    let mut expected = Vec::new();
    for protocol in [Protocol::Grpc, Protocol::Http] {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let mut destination = to(protocol, &collector.endpoint("http", protocol));
            destination.compression = compression;
            let fixture = Fixture::new(destination);
            let first = expected.len() as u64 + 1;
            fixture.append(first..first + 3);
            expected.extend(first..first + 3);
            assert!(fixture.exporters.finish(PATIENCE));
            assert_received(&collector, &expected);
        }
    }
}

#[test]
fn an_exact_endpoint_is_used_as_it_is() {
    let Some(collector) = Collector::start("") else {
        return;
    };
    let endpoint = collector.endpoint("http", Protocol::Http);
    let mut destination = to(
        Protocol::Http,
        &format!("{endpoint}/v1development/profiles"),
    );
    destination.exact = true;
    let fixture = Fixture::new(destination);
    fixture.append([1]);
    fixture.until(|status| status.sent_messages == 1);
    assert_received(&collector, &[1]);
}

#[test]
fn it_comes_up_later_goes_and_comes_again() {
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let (folder, ports) = (TempDir::new().unwrap(), [free_port(), free_port()]);
        let port = ports[usize::from(protocol == Protocol::Http)];
        let fixture = Fixture::new(to(protocol, &format!("http://127.0.0.1:{port}")));
        fixture.append(1..=3);
        fixture.until(|status| {
            status
                .answers
                .get("connect")
                .is_some_and(|times| *times > 2)
        });
        let Some(collector) = Collector::start_in(folder, ports[0], ports[1], "") else {
            return;
        };
        fixture.until(|status| status.sent_messages == 3);
        assert_received(&collector, &[1, 2, 3]);
        let folder = collector.kill();
        fixture.append(4..=6);
        fixture.until(|status| status.last_error.is_some());
        let collector = Collector::start_in(folder, ports[0], ports[1], "").unwrap();
        let status = fixture.until(|status| status.sent_messages == 6);
        assert!(status.last_error.is_none() && status.waits_until.is_none());
        assert_received(&collector, &[1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn without_the_feature_gate_messages_wait() {
    // Such a Collector does not start; one without a pipeline of profiles answers "unimplemented"
    // and 404, as any other server does that knows nothing of profiles.
    let Some(collector) = Collector::start("") else {
        return;
    };
    let endpoint = collector.endpoint("http", Protocol::Http);
    let fixture = Fixture::new(to(Protocol::Http, &format!("{endpoint}/elsewhere")));
    fixture.append(1..=2);
    let times = |status: &Status| {
        status
            .answers
            .get("http_404")
            .is_some_and(|times| *times > 3)
    };
    let status = fixture.until(times);
    assert_eq!((status.sent_messages, status.rejected_messages), (0, 0));
    fixture
        .exporters
        .reload(vec![to(Protocol::Http, &endpoint)])
        .unwrap();
    fixture.until(|status| status.sent_messages == 2);
    assert_received(&collector, &[1, 2]);
}
