//! Where the settings say to ship to.

use super::Values;
use super::resolve::Origin;
use super::url::Url;
use super::value::Value;
use crate::export::{Compression, Destination, Protocol, Tls};

pub fn of(values: &Values<'_>) -> Vec<Destination> {
    let push = [
        ("pyroscope", Protocol::Pyroscope),
        ("parca", Protocol::Parca),
    ];
    let push = push
        .into_iter()
        .filter_map(|(name, protocol)| pushed(values, name, protocol));
    otlp(values).into_iter().chain(push).collect()
}

fn otlp(values: &Values<'_>) -> Option<Destination> {
    let url = url(values, "otlp-endpoint")?;
    let protocol = match values.choice("otlp-protocol") {
        "http/protobuf" => Protocol::Http,
        _ => Protocol::Grpc,
    };
    let endpoint = url.whole(values.switch("otlp-insecure"));
    Some(Destination {
        exact: protocol == Protocol::Http && is_exact(values, url),
        headers: values.pairs("otlp-headers"),
        token_file: values.path("otlp-token-file"),
        compression: match values.choice("otlp-compression") {
            "none" => Compression::None,
            "zstd" => Compression::Zstd,
            _ => Compression::Gzip,
        },
        timeout: values.duration("otlp-timeout"),
        tls: Tls {
            certificate: values.path("otlp-certificate"),
            client_certificate: values.path("otlp-client-certificate"),
            client_key: values.path("otlp-client-key"),
        },
        ..Destination::new("otlp", protocol, &endpoint)
    })
}

/// Whether the URL says the path too. By OpenTelemetry's rules that of its variable for profiles
/// does; without a path in it, people hardly mean `/`.
fn is_exact(values: &Values<'_>, url: &Url) -> bool {
    let variable = "OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT";
    let origin = values.held("otlp-endpoint").map(|held| &held.origin);
    let is_of_profiles = matches!(origin, Some(Origin::Variable(name)) if name == variable);
    url.path.ends_with("/profiles") || (is_of_profiles && !url.path.is_empty())
}

fn pushed(values: &Values<'_>, name: &str, protocol: Protocol) -> Option<Destination> {
    let key = |what: &str| format!("push-{name}{what}");
    let url = url(values, &key(""))?;
    Some(Destination {
        headers: values.pairs(&key("-headers")),
        token_file: values.path(&key("-token-file")),
        tls: Tls {
            certificate: values.path(&key("-certificate")),
            ..Tls::default()
        },
        ..Destination::new(name, protocol, &url.whole(false))
    })
}

fn url<'a>(values: &'a Values<'_>, name: &str) -> Option<&'a Url> {
    match values.get(name) {
        Value::Url(url) => Some(url),
        _ => None,
    }
}

/// What is not wrong and hardly meant.
pub fn warnings(values: &Values<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |right: bool, text: &str| {
        if !right {
            warnings.push(text.to_owned());
        }
    };
    let has = |name: &str| values.get(name) != &Value::None;
    for (what, name) in [
        ("otlp", "otlp-endpoint"),
        ("push-pyroscope", "push-pyroscope"),
        ("push-parca", "push-parca"),
    ] {
        for of in ["headers", "token-file", "certificate"] {
            let of = format!("{what}-{of}");
            let text = format!("{of} has no effect, since {name} is not set");
            warn(has(name) || !has(&of), &text);
        }
    }
    if let Some(url) = url(values, "otlp-endpoint") {
        let http = values.choice("otlp-protocol") == "http/protobuf";
        warn(
            http || url.port() != Some(4318),
            "otlp-endpoint has port 4318, which is usually that of http/protobuf, and \
             otlp-protocol is grpc",
        );
        warn(
            !http || url.port() != Some(4317),
            "otlp-endpoint has port 4317, which is usually that of grpc, and otlp-protocol is \
             http/protobuf",
        );
        warn(
            has("otlp-client-certificate") == has("otlp-client-key"),
            "otlp-client-certificate and otlp-client-key are only of use together",
        );
    }
    warnings
}
