//! TLS with a real Collector: whom it trusts, as whom it speaks, and certificates that come to their
//! end while it runs.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

use super::collector::{Collector, assert_received, free_port};
use super::*;

/// An authority with its files.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Writes a certificate for localhost and its key: `NAME.pem`, `NAME.key`.
    fn certify(&self, folder: &Path, name: &str, expired: bool) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        if expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn write(&self, path: &Path) {
        fs::write(path, &self.pem).unwrap();
    }
}

/// The Collector's settings.
fn server(folder: &Path, clients: Option<&Path>) -> String {
    let clients = clients.map_or(String::new(), |path| {
        format!(", client_ca_file: \"{}\"", path.display())
    });
    let file = |name: &str| folder.join(name).display().to_string();
    let (certificate, key) = (file("server.pem"), file("server.key"));
    format!(", tls: {{cert_file: \"{certificate}\", key_file: \"{key}\"{clients}}}")
}

const PROTOCOLS: [Protocol; 2] = [Protocol::Grpc, Protocol::Http];

fn trusting(collector: &Collector, protocol: Protocol, roots: PathBuf) -> Destination {
    let mut destination = to(protocol, &collector.endpoint("https", protocol));
    destination.tls.certificate = Some(roots);
    destination
}

fn failed(code: &'static str) -> impl Fn(&Status) -> bool {
    move |status| status.answers.get(code).is_some_and(|times| *times > 2)
}

#[test]
fn a_server_is_trusted_by_the_roots_that_are_given_and_by_no_others() {
    let folder = TempDir::new().unwrap();
    let (right, wrong) = (Authority::new(), Authority::new());
    right.certify(folder.path(), "server", false);
    let roots = folder.path().join("roots.pem");
    let Some(collector) = Collector::start(&server(folder.path(), None)) else {
        return;
    };
    let mut expected = Vec::new();
    for (first, protocol) in [(1, Protocol::Grpc), (4, Protocol::Http)] {
        wrong.write(&roots);
        let fixture = Fixture::new(trusting(&collector, protocol, roots.clone()));
        fixture.append(first..first + 3);
        let status = fixture.until(failed("tls"));
        let cause = status.last_error.unwrap_or_default();
        assert!(cause.contains("certificate"), "{cause}");
        // Mended by putting the right roots in their place.
        right.write(&roots);
        fixture.until(|status| status.sent_messages == 3);
        expected.extend(first..first + 3);
        assert_received(&collector, &expected);
    }
    // The system's roots do not know it either.
    let unknown = to(Protocol::Http, &collector.endpoint("https", Protocol::Http));
    let fixture = Fixture::new(unknown);
    fixture.append([7]);
    fixture.until(failed("tls"));
}

#[test]
fn a_certificate_that_has_expired_holds_messages_up_until_it_is_renewed() {
    for protocol in PROTOCOLS {
        let folder = TempDir::new().unwrap();
        let authority = Authority::new();
        let roots = folder.path().join("roots.pem");
        authority.write(&roots);
        authority.certify(folder.path(), "server", true);
        let settings = server(folder.path(), None);
        let Some(collector) = Collector::start(&settings) else {
            return;
        };
        let (grpc, http) = (collector.grpc, collector.http);
        let fixture = Fixture::new(trusting(&collector, protocol, roots));
        fixture.append(1..=2);
        let status = fixture.until(failed("tls"));
        let cause = status.last_error.unwrap_or_default();
        assert!(cause.contains("expired"), "{cause}");
        let written = collector.kill();
        authority.certify(folder.path(), "server", false);
        let collector = Collector::start_in(written, grpc, http, &settings).unwrap();
        let status = fixture.until(|status| status.sent_messages == 2);
        assert_eq!(status.rejected_messages, 0);
        assert_received(&collector, &[1, 2]);
    }
}

#[test]
fn a_client_shows_its_certificate_and_takes_a_new_one_when_it_changes() {
    let folder = TempDir::new().unwrap();
    let (ours, stranger) = (Authority::new(), Authority::new());
    let roots = folder.path().join("roots.pem");
    ours.write(&roots);
    ours.certify(folder.path(), "server", false);
    let Some(collector) = Collector::start(&server(folder.path(), Some(&roots))) else {
        return;
    };
    let mut expected = Vec::new();
    for (first, protocol) in [(1, Protocol::Grpc), (4, Protocol::Http)] {
        // One that the Collector does not know.
        stranger.certify(folder.path(), "client", false);
        let mut destination = trusting(&collector, protocol, roots.clone());
        destination.tls.client_certificate = Some(folder.path().join("client.pem"));
        destination.tls.client_key = Some(folder.path().join("client.key"));
        let fixture = Fixture::new(destination);
        fixture.append(first..first + 2);
        let status = fixture.until(|status| status.retries > 2);
        assert_eq!(status.sent_messages, 0, "{status:?}");
        ours.certify(folder.path(), "client", false);
        fixture.until(|status| status.sent_messages == 2);
        // A pair that is half replaced, or damaged, changes nothing for a client that works.
        fs::write(folder.path().join("client.key"), "damaged").unwrap();
        fixture.append([first + 2]);
        let status = fixture.until(|status| status.sent_messages == 3);
        assert_eq!(status.rejected_messages, 0);
        expected.extend(first..first + 3);
        assert_received(&collector, &expected);
    }
}

#[test]
fn a_pair_that_does_not_belong_together_is_refused_at_the_start() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new();
    authority.certify(folder.path(), "one", false);
    authority.certify(folder.path(), "two", false);
    let mut destination = to(Protocol::Grpc, "https://localhost:4317");
    destination.tls.client_certificate = Some(folder.path().join("one.pem"));
    destination.tls.client_key = Some(folder.path().join("two.key"));
    let error = crate::export::check(&[destination]).expect_err("they differ");
    assert!(error.to_string().contains("belong together"), "{error}");
}

#[test]
fn plain_text_to_a_port_of_tls_and_the_other_way_lose_nothing() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new();
    authority.certify(folder.path(), "server", false);
    let Some(secure) = Collector::start(&server(folder.path(), None)) else {
        return;
    };
    let plain = Collector::start("").unwrap();
    for protocol in PROTOCOLS {
        for endpoint in [
            secure.endpoint("http", protocol),
            plain.endpoint("https", protocol),
            format!("https://127.0.0.1:{}", free_port()),
        ] {
            let patient = Pace {
                doubtful: 1000,
                ..QUICK
            };
            let mut destination = to(protocol, &endpoint);
            destination.timeout = Duration::from_millis(500);
            let fixture = Fixture::of(vec![destination], patient);
            fixture.append([1]);
            let status = fixture.until(|status| status.retries > 2);
            let lost = status.sent_messages + status.rejected_messages;
            assert_eq!(lost, 0, "{endpoint}: {status:?}");
        }
    }
}
