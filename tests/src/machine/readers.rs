//! Programs that read our formats: pprof, speedscope in a browser, an OpenTelemetry Collector. `tests/setup.sh` brings them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Problem, cache, on_path, run};

/// How long the Collector may take to listen, and to write what it was sent.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program or file that setup.sh brought.
pub fn brought(path: &str) -> Result<PathBuf, Problem> {
    let path = cache().join(path);
    if path.is_file() {
        return Ok(path);
    }
    let what = path.display();
    Err(Problem::Skipped(format!(
        "there is no {what} (tests/setup.sh)"
    )))
}

/// What pprof prints of a file: all nodes, and names as they are.
pub fn pprof(view: &str, file: &Path) -> Result<String, Problem> {
    let mut command = Command::new(brought("bin/pprof")?);
    command
        .args([view, "-sample_index=samples", "-symbolize=none"])
        .args(["-nodecount=100000", "-nodefraction=0", "-edgefraction=0"])
        .arg(file)
        // It looks for binaries below the home folder, and writes there.
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null());
    Ok(run(&mut command)?)
}

/// The page that speedscope shows for a file, as its elements. Looks at the table of functions, since the rest of the page
/// is drawn.
pub fn speedscope(file: &Path, scratch: &Path) -> Result<String, Problem> {
    let page = brought("speedscope/dist/release/index.html")?;
    if !on_path("chromium") {
        return Err(Problem::Skipped(
            "chromium is not installed (tests/setup.sh)".to_owned(),
        ));
    }
    let content = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    // As speedscope's own command line hands a file over: as a script. On a busy machine it may have measured its table
    // before the browser had given it a size, and would show no rows until the window's size changes.
    let text = format!(
        "speedscope.loadFileFromBase64(\"profile\", \"{}\");\n\
         setInterval(() => window.dispatchEvent(new Event(\"resize\")), 250);\n",
        base64(&content)
    );
    let script = scratch.join("speedscope.js");
    std::fs::write(&script, text).map_err(|error| format!("{}: {error}", script.display()))?;
    let address = format!(
        "file://{}#localProfilePath={}&view=sandwich",
        page.display(),
        script.display()
    );
    let mut command = Command::new("chromium");
    command
        .args([
            "--headless=new",
            "--no-sandbox",
            "--no-first-run",
            "--disable-extensions",
        ])
        // speedscope draws by WebGL, here without a graphics card.
        .args(["--use-angle=swiftshader", "--enable-unsafe-swiftshader"])
        .args([
            "--window-size=1600,4000",
            "--virtual-time-budget=8000",
            "--dump-dom",
        ])
        .arg(format!(
            "--user-data-dir={}",
            scratch.join("chromium").display()
        ))
        .arg(address)
        .env("HOME", scratch)
        .stdin(Stdio::null());
    Ok(run(&mut command)?)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=part.len()].copy_from_slice(part);
        let group = u32::from_be_bytes(group);
        for digit in 0..4 {
            if digit > part.len() {
                text.push('=');
            } else {
                let value = group >> (18 - 6 * digit) & 63;
                text.push(char::from(DIGITS[value as usize]));
            }
        }
    }
    text
}

/// A running OpenTelemetry Collector that takes OTLP by HTTP and writes JSON into a file.
pub struct Collector {
    child: Child,
    port: u16,
    written: PathBuf,
    log: PathBuf,
}

impl Collector {
    pub fn start(scratch: &Path) -> Result<Self, Problem> {
        let program = brought("bin/otelcol")?;
        let why = |error: std::io::Error| format!("the Collector can't be started: {error}");
        // A port that is free now, which nobody else takes in a moment.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(why)?
            .port();
        let (written, log) = (
            scratch.join("collector.json"),
            scratch.join("collector.log"),
        );
        let _ = std::fs::remove_file(&written);
        let configuration = format!(
            "receivers: {{otlp: {{protocols: {{http: {{endpoint: \"127.0.0.1:{port}\"}}}}}}}}\n\
             exporters: {{file: {{path: \"{}\", flush_interval: 50ms}}}}\n\
             service:\n\
             \x20 telemetry: {{metrics: {{level: none}}}}\n\
             \x20 pipelines: {{profiles: {{receivers: [otlp], exporters: [file]}}}}\n",
            written.display()
        );
        let file = scratch.join("collector.yaml");
        std::fs::write(&file, configuration).map_err(why)?;
        let child = Command::new(program)
            .arg(format!("--config=file:{}", file.display()))
            .arg("--feature-gates=service.profilesSupport")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).map_err(why)?)
            .spawn()
            .map_err(why)?;
        let mut collector = Self {
            child,
            port,
            written,
            log,
        };
        collector.wait("does not listen", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        })?;
        Ok(collector)
    }

    /// Sends an export request. The answer's status line, and its body.
    pub fn send(&self, body: &[u8]) -> Result<(String, String), Problem> {
        let exchange = || -> std::io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            write!(
                stream,
                "POST /v1development/profiles HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
                 Content-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
                body.len()
            )?;
            stream.write_all(body)?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(answer)
        };
        let answer =
            exchange().map_err(|error| self.explain(&format!("does not answer: {error}")))?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.lines().next().unwrap_or_default().to_owned();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok((status, body.to_owned()))
    }

    /// What it wrote of the one message that it was sent.
    pub fn written(&mut self) -> Result<String, Problem> {
        let path = self.written.clone();
        let read = || std::fs::read_to_string(&path).unwrap_or_default();
        self.wait("writes nothing", || read().ends_with('\n'))?;
        Ok(read())
    }

    fn wait(&mut self, what: &str, done: impl Fn() -> bool) -> Result<(), Problem> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            if done() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(self.explain(what).into())
    }

    fn explain(&self, what: &str) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let end: Vec<&str> = log.lines().rev().take(5).collect();
        format!(
            "the Collector {what}:\n{}",
            end.into_iter().rev().collect::<Vec<_>>().join("\n")
        )
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
