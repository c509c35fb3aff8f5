//! The server as its clients see it, over real connections.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::server::CONNECTIONS;
use super::*;
use crate::{export, store};

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
    // It counts what it has closed.
    let closed = || telemetry.traffic.closed()["too_slow"];
    for _ in 0..1000 {
        if closed() == 1 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(closed(), 1);
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

/// Every text in it is hostile, and every number is there.
fn hostile() -> Status {
    let text = || HOSTILE.to_owned();
    let counts = || BTreeMap::from([(text(), 7)]);
    Status {
        settings: Settings {
            store: HOSTILE.into(),
            ..Settings::default()
        },
        sampling: Sampling {
            running: true,
            due: Some(1),
            events: counts(),
            cut: counts(),
            lost: counts(),
            left_out: counts(),
            kernel: counts(),
            interpreters: counts(),
            files: counts(),
            ..Sampling::default()
        },
        labels: Labels {
            left_out: counts(),
            refused: counts(),
            values: vec![(text(), 7)],
            over: counts(),
            ..Labels::default()
        },
        tables: vec![Table {
            name: HOSTILE,
            ..Table::default()
        }],
        executables: vec![Executable {
            path: text(),
            ..Executable::default()
        }],
        store: store::Status {
            oldest: Some(1),
            newest: Some(u64::MAX),
            dropped: BTreeMap::from([("age", 1)]),
            destinations: BTreeMap::from([(
                text(),
                store::Waiting {
                    oldest: Some(1),
                    ..store::Waiting::default()
                },
            )]),
            ..store::Status::default()
        },
        store_error: Some(text()),
        exporters: vec![export::Status {
            name: text(),
            endpoint: text(),
            answers: counts(),
            last_error: Some(text()),
            last_success: Some(1),
            waits_until: Some(u64::MAX),
            ..export::Status::default()
        }],
        ..working()
    }
}

const HOSTILE: &str = "</style><script>x</script>\"'&\\\n\u{202e}\0ü";

#[test]
fn hostile_text_stays_text() {
    let (telemetry, address) = start();
    telemetry.update(hostile());
    let answer = get(address, "/debug/status");
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-security-policy: default-src 'none'; style-src 'sha256-"));
    assert!(head.contains("content-type: text/html; charset=utf-8"));
    // Store, its error, lost, left out, cut, an interpreter, a file; a destination's name, endpoint,
    // answer and error; a label's key, a rule's action; a table, an executable.
    let shown =
        "&lt;/style&gt;&lt;script&gt;x&lt;/script&gt;&quot;&#39;&amp;\\\\u{a}\\u{202e}\\u{0}ü";
    assert!(page.matches(shown).count() >= 15, "{page}");
    for part in [
        "<script",
        "\u{202e}",
        "\0",
        "style=",
        "onload",
        "http-equiv",
        "src=",
    ] {
        assert!(!page.contains(part), "{part}");
    }
    assert_eq!(page.matches("</style>").count(), 1);
    // What is open is closed, each by its own.
    let mut open = Vec::new();
    for tag in page.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap();
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') && !["!DOCTYPE", "meta", "br"].contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn json_says_the_same_to_programs() {
    let (telemetry, address) = start();
    telemetry.update(hostile());
    let answer = get(address, "/debug/status?x&format=json");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/json"), "{head}");
    let value: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(value["executables"][0]["path"], HOSTILE);
    assert_eq!(value["exporters"][0]["last_error"], HOSTILE);
    assert_eq!(value["sampling"]["cut"][HOSTILE], 7);
    assert_eq!(value["labels"]["values"][HOSTILE], 7);
    assert_eq!(value["ready"], false);
}

/// Docs that fall behind mislead whoever writes an alert.
#[test]
fn every_metric_is_documented_and_every_documented_one_is_there() {
    let telemetry = Telemetry::default();
    telemetry.update(Status {
        kubernetes: Some(Default::default()),
        choice: Some(Default::default()),
        ..Status::default()
    });
    let families = metrics::families(&telemetry.snapshot(), &telemetry.traffic);
    let mut found: Vec<String> = families
        .iter()
        .map(|family| {
            let labels = family.labels.join(", ");
            format!("`{}` | {} | {labels}", family.series(), family.kind_name())
        })
        .collect();
    let docs = include_str!("../../../docs/agent-metrics.md");
    let rows = docs.lines().filter(|line| line.starts_with("| `"));
    let mut documented: Vec<String> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [_, name, kind, labels, meaning, _] = cells[..] else {
                panic!("{row} has not four columns");
            };
            assert!(meaning.ends_with('.'), "{row}");
            format!("{name} | {kind} | {}", labels.replace('`', ""))
        })
        .collect();
    found.sort();
    documented.sort();
    assert_eq!(found, documented);
}

#[test]
fn metrics_keep_the_conventions() {
    let (telemetry, _) = start();
    telemetry.update(hostile());
    let families = metrics::families(&telemetry.snapshot(), &telemetry.traffic);
    let mut names = BTreeSet::new();
    for family in &families {
        assert!(names.insert(family.name), "{} is there twice", family.name);
        let fits = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(family.name.chars().all(fits), "{}", family.name);
        let ours = ["strata_", "process_"];
        assert!(ours.iter().any(|start| family.name.starts_with(start)));
        assert!(family.help.ends_with('.') && !family.help.contains(['"', '\\', '\n']));
        let mut series = BTreeSet::new();
        for point in &family.points {
            assert_eq!(point.labels.len(), family.labels.len(), "{}", family.name);
            assert!(series.insert(&point.labels), "{} twice", family.name);
        }
        // What identifies a target would make a series of each.
        for label in family.labels {
            assert!(!["pid", "path_of_file", "executable"].contains(label));
        }
    }
}

#[test]
fn the_number_of_series_is_bounded() {
    let telemetry = Telemetry::default();
    let many: BTreeMap<String, u64> = (0..10_000).map(|n| (format!("{n:05}"), 1)).collect();
    let mut status = hostile();
    status.sampling.cut = many.clone();
    status.exporters[0].answers = many;
    telemetry.update(status);
    let families = metrics::families(&telemetry.snapshot(), &telemetry.traffic);
    for family in &families {
        assert!(family.points.len() <= 65, "{}", family.name);
    }
    let text = exposition::write(&families, exposition::Format::Text);
    assert!(text.contains("strata_samples_cut_total{cause=\"other\"} 9936\n"));
}
