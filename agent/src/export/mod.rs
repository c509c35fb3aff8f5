//! Ships what the store holds: one file a protocol, and a queue, which is the store itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::store::Store;

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
    /// E.g. `http://collector:4317`.
    pub endpoint: String,
    /// Secret.
    pub headers: Vec<(String, String)>,
    /// A bearer token is in this file, which is read again when it changes.
    pub token_file: Option<PathBuf>,
    pub compression: Compression,
    /// Of one request.
    pub timeout: Duration,
    pub tls: Tls,
}

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("not there yet")]
    Todo,
}

/// What came of one destination.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub name: String,
    pub endpoint: String,
    pub sent_messages: u64,
    pub sent_bytes: u64,
    pub sent_samples: u64,
    /// Answers by code: `ok`, `http_503`, `grpc_unavailable`, `timeout`, `connect`, `dns`, `tls` …
    pub answers: BTreeMap<String, u64>,
    /// Samples that the other side refused, and messages that were given up as refused for good.
    pub rejected_samples: u64,
    pub rejected_messages: u64,
    pub retries: u64,
    pub last_error: Option<String>,
    /// ns since 1970.
    pub last_success: Option<u64>,
    /// When the next try is due, if the last one failed.
    pub waits_until: Option<u64>,
}

/// The exporters, on a thread of their own.
pub struct Exporters;

impl Exporters {
    /// Checks all settings, registers the destinations with the store and begins to ship.
    pub fn start(_destinations: Vec<Destination>, _store: Arc<Store>) -> Result<Self, ExportError> {
        Err(ExportError::Todo)
    }

    /// Takes other destinations from now on; those that stay the same go on undisturbed.
    pub fn reload(&self, _destinations: Vec<Destination>) -> Result<(), ExportError> {
        Err(ExportError::Todo)
    }

    pub fn status(&self) -> Vec<Status> {
        Vec::new()
    }

    /// Ships what waits, for as long as this at most, and ends. Whether all was shipped.
    pub fn finish(self, _deadline: Duration) -> bool {
        true
    }
}
