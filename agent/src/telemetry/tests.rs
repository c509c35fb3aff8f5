//! The server as its clients see it, over real connections.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::server::CONNECTIONS;
use super::*;

fn start() -> (Arc<Telemetry>, SocketAddr) {
    let telemetry = Arc::new(Telemetry::default());
    let listen = "127.0.0.1:0".parse().unwrap();
    let address = serve(listen, Arc::clone(&telemetry)).unwrap();
    (telemetry, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    // Only a bound, for a server that never answers.
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream
}

/// All that comes until the server closes.
fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
        _ => String::from_utf8(answer).unwrap(),
    }
}

fn ask(address: SocketAddr, head: &str) -> String {
    let mut stream = connect(address);
    // A server that has said no already may have closed.
    let _ = stream.write_all(head.as_bytes());
    rest(&mut stream)
}

fn get(address: SocketAddr, path: &str) -> String {
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    )
}

fn working() -> Status {
    Status {
        sampling: Sampling {
            running: true,
            ..Sampling::default()
        },
        batches: Batches {
            count: 1,
            ..Batches::default()
        },
        ..Status::default()
    }
}

#[test]
fn ready_follows_what_is_published() {
    let (telemetry, address) = start();
    assert!(get(address, "/healthz").starts_with("HTTP/1.1 200 "));
    let early = get(address, "/readyz");
    assert!(early.starts_with("HTTP/1.1 503 "), "{early}");
    assert!(early.contains("No batch is complete yet"), "{early}");
    telemetry.update(working());
    let ready = get(address, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
    assert!(get(address, "/metrics").contains("\nstrata_ready 1\n"));
    telemetry.update(Status {
        store_error: Some("no space is left".to_owned()),
        ..working()
    });
    let full = get(address, "/readyz");
    assert!(full.starts_with("HTTP/1.1 503 "), "{full}");
    assert!(full.contains("no space is left"), "{full}");
    assert!(get(address, "/metrics").contains("\nstrata_store_up 0\n"));
}

#[test]
fn an_unknown_path_leads_to_the_known_ones() {
    let (_, address) = start();
    let answer = get(address, "/debug/pprof?x=1");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    for path in ["/metrics", "/healthz", "/readyz", "/debug/status"] {
        assert!(answer.contains(path), "{answer}");
        assert!(!get(address, path).starts_with("HTTP/1.1 404 "), "{path}");
    }
    assert!(get(address, "/").starts_with("HTTP/1.1 200 "));
}

#[test]
fn only_reading_is_possible() {
    let (_, address) = start();
    for method in [
        "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "X",
    ] {
        let head = format!("{method} /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = ask(address, &head);
        let refused = ["HTTP/1.1 405 ", "HTTP/1.1 400 "];
        assert!(
            refused.iter().any(|line| answer.starts_with(line)),
            "{method}: {answer}"
        );
    }
    let answer = ask(address, "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn a_web_page_s_own_name_for_this_machine_is_refused() {
    let (_, address) = start();
    let head = "GET /debug/status HTTP/1.1\r\nHost: rebound.example\r\n\r\n";
    let answer = ask(address, head);
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
}

#[test]
fn a_head_is_bounded() {
    let (telemetry, address) = start();
    let long = format!(
        "GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1000));
    let path = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    for head in [long, many, path] {
        let answer = ask(address, &head);
        assert!(!answer.contains("HTTP/1.1 200 "), "{answer}");
    }
    for nonsense in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "\u{16}\u{3}\u{1}\r\n\r\n",
    ] {
        let answer = ask(address, nonsense);
        assert!(!answer.contains("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!(telemetry.traffic.requests()["metrics"], 0);
    assert!(get(address, "/healthz").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_client_that_never_finishes_its_request_is_let_go() {
    let (telemetry, address) = start();
    let mut slow = connect(address);
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: loc")
        .unwrap();
    // Ends only because the server closes.
    assert_eq!(rest(&mut slow), "");
    assert_eq!(telemetry.traffic.closed()["too_slow"], 1);
    assert!(get(address, "/healthz").starts_with("HTTP/1.1 200 "));
}

#[test]
fn many_silent_connections_keep_nobody_out() {
    let (telemetry, address) = start();
    let mut silent: Vec<TcpStream> = (0..CONNECTIONS * 3).map(|_| connect(address)).collect();
    assert!(get(address, "/healthz").starts_with("HTTP/1.1 200 "));
    // The first of them had to go.
    assert_eq!(rest(&mut silent[0]), "");
    assert!(telemetry.traffic.closed()["too_many"] >= 2 * CONNECTIONS as u64);
}

#[test]
fn a_port_in_use_is_an_error_that_says_so() {
    let (_, address) = start();
    let error = serve(address, Arc::default()).unwrap_err().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
    assert!(error.contains("another"), "{error}");
}
