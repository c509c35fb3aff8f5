//! A destination whose settings were checked: the URL to post to and the headers that go along.

use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Scheme, Uri};

use super::error::SettingError;
use super::{Compression, Destination, Protocol, Tls, files, tls};

/// Headers that say how the message is to be read.
const TAKEN: [&str; 8] = [
    "content-type",
    "content-encoding",
    "content-length",
    "transfer-encoding",
    "connection",
    "host",
    "te",
    "grpc-encoding",
];
const TOKEN_FILE: &str = "the token file";

#[derive(Debug)]
pub struct Target {
    pub uri: Uri,
    /// What was set, and authorization if it is in the endpoint.
    pub headers: HeaderMap,
}

impl Target {
    /// Looks at all settings, and reads the files that they name.
    pub fn new(destination: &Destination) -> Result<Self, SettingError> {
        if destination.timeout.is_zero() {
            return Err(SettingError::NoTime);
        }
        let (uri, user) = parse(&destination.endpoint)?;
        let uri = with_path(uri, destination)?;
        let mut headers = headers(&destination.headers)?;
        let header = headers.contains_key(AUTHORIZATION).then_some("a header");
        let token = destination.token_file.as_ref().map(|_| "a token file");
        let endpoint = user.as_ref().map(|_| "the endpoint");
        let mut given = [header, token, endpoint].into_iter().flatten();
        if let (Some(one), Some(other)) = (given.next(), given.next()) {
            return Err(SettingError::TwoAuthorizations(one, other));
        }
        if let Some(user) = user {
            headers.insert(AUTHORIZATION, basic(&user)?);
        }
        bearer(destination)?;
        tls::config(&destination.tls)?;
        Ok(Self { uri, headers })
    }

    /// What is allowed and hardly meant.
    pub fn warnings(&self, destination: &Destination) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if self.uri.scheme() != Some(&Scheme::HTTP) {
            return warnings;
        }
        let host = self.uri.host().unwrap_or_default();
        let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        let here = host == "localhost" || address.is_some_and(|it| it.is_loopback());
        let secrets = destination.token_file.is_some() || !self.headers.is_empty();
        if secrets && !here {
            warnings.push("Headers and tokens go to another machine in plain text. Use https://.");
        }
        if destination.tls != Tls::default() {
            warnings.push("Its certificates have no effect, since http:// means no TLS.");
        }
        warnings
    }
}

/// The token as a header, if there is a file for it.
pub fn bearer(destination: &Destination) -> Result<Option<HeaderValue>, SettingError> {
    let Some(path) = &destination.token_file else {
        return Ok(None);
    };
    let bytes = files::read(TOKEN_FILE, path)?;
    let unfit = || SettingError::Token(path.clone());
    let text = std::str::from_utf8(&bytes).map_err(|_| unfit())?.trim();
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        return Err(unfit());
    }
    let value = HeaderValue::from_str(&format!("Bearer {text}"));
    value.map(secret).map(Some).map_err(|_| unfit())
}

/// The URL without user and password, and these.
fn parse(endpoint: &str) -> Result<(Uri, Option<String>), SettingError> {
    let shown = || super::redacted(endpoint);
    let Some((scheme, rest)) = endpoint.split_once("://") else {
        return Err(SettingError::NoScheme(shown()));
    };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (user, rest) = match rest[..authority].rfind('@') {
        Some(at) => (Some(rest[..at].to_owned()), &rest[at + 1..]),
        None => (None, rest),
    };
    let uri: Uri = format!("{scheme}://{rest}")
        .parse()
        .map_err(|_| SettingError::NoUrl(shown()))?;
    if ![Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme()) {
        return Err(SettingError::Scheme {
            endpoint: shown(),
            scheme: scheme.to_owned(),
        });
    }
    match uri.host() {
        None | Some("") => Err(SettingError::NoUrl(shown())),
        Some(_) => Ok((uri, user)),
    }
}

fn with_path(uri: Uri, destination: &Destination) -> Result<Uri, SettingError> {
    let path = match destination.protocol {
        Protocol::Http if destination.exact => return Ok(uri),
        Protocol::Http => "/v1development/profiles",
        Protocol::Grpc => {
            "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"
        }
        Protocol::Pyroscope => "/push.v1.PusherService/Push",
        Protocol::Parca => "/parca.profilestore.v1alpha1.ProfileStoreService/WriteRaw",
    };
    if uri.query().is_some() {
        return Err(SettingError::Query(destination.shown_endpoint()));
    }
    let path = format!("{}{path}", uri.path().trim_end_matches('/'));
    let no_url = || SettingError::NoUrl(destination.shown_endpoint());
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).map_err(|_| no_url())?);
    Uri::from_parts(parts).map_err(|_| no_url())
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap, SettingError> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let parsed: HeaderName = name
            .parse()
            .map_err(|_| SettingError::HeaderName(name.clone()))?;
        if TAKEN.contains(&parsed.as_str()) {
            return Err(SettingError::HeaderTaken(name.clone()));
        }
        let value = HeaderValue::from_str(value);
        let value = value.map_err(|_| SettingError::HeaderValue(name.clone()))?;
        headers.append(parsed, secret(value));
    }
    Ok(headers)
}

fn basic(user: &str) -> Result<HeaderValue, SettingError> {
    let user = unescaped(user).ok_or(SettingError::Escape)?;
    let value = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(user)));
    value.map(secret).map_err(|_| SettingError::Escape)
}

/// Undoes %41.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2)?;
        let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| plain)?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    Some(bytes)
}

/// Marked, so that nothing that shows headers shows it.
fn secret(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// What `content-encoding` and `grpc-encoding` call it.
pub fn encoding(compression: Compression) -> Option<HeaderValue> {
    match compression {
        Compression::None => None,
        Compression::Gzip => Some(HeaderValue::from_static("gzip")),
        Compression::Zstd => Some(HeaderValue::from_static("zstd")),
    }
}
