//! gRPC: every status, and answers that are none.

use super::grpc_server::{Act, Server};
use super::*;
use crate::export::grpc::{self, Any, RetryInfo, Span};

fn numbers(server: &Server) -> (Vec<u64>, Vec<u64>) {
    let seen = server.seen();
    let of = |seen: &grpc_server::Seen| number(&seen.message).expect("the bytes are a message's");
    let taken = seen.iter().filter(|seen| seen.taken).map(of).collect();
    (seen.iter().map(of).collect(), taken)
}

fn ok() -> Act {
    Act::Answer(Vec::new())
}

fn status(code: u32) -> Act {
    Act::Status(code, "", Vec::new())
}

fn retry_info(seconds: i64) -> Vec<u8> {
    let info = RetryInfo {
        delay: Some(Span { seconds, nanos: 0 }),
    };
    let any = Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
        value: info.encode_to_vec(),
    };
    let status = grpc::Status {
        details: vec![any],
        ..grpc::Status::default()
    };
    status.encode_to_vec()
}

#[test]
fn whatever_is_answered_messages_arrive_in_order() {
    let script = [
        status(14),
        status(1),
        status(4),
        status(10),
        status(11),
        status(15),
        Act::NoStatus,
        Act::Http(503),
        Act::Http(200),
        Act::Silence,
        Act::Huge,
        // As a decoded answer: field 15, a group that never ends.
        Act::Answer(vec![0x7b]),
        Act::Status(16, "token expired", Vec::new()),
        Act::Status(7, "", Vec::new()),
        Act::Status(12, "unknown service", Vec::new()),
        Act::Http(404),
        Act::Status(8, "quota", Vec::new()),
        Act::Status(8, "memory", retry_info(0)),
    ];
    let count = script.len();
    let server = Server::start(move |number| match number % (count + 1) {
        at if at < count => script[at].clone(),
        _ => ok(),
    });
    let mut destination = to(Protocol::Grpc, &server.endpoint());
    destination.timeout = Duration::from_millis(500);
    let fixture = Fixture::new(destination);
    fixture.append(1..=3);
    let end = fixture.until(|status| status.sent_messages == 3);
    let (all, taken) = numbers(&server);
    assert!(all.is_sorted(), "{all:?}");
    assert_eq!((taken, end.rejected_messages), (vec![1, 2, 3], 0));
    for code in [
        "grpc_unavailable",
        "grpc_cancelled",
        "grpc_deadline_exceeded",
        "grpc_aborted",
        "grpc_out_of_range",
        "grpc_data_loss",
        "cut",
        "http_503",
        "garbage",
        "timeout",
        "grpc_unauthenticated",
        "grpc_permission_denied",
        "grpc_unimplemented",
        "http_404",
        "grpc_resource_exhausted",
        "ok",
    ] {
        assert!(end.answers.contains_key(code), "{code}: {:?}", end.answers);
    }
}

#[test]
fn messages_that_are_at_fault_are_given_up() {
    let large = "grpc: received message larger than max (5 vs. 4)";
    let server = Server::start(move |number| match number {
        0 => Act::Status(3, "bad%20id", Vec::new()),
        1 => Act::Status(8, large, Vec::new()),
        2..6 => status(13),
        _ => ok(),
    });
    let fixture = Fixture::new(to(Protocol::Grpc, &server.endpoint()));
    fixture.append(1..=4);
    let status = fixture.until(|status| status.sent_messages == 1);
    assert_eq!(status.rejected_messages, 3);
    assert_eq!(numbers(&server), (vec![1, 2, 3, 3, 3, 3, 4], vec![4]));
    for code in ["grpc_invalid_argument", "too_large", "grpc_internal"] {
        assert!(status.answers.contains_key(code), "{:?}", status.answers);
    }
}

#[test]
fn the_time_in_the_status_is_kept() {
    let server = Server::start(|number| match number {
        0 => Act::Status(8, "", retry_info(1)),
        _ => ok(),
    });
    let fixture = Fixture::new(to(Protocol::Grpc, &server.endpoint()));
    let begin = Instant::now();
    fixture.append([1]);
    fixture.until(|status| status.sent_messages == 1);
    assert!(begin.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_server_of_http_1_is_no_reason_to_lose_anything() {
    let server = http_server::Server::start(|_, _| http_server::ok());
    let fixture = Fixture::new(to(Protocol::Grpc, &server.endpoint()));
    fixture.append([1]);
    let status = fixture.until(|status| status.retries > 3);
    assert_eq!((status.sent_messages, status.rejected_messages), (0, 0));
}

#[test]
fn a_call_says_what_it_is() {
    let server = Server::start(|_| ok());
    let fixture = Fixture::new(to(Protocol::Grpc, &format!("{}/base", server.endpoint())));
    fixture.append([1]);
    fixture.until(|status| status.sent_messages == 1);
    let seen = server.seen().remove(0);
    let service = "opentelemetry.proto.collector.profiles.v1development.ProfilesService";
    assert_eq!(seen.path, format!("/base/{service}/Export"));
    for (name, value) in [
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("grpc-encoding", "gzip"),
        ("grpc-timeout", "5000m"),
    ] {
        assert_eq!(seen.headers[name], value);
    }
}
