//! Rules that need no server: settings that are refused, times to wait.

use std::fs;
use std::time::SystemTime;

use http::{HeaderMap, StatusCode};

use super::*;
use crate::export::verdict::{self, Verdict};
use crate::export::{check, target::Target};

type Change<'a> = &'a dyn Fn(&mut Destination);

#[test]
fn settings_that_cant_be_used_are_refused_with_the_reason() {
    let folder = TempDir::new().unwrap();
    let empty = folder.path().join("empty");
    fs::write(&empty, "\n").unwrap();
    let missing = folder.path().join("missing");
    let base = || to(Protocol::Http, "http://collector:4318");
    let with = |change: &dyn Fn(&mut Destination)| {
        let mut destination = base();
        change(&mut destination);
        check(&[destination]).map_err(|error| error.to_string())
    };
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let cases: [(Change<'_>, &str); 18] = [
        (&|it| it.endpoint = "collector:4318".into(), "has no scheme"),
        (&|it| it.endpoint = String::new(), "has no scheme"),
        (&|it| it.endpoint = "ftp://collector".into(), "`ftp`"),
        (&|it| it.endpoint = "http://".into(), "is no URL"),
        (&|it| it.endpoint = "http:///path".into(), "is no URL"),
        (&|it| it.endpoint = "http://a b".into(), "is no URL"),
        (
            &|it| it.endpoint = "http://a/?token=secret".into(),
            "has a query",
        ),
        (
            &|it| it.endpoint = "http://u:secret%@a/".into(),
            "no two hex digits",
        ),
        (&|it| it.headers = header("a b", "secret"), "`a b`"),
        (
            &|it| it.headers = header("x", "secret\nevil"),
            "value of the header `x`",
        ),
        (
            &|it| it.headers = header("Content-Type", "secret"),
            "sets it itself",
        ),
        (&|it| it.timeout = Duration::ZERO, "timeout is zero"),
        (&|it| it.tls.client_key = Some(empty.clone()), "needs a key"),
        (&|it| it.tls.certificate = Some(empty.clone()), "holds none"),
        (
            &|it| it.tls.certificate = Some(missing.clone()),
            "can't be read",
        ),
        (
            &|it| it.tls.certificate = Some(folder.path().into()),
            "no plain file",
        ),
        (&|it| it.token_file = Some(empty.clone()), "holds no token"),
        (
            &|it| {
                it.endpoint = "http://u:secret@a".into();
                it.headers = header("authorization", "secret");
            },
            "given twice",
        ),
    ];
    for (change, expected) in cases {
        let error = with(change).expect_err(expected);
        assert!(error.contains(expected), "{error}");
        assert!(
            error.contains("`there`") && !error.contains("secret"),
            "{error}"
        );
    }
    assert_eq!(with(&|_| {}), Ok(()));
    let twice = check(&[base(), base()]).expect_err("one name").to_string();
    assert!(twice.contains("Two destinations"), "{twice}");
}

#[test]
fn paths_are_put_behind_the_endpoint() {
    for (protocol, endpoint, exact, expected) in [
        (
            Protocol::Http,
            "http://a",
            false,
            "http://a/v1development/profiles",
        ),
        (
            Protocol::Http,
            "http://a:1/x/",
            false,
            "http://a:1/x/v1development/profiles",
        ),
        (Protocol::Http, "http://a:1/x/", true, "http://a:1/x/"),
        (Protocol::Http, "http://u:p@a/x?y=z", true, "http://a/x?y=z"),
        (
            Protocol::Pyroscope,
            "https://[::1]:4040",
            false,
            "https://[::1]:4040/push.v1.PusherService/Push",
        ),
    ] {
        let mut destination = to(protocol, endpoint);
        destination.exact = exact;
        assert_eq!(Target::new(&destination).unwrap().uri, expected);
    }
}

#[test]
fn retry_after_is_seconds_or_a_date_and_bounded() {
    let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
    for (text, expected) in [
        ("0", Some(0)),
        ("7", Some(7)),
        ("99999999999", Some(300)),
        ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
        ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
        ("Sat, 06 Nov 2094 08:00:00 GMT", Some(300)),
        ("-1", None),
        ("soon", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", text.parse().unwrap());
        let wait = verdict::retry_after(&headers, now);
        assert_eq!(wait, expected.map(Duration::from_secs), "{text}");
    }
    assert_eq!(
        verdict::retry_after(&HeaderMap::new(), SystemTime::now()),
        None
    );
}

#[test]
fn every_status_has_its_meaning() {
    let later = Verdict::Later(None);
    for (status, ours, expected) in [
        (400, true, Verdict::Refused),
        (400, false, Verdict::Doubtful),
        (413, false, Verdict::Refused),
        (500, false, Verdict::Doubtful),
        (401, false, Verdict::Blocked),
        (403, false, Verdict::Blocked),
        (404, false, Verdict::Blocked),
        (302, false, Verdict::Blocked),
        (415, false, Verdict::Blocked),
        (408, false, later),
        (429, false, later),
        (502, false, later),
        (503, false, later),
        (504, false, later),
        (599, false, later),
    ] {
        let code = StatusCode::from_u16(status).unwrap();
        let outcome = verdict::of_status(code, &HeaderMap::new(), ours, "why\x1b[31m\n");
        assert_eq!(outcome.verdict, expected, "{status}");
        assert_eq!(outcome.code, format!("http_{status}"));
        assert!(!outcome.cause.contains('\x1b'), "{:?}", outcome.cause);
    }
}

#[test]
fn secrets_in_plain_text_are_warned_of() {
    let warnings = |endpoint: &str, headers: &[(&str, &str)]| {
        let mut destination = to(Protocol::Http, endpoint);
        let header = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        destination.headers = headers.iter().map(header).collect();
        Target::new(&destination)
            .unwrap()
            .warnings(&destination)
            .len()
    };
    let secret = [("x-key", "secret")];
    for (endpoint, headers, expected) in [
        ("http://collector", &secret[..], 1),
        ("http://u:p@10.0.0.1:1", &[], 1),
        ("http://collector", &[], 0),
        ("http://localhost:1", &secret, 0),
        ("http://127.0.0.9:1", &secret, 0),
        ("http://[::1]:1", &secret, 0),
        ("https://collector", &secret, 0),
    ] {
        assert_eq!(warnings(endpoint, headers), expected, "{endpoint}");
    }
}
