//! Where to ship to, as it was set. What is secret in it is never shown.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    Grpc,
    /// OTLP over HTTP as protobuf.
    Http,
    /// push.v1.PusherService/Push
    Pyroscope,
    /// parca.profilestore.v1alpha1.ProfileStoreService/WriteRaw
    Parca,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    None,
    #[default]
    Gzip,
    Zstd,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Roots to trust instead of the system's (PEM).
    pub certificate: Option<PathBuf>,
    pub client_certificate: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
}

/// Where to ship to.
#[derive(Clone, PartialEq, Eq)]
pub struct Destination {
    /// Its name in the store, metrics and logs.
    pub name: String,
    pub protocol: Protocol,
    /// E.g. `http://collector:4317`. A user and a password before the host become basic authorization.
    pub endpoint: String,
    /// The endpoint is of this signal alone: its path is used as it is, instead of having the
    /// protocol's appended. Of OTLP over HTTP only.
    pub exact: bool,
    /// Secret.
    pub headers: Vec<(String, String)>,
    /// A bearer token is in this file, which is read again when it changes.
    pub token_file: Option<PathBuf>,
    pub compression: Compression,
    /// Of one request.
    pub timeout: Duration,
    pub tls: Tls,
}

impl Destination {
    /// With OpenTelemetry's defaults for what is not given.
    pub fn new(name: &str, protocol: Protocol, endpoint: &str) -> Self {
        Self {
            name: name.to_owned(),
            protocol,
            endpoint: endpoint.to_owned(),
            exact: false,
            headers: Vec::new(),
            token_file: None,
            compression: Compression::default(),
            timeout: Duration::from_secs(10),
            tls: Tls::default(),
        }
    }

    /// The endpoint without the password that may be in it.
    pub fn shown_endpoint(&self) -> String {
        redacted(&self.endpoint)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        let headers = self.headers.iter().map(|(name, _)| (name, "…"));
        to.debug_struct("Destination")
            .field("name", &self.name)
            .field("protocol", &self.protocol)
            .field("endpoint", &self.shown_endpoint())
            .field("exact", &self.exact)
            .field("headers", &headers.collect::<Vec<_>>())
            .field("token_file", &self.token_file)
            .field("compression", &self.compression)
            .field("timeout", &self.timeout)
            .field("tls", &self.tls)
            .finish()
    }
}

/// A URL without its user and password, and without what may be a token in its query.
pub fn redacted(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    // A password that nobody escaped may have a slash in it: the last @ counts.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("…@", rest),
        None => ("", rest),
    };
    match rest.split_once('?') {
        Some((rest, _)) => format!("{scheme}{user}{rest}?…"),
        None => format!("{scheme}{user}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for (url, shown) in [
            ("http://collector:4317", "http://collector:4317"),
            ("https://u:secret@host/a/b", "https://…@host/a/b"),
            ("https://u:sec/ret@host/a", "https://…@host/a"),
            ("https://host/v1?token=secret", "https://host/v1?…"),
            ("u:secret@host", "…@host"),
            ("", ""),
        ] {
            assert_eq!(redacted(url), shown);
        }
        let mut destination = Destination::new("a", Protocol::Http, "https://u:secret@host/");
        destination.headers = vec![("x-key".to_owned(), "secret".to_owned())];
        let shown = format!("{destination:?}");
        assert!(
            shown.contains("x-key") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
