//! What must hold whatever the other side does: order, the same bytes at each try, no message twice
//! once it was answered, none lost.

use std::fs;

use super::http_server::{self, Act, Server, ok, status};
use super::*;

/// The numbers of all requests, and of those that were taken.
fn numbers(server: &Server) -> (Vec<u64>, Vec<u64>) {
    let seen = server.seen();
    let of = |seen: &http_server::Seen| number(&seen.body).expect("the bytes are a message's");
    let taken = seen.iter().filter(|seen| seen.taken).map(of).collect();
    (seen.iter().map(of).collect(), taken)
}

fn assert_ordered(numbers: &[u64]) {
    assert!(numbers.is_sorted(), "{numbers:?}");
}

#[test]
fn whatever_happens_messages_arrive_in_order_once_they_are_answered() {
    let half =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 9\r\n\r\nab";
    let html = ("content-type", "text/html".to_owned());
    let server = Server::start(move |number, _| match number % 12 {
        0 => status("503 Service Unavailable"),
        1 => Act::CutRequest,
        2 => Act::Raw(b"\x00\xffgarbage\r\n\r\n".to_vec()),
        3 => Act::Raw(half.to_vec()),
        4 => Act::Raw(Vec::new()),
        5 => Act::Silence,
        6 => Act::Endless,
        7 => status("429 Too Many Requests"),
        8 => Act::Answer(
            "200 OK",
            vec![html.clone()],
            b"<html>log in</html>".to_vec(),
        ),
        9 => status("502 Bad Gateway"),
        _ => ok(),
    });
    let mut destination = to(Protocol::Http, &server.endpoint());
    destination.timeout = Duration::from_millis(500);
    let fixture = Fixture::new(destination);
    fixture.append(1..=8);
    let end = fixture.until(|status| status.sent_messages == 8);
    let (all, taken) = numbers(&server);
    assert_ordered(&all);
    assert_eq!(taken, (1..=8).collect::<Vec<_>>());
    assert_eq!(end.rejected_messages, 0);
    for code in [
        "http_503", "cut", "garbage", "timeout", "http_429", "http_502", "ok",
    ] {
        assert!(end.answers.contains_key(code), "{code}: {:?}", end.answers);
    }
}

#[test]
fn the_time_that_the_other_side_asks_for_is_kept() {
    let server = Server::start(|number, _| match number {
        0 => Act::Answer(
            "429 Too Many Requests",
            vec![("retry-after", "1".to_owned())],
            vec![],
        ),
        _ => ok(),
    });
    let fixture = Fixture::new(to(Protocol::Http, &server.endpoint()));
    let begin = Instant::now();
    fixture.append([1]);
    fixture.until(|status| status.sent_messages == 1);
    assert!(begin.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_message_that_is_refused_for_good_lets_the_others_go_on() {
    let protobuf = ("content-type", "application/x-protobuf".to_owned());
    let server = Server::start(move |number, _| match number {
        1 => Act::Answer("400 Bad Request", vec![protobuf.clone()], vec![]),
        2 => status("413 Payload Too Large"),
        _ => ok(),
    });
    let fixture = Fixture::new(to(Protocol::Http, &server.endpoint()));
    fixture.append(1..=4);
    let status = fixture.until(|status| status.sent_messages == 2);
    assert_eq!((status.rejected_messages, status.rejected_samples), (2, 6));
    assert_eq!(numbers(&server), (vec![1, 2, 3, 4], vec![1, 4]));
}

#[test]
fn an_answer_that_does_not_say_whose_fault_it_is_is_tried_some_times() {
    let server = Server::start(|number, _| match number {
        0..4 => status("500 Internal Server Error"),
        4..6 => status("400 Bad Request"),
        _ => ok(),
    });
    let fixture = Fixture::new(to(Protocol::Http, &server.endpoint()));
    fixture.append(1..=2);
    let status = fixture.until(|status| status.sent_messages == 1);
    assert_eq!(status.rejected_messages, 1);
    assert_eq!(numbers(&server), (vec![1, 1, 1, 1, 2, 2, 2], vec![2]));
}

#[test]
fn settings_that_somebody_can_mend_lose_nothing() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "old\n").unwrap();
    let server = Server::start(|_, headers| {
        let right = headers.contains(&("authorization".to_owned(), "Bearer new".to_owned()));
        if right {
            ok()
        } else {
            status("401 Unauthorized")
        }
    });
    let mut destination = to(Protocol::Http, &server.endpoint());
    destination.token_file = Some(file.clone());
    let fixture = Fixture::new(destination);
    fixture.append(1..=3);
    let often = |code: &'static str| {
        move |status: &Status| status.answers.get(code).is_some_and(|times| *times > 5)
    };
    fixture.until(often("http_401"));
    // A token that can't be read is no reason to lose anything either.
    fs::remove_file(&file).unwrap();
    fixture.until(often("settings"));
    fs::write(&file, "new\n").unwrap();
    let status = fixture.until(|status| status.sent_messages == 3);
    assert_eq!(status.rejected_messages, 0);
    assert_eq!(numbers(&server).1, [1, 2, 3]);
}

#[test]
fn what_was_refused_of_a_message_is_counted_and_not_sent_again() {
    use opentelemetry_proto::tonic::collector::profiles::v1development as collector;
    let partly = collector::ExportProfilesServiceResponse {
        partial_success: Some(collector::ExportProfilesPartialSuccess {
            rejected_profiles: 3,
            error_message: "no space".to_owned(),
        }),
    };
    let bytes = partly.encode_to_vec();
    let protobuf = ("content-type", "application/x-protobuf".to_owned());
    let json = ("content-type", "application/json".to_owned());
    let text = r#"{"partialSuccess":{"rejectedProfiles":"4","errorMessage":"x"}}"#;
    let server = Server::start(move |number, _| match number {
        0 => Act::Answer("200 OK", vec![protobuf.clone()], bytes.clone()),
        _ => Act::Answer("200 OK", vec![json.clone()], text.as_bytes().to_vec()),
    });
    let fixture = Fixture::new(to(Protocol::Http, &server.endpoint()));
    fixture.append(1..=2);
    let status = fixture.until(|status| status.sent_messages == 2);
    assert_eq!(
        (status.rejected_profiles, status.answers["partial"]),
        (7, 2)
    );
    assert_eq!(numbers(&server).0, [1, 2]);
}

#[test]
fn a_destination_that_stays_the_same_is_not_disturbed() {
    let (first, second) = (Server::start(|_, _| ok()), Server::start(|_, _| ok()));
    let mut other = to(Protocol::Http, &second.endpoint());
    other.name = "other".to_owned();
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "token").unwrap();
    let mut destination = to(Protocol::Http, &first.endpoint());
    destination.token_file = Some(token.clone());
    let fixture = Fixture::new(destination.clone());
    fixture.append(1..=3);
    fixture.until(|status| status.sent_messages == 3);
    // Nor is the rest held up because its file is being replaced just now.
    fs::remove_file(&token).unwrap();
    fixture.exporters.reload(vec![destination, other]).unwrap();
    fs::write(&token, "token").unwrap();
    fixture.append(4..=6);
    fixture.until(|status| status.sent_messages == 6);
    assert_eq!(first.connections(), 1);
    assert!(fixture.exporters.finish(PATIENCE));
    assert_eq!(numbers(&first).1, [1, 2, 3, 4, 5, 6]);
    // A new one begins with what comes from then on.
    assert_eq!(numbers(&second).1, [4, 5, 6]);
}

#[test]
fn a_destination_that_moves_goes_on_where_it_was() {
    let dead = format!("http://127.0.0.1:{}", collector::free_port());
    let server = Server::start(|_, _| ok());
    let fixture = Fixture::new(to(Protocol::Http, &dead));
    fixture.append(1..=3);
    fixture.until(|status| status.retries > 2);
    let retries = fixture.status().retries;
    fixture
        .exporters
        .reload(vec![to(Protocol::Http, &server.endpoint())])
        .unwrap();
    let status = fixture.until(|status| status.sent_messages == 3);
    assert!(status.retries >= retries, "the counts go on");
    assert_eq!(numbers(&server).1, [1, 2, 3]);
}

#[test]
fn settings_that_cant_be_used_change_nothing() {
    let server = Server::start(|_, _| ok());
    let fixture = Fixture::new(to(Protocol::Http, &server.endpoint()));
    let wrong = to(Protocol::Http, "ftp://somewhere");
    assert!(fixture.exporters.reload(vec![wrong]).is_err());
    fixture.append([1]);
    fixture.until(|status| status.sent_messages == 1);
}

#[test]
fn one_that_is_dead_does_not_hold_up_another() {
    let (silent, server) = (
        Server::start(|_, _| Act::Silence),
        Server::start(|_, _| ok()),
    );
    let mut dead = to(Protocol::Http, &silent.endpoint());
    dead.name = "silent".to_owned();
    let fixture = Fixture::of(vec![to(Protocol::Http, &server.endpoint()), dead], QUICK);
    fixture.append(1..=5);
    fixture.until(|status| status.sent_messages == 5);
    assert_eq!(fixture.exporters.status()[1].sent_messages, 0);
    let begin = Instant::now();
    assert!(!fixture.exporters.finish(Duration::from_millis(200)));
    assert!(begin.elapsed() < PATIENCE);
}

#[test]
fn what_waits_is_shipped_before_the_end() {
    // The first answer is bad, and the next try would be in half an hour.
    let server = Server::start(|number, _| match number {
        0 => status("503 Service Unavailable"),
        _ => ok(),
    });
    let slow = Pace {
        first: Duration::from_secs(3600),
        most: Duration::from_secs(3600),
        ..QUICK
    };
    let fixture = Fixture::of(vec![to(Protocol::Http, &server.endpoint())], slow);
    fixture.append(1..=3);
    fixture.until(|status| status.retries == 1);
    assert!(fixture.exporters.finish(PATIENCE));
    assert_eq!(numbers(&server), (vec![1, 1, 2, 3], vec![1, 2, 3]));
}

#[test]
fn the_end_waits_for_the_answer_of_what_was_sent() {
    // Every answer takes most of the time that is left for the end.
    let deadline = Duration::from_secs(3);
    let server = Server::start(move |_, _| {
        std::thread::sleep(deadline / 2);
        ok()
    });
    let fixture = Fixture::new(to(Protocol::Http, &server.endpoint()));
    fixture.append(1..=9);
    let Fixture {
        store,
        exporters,
        _folder,
    } = fixture;
    assert!(!exporters.finish(deadline));
    let sent = server.seen().len() as u64;
    assert!((1..9).contains(&sent), "{sent}");
    // What was sent was answered, and the next agent knows it.
    let next = store.next(NAME).unwrap().expect("some are left");
    assert_eq!(next.sequence, sent + 1);
}

#[test]
fn a_message_whose_answer_was_lost_is_sent_again_as_it_was() {
    let server = Server::start(|number, _| if number == 2 { Act::Silence } else { ok() });
    let folder = TempDir::new().unwrap();
    let limits = Limits {
        bytes: 64 << 20,
        age: Duration::from_secs(3600),
    };
    let open = || Arc::new(Store::open(&folder.path().join("store"), limits).unwrap());
    let start = |store: &Arc<Store>| {
        let destination = to(Protocol::Http, &server.endpoint());
        Exporters::start_at(vec![destination], Arc::clone(store), QUICK).unwrap()
    };
    let store = open();
    let exporters = start(&store);
    for number in 1..=5 {
        store.append(&[message(number)]).unwrap();
    }
    let end = Instant::now() + PATIENCE;
    while server.seen().len() < 3 {
        assert!(Instant::now() < end);
        thread_sleep();
    }
    // The end comes in the middle of the request.
    drop(exporters);
    drop(store);
    let store = open();
    assert!(start(&store).finish(PATIENCE));
    assert_eq!(
        numbers(&server),
        (vec![1, 2, 3, 3, 4, 5], vec![1, 2, 3, 4, 5])
    );
}

fn thread_sleep() {
    std::thread::sleep(Duration::from_millis(5));
}

#[test]
fn a_name_that_nobody_knows_is_tried_again() {
    let fixture = Fixture::new(to(Protocol::Grpc, "http://nowhere.invalid:4317"));
    fixture.append([1]);
    let status = fixture.until(|status| status.retries > 1);
    let failed = ["dns", "timeout"]
        .iter()
        .any(|code| status.answers.contains_key(*code));
    assert!(failed, "{:?}", status.answers);
    assert_eq!(status.rejected_messages, 0);
}

#[test]
fn headers_and_authorization_go_along() {
    let server = Server::start(|_, _| ok());
    let with_user = server.endpoint().replace("//", "//user:pass%40word@");
    let mut destination = to(Protocol::Http, &format!("{with_user}/base/"));
    destination.headers = vec![("X-Scope-OrgID".to_owned(), "tenant".to_owned())];
    let fixture = Fixture::new(destination);
    fixture.append([1]);
    let status = fixture.until(|status| status.sent_messages == 1);
    let seen = server.seen().remove(0);
    assert_eq!(seen.path, "/base/v1development/profiles");
    for (name, value) in [
        ("x-scope-orgid", "tenant"),
        ("authorization", "Basic dXNlcjpwYXNzQHdvcmQ="),
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "gzip"),
    ] {
        assert_eq!(seen.header(name), value);
    }
    assert!(!format!("{status:?}").contains("pass"));
}

#[test]
fn a_destination_that_is_taken_away_and_given_back_goes_on() {
    let server = Server::start(|_, _| ok());
    let destination = to(Protocol::Http, &server.endpoint());
    let fixture = Fixture::new(destination.clone());
    fixture.append(1..=2);
    fixture.until(|status| status.sent_messages == 2);
    fixture.exporters.reload(Vec::new()).unwrap();
    assert!(fixture.exporters.status().is_empty());
    fixture.append(3..=4);
    fixture.exporters.reload(vec![destination]).unwrap();
    fixture.until(|status| status.sent_messages == 2);
    assert!(fixture.exporters.finish(PATIENCE));
    assert_eq!(numbers(&server).1, [1, 2, 3, 4]);
}
