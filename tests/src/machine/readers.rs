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

/// An OpenTelemetry Collector that takes OTLP in both protocols and writes JSON into a file.
pub struct Collector {
    /// None while it is stopped.
    child: Option<Child>,
    grpc: u16,
    port: u16,
    settings: PathBuf,
    written: PathBuf,
    log: PathBuf,
}

impl Collector {
    pub fn start(scratch: &Path) -> Result<Self, Problem> {
        let [grpc, port] = [free_port()?, free_port()?];
        let mut collector = Self {
            child: None,
            grpc,
            port,
            settings: scratch.join("collector.yaml"),
            written: scratch.join("collector.json"),
            log: scratch.join("collector.log"),
        };
        let _ = std::fs::remove_file(&collector.written);
        let settings = format!(
            "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: \"127.0.0.1:{grpc}\"}}, \
             http: {{endpoint: \"127.0.0.1:{port}\"}}}}}}}}\n\
             exporters: {{file: {{path: \"{}\", append: true, flush_interval: 50ms}}}}\n\
             service:\n\
             \x20 telemetry: {{metrics: {{level: none}}}}\n\
             \x20 pipelines: {{profiles: {{receivers: [otlp], exporters: [file]}}}}\n",
            collector.written.display()
        );
        std::fs::write(&collector.settings, settings).map_err(cant_start)?;
        collector.again()?;
        Ok(collector)
    }

    /// Starts it again where it was, with what it has written.
    pub fn again(&mut self) -> Result<(), Problem> {
        let mut command = Command::new(brought("bin/otelcol")?);
        command
            .arg(format!("--config=file:{}", self.settings.display()))
            .arg("--feature-gates=service.profilesSupport")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&self.log).map_err(cant_start)?);
        self.child = Some(command.spawn().map_err(cant_start)?);
        for port in [self.grpc, self.port] {
            self.wait("does not listen", || {
                TcpStream::connect(("127.0.0.1", port)).is_ok()
            })?;
        }
        Ok(())
    }

    /// Ends it in the middle of what it does.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Holds it as it is, or lets it go on.
    pub fn signal(&self, number: i32) {
        if let Some(child) = &self.child {
            super::target::signal(child.id(), number);
        }
    }

    pub fn grpc(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc)
    }

    pub fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends it as an operator does, so that it writes all that it took; the lines of that.
    pub fn finish(&mut self) -> Result<String, Problem> {
        self.signal(libc::SIGTERM);
        let until = Instant::now() + PATIENCE;
        while let Some(child) = &mut self.child {
            match child.try_wait() {
                Ok(Some(_)) => self.child = None,
                Ok(None) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                _ => return Err(self.explain("does not end").into()),
            }
        }
        let mut text = std::fs::read_to_string(&self.written).unwrap_or_default();
        // It may have been killed in the middle of one before.
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        Ok(text)
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
        let is_there = |child: &mut Option<Child>| {
            let child = child.as_mut();
            child.is_some_and(|child| matches!(child.try_wait(), Ok(None)))
        };
        while Instant::now() < until && is_there(&mut self.child) {
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
        self.stop();
    }
}

fn cant_start(error: std::io::Error) -> Problem {
    format!("the Collector can't be started: {error}").into()
}

/// A port that is free now, which nobody else takes in a moment.
fn free_port() -> Result<u16, Problem> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(cant_start)?;
    Ok(listener.local_addr().map_err(cant_start)?.port())
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
