//! An API server that answers as it is told to.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use kube::Config;
use serde_json::Value;

use crate::metadata::kubernetes::Kubernetes;
use crate::metadata::kubernetes::watch::Times;

/// Nobody waits long for a server on the same machine.
pub const QUICK: Times = Times {
    anew: Duration::from_secs(120),
    settled: Duration::from_millis(200),
    first: Duration::from_millis(20),
    most: Duration::from_millis(160),
    soon: Duration::from_millis(20),
    seldom: Duration::from_millis(160),
    refused: Duration::from_millis(50),
};

/// What the server does with the next request of a kind.
pub enum Reply {
    Json(u16, Value),
    /// Events of a watch; then it stays open.
    Stream(Vec<Value>),
    /// The same, but cut off.
    Cut(Vec<Value>),
    /// A watch that is silent for so long and then breaks.
    Broken(Duration),
}

#[derive(Default)]
pub struct Script {
    pub lists: VecDeque<Reply>,
    pub watches: VecDeque<Reply>,
    pub owners: VecDeque<Reply>,
    /// Heads of all requests, and when they came.
    pub requests: Vec<(Instant, String)>,
}

pub struct Server {
    pub script: Arc<Mutex<Script>>,
    uri: String,
    /// Connections that stay open end with it.
    _open: Arc<Mutex<Vec<Sender<()>>>>,
}

impl Server {
    pub fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let uri = format!("http://{}", listener.local_addr().expect("its address"));
        let script = Arc::new(Mutex::new(script));
        let open: Arc<Mutex<Vec<Sender<()>>>> = Arc::default();
        let (own, held) = (Arc::clone(&script), Arc::clone(&open));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (script, held) = (Arc::clone(&own), Arc::clone(&held));
                thread::spawn(move || while serve(&stream, &script, &held).is_some() {});
            }
        });
        Self {
            script,
            uri,
            _open: open,
        }
    }

    pub fn config(&self) -> Config {
        Config::new(self.uri.parse::<http::Uri>().expect("a URI"))
    }

    pub fn watch(&self) -> Kubernetes {
        self.watch_in(QUICK)
    }

    pub fn watch_in(&self, times: Times) -> Kubernetes {
        let config = self.config();
        let config = move || Ok(config.clone());
        Kubernetes::start_with("n1", Box::new(config), times).expect("a watch")
    }

    pub fn requests(&self) -> Vec<String> {
        let script = self.script.lock().expect("script");
        let requests = script.requests.iter();
        requests.map(|(_, head)| head.clone()).collect()
    }

    /// When whole lists were asked for.
    pub fn lists(&self) -> Vec<Instant> {
        let script = self.script.lock().expect("script");
        let requests = script.requests.iter();
        let lists = requests.filter(|(_, head)| is_list(head));
        lists.map(|(time, _)| *time).collect()
    }
}

fn is_list(head: &str) -> bool {
    !head.contains("/apis/") && !head.contains("watch=true")
}

/// Answers one request. None: the connection is done for.
fn serve(stream: &TcpStream, script: &Mutex<Script>, held: &Mutex<Vec<Sender<()>>>) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let head = lines.next()?.ok()?;
    while !lines.next()?.ok()?.is_empty() {}
    let reply = {
        let mut script = script.lock().expect("script");
        script.requests.push((Instant::now(), head.clone()));
        if is_list(&head) {
            script.lists.pop_front()
        } else if head.contains("/apis/") {
            script.owners.pop_front()
        } else {
            script.watches.pop_front()
        }
    };
    let mut out = stream;
    match reply.unwrap_or_else(|| Reply::Stream(Vec::new())) {
        Reply::Json(code, value) => {
            let body = value.to_string();
            let length = body.len();
            write!(
                out,
                "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            )
            .ok()
        }
        Reply::Stream(events) => {
            send(out, &events)?;
            let (tell, told) = channel();
            held.lock().expect("held").push(tell);
            // Until the client goes, or the server.
            stream
                .set_read_timeout(Some(Duration::from_millis(50)))
                .ok()?;
            loop {
                match out.read(&mut [0]) {
                    Ok(0) => return None,
                    Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return None,
                    _ if told.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected) => {
                        return None;
                    }
                    _ => {}
                }
            }
        }
        Reply::Broken(after) => {
            send(out, &[])?;
            thread::sleep(after);
            let _ = out.write_all(b"no chunk\r\n");
            let _ = stream.shutdown(std::net::Shutdown::Both);
            None
        }
        Reply::Cut(events) => {
            send(out, &events)?;
            let _ = out.write_all(b"ff\r\n{\"type\":\"ADDED\",");
            let _ = stream.shutdown(std::net::Shutdown::Both);
            None
        }
    }
}

fn send(mut out: &TcpStream, events: &[Value]) -> Option<()> {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    out.write_all(head.as_bytes()).ok()?;
    for event in events {
        let line = format!("{event}\n");
        write!(out, "{:x}\r\n{line}\r\n", line.len()).ok()?;
    }
    Some(())
}
