//! A server of HTTP/1.1 that does what it is told with each request: answers, breaks off, keeps
//! silent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::super::compress::expand;
use super::super::worker::lock;

pub(super) enum Act {
    /// Status, headers and body of an answer.
    Answer(&'static str, Vec<(&'static str, String)>, Vec<u8>),
    /// Bytes instead of an answer, then the end of the connection.
    Raw(Vec<u8>),
    /// The connection ends before all of the request was read.
    CutRequest,
    /// No answer as long as the client waits.
    Silence,
    /// An answer without end.
    Endless,
}

pub(super) fn ok() -> Act {
    let content = ("content-type", "application/x-protobuf".to_owned());
    Act::Answer("200 OK", vec![content], Vec::new())
}

pub(super) fn status(status: &'static str) -> Act {
    Act::Answer(status, Vec::new(), Vec::new())
}

/// A request that was read whole.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// As it was before it was compressed.
    pub body: Vec<u8>,
    /// An answer that takes it was sent.
    pub taken: bool,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }
}

type Script = dyn Fn(usize, &[(String, String)]) -> Act + Send + Sync;

pub(super) struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    ended: Arc<AtomicBool>,
}

impl Server {
    /// `script` says what to do with the request of this number, counted from 0, and these headers.
    pub fn start(
        script: impl Fn(usize, &[(String, String)]) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            connections: Arc::default(),
            ended: Arc::default(),
        };
        let (seen, connections) = (server.seen.clone(), server.connections.clone());
        let ended = server.ended.clone();
        let script: Arc<Script> = Arc::new(script);
        let count = Arc::new(Mutex::new(0));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let stream = stream.unwrap();
                lock(&connections).push(stream.try_clone().unwrap());
                let (seen, script, count) = (seen.clone(), script.clone(), count.clone());
                // A client that goes away in the middle is none of the test's business.
                thread::spawn(move || serve(&stream, &seen, &*script, &count));
            }
        });
        server
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }

    pub fn connections(&self) -> usize {
        lock(&self.connections).len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        for connection in lock(&self.connections).drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn serve(
    stream: &TcpStream,
    seen: &Mutex<Vec<Seen>>,
    script: &Script,
    count: &Mutex<usize>,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let path = line.split(' ').nth(1)?.to_owned();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let number = {
            let mut count = lock(count);
            *count += 1;
            *count - 1
        };
        let act = script(number, &headers);
        if matches!(act, Act::CutRequest) {
            return stream.shutdown(std::net::Shutdown::Both).ok();
        }
        let header = |name: &str| {
            let found = headers.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.as_str())
        };
        let mut body = vec![0; header("content-length")?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        if let Some(encoding) = header("content-encoding") {
            body = expand(&body, encoding, 1 << 30).unwrap();
        }
        let taken = match &act {
            Act::Answer(status, headers, _) => {
                let page = headers.iter().any(|(_, value)| value == "text/html");
                status.starts_with('2') && !page
            }
            _ => false,
        };
        lock(seen).push(Seen {
            path,
            headers,
            body,
            taken,
        });
        match act {
            Act::Answer(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    head += &format!("{name}: {value}\r\n");
                }
                writer.write_all(format!("{head}\r\n").as_bytes()).ok()?;
                writer.write_all(&body).ok()?;
            }
            Act::Raw(bytes) => {
                writer.write_all(&bytes).ok()?;
                return stream.shutdown(std::net::Shutdown::Both).ok();
            }
            Act::CutRequest => return None,
            // Until the client has gone.
            Act::Silence => return reader.read(&mut [0]).ok().map(drop),
            Act::Endless => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n\r\n";
                writer.write_all(head.as_bytes()).ok()?;
                loop {
                    writer.write_all(&[0; 4096]).ok()?;
                }
            }
        }
    }
}
