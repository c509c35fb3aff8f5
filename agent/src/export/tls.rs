//! Whom TLS trusts and as whom it speaks. Certificates are read again when their files change.

use std::path::Path;
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt as _;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Tls;
use super::error::SettingError;
use super::files::{self, Look};

const ROOTS: &str = "the file of trusted certificates";
const CERTIFICATE: &str = "the client certificate";
const KEY: &str = "the client key";

/// The files as they look now; a client that was made of others is out of date.
pub fn looks(tls: &Tls) -> [Option<Look>; 3] {
    let files = [&tls.certificate, &tls.client_certificate, &tls.client_key];
    files.map(|file| file.as_deref().and_then(Look::at))
}

/// Reads all files.
pub fn config(tls: &Tls) -> Result<ClientConfig, SettingError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(SettingError::Tls)?;
    let builder = match &tls.certificate {
        Some(path) => builder.with_root_certificates(roots(path)?),
        // A container's image may have no certificates at all. Those of Mozilla are built in.
        None => match builder.clone().with_native_roots() {
            Ok(builder) => builder,
            Err(_) => {
                tracing::debug!(
                    "this system has no certificates: those that are built in are trusted"
                );
                builder.with_webpki_roots()
            }
        },
    };
    match (&tls.client_certificate, &tls.client_key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => {
            let chain = certificates(CERTIFICATE, certificate)?;
            let key = read_key(key)?;
            let config = builder.with_client_auth_cert(chain, key);
            config.map_err(SettingError::Pair)
        }
        _ => Err(SettingError::HalfPair),
    }
}

fn roots(path: &Path) -> Result<RootCertStore, SettingError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ROOTS, path)? {
        let added = roots.add(certificate);
        added.map_err(|error| damaged(ROOTS, path, &error))?;
    }
    Ok(roots)
}

fn certificates(
    what: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, SettingError> {
    let bytes = files::read(what, path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let all = all.map_err(|error| damaged(what, path, &error))?;
    if all.is_empty() {
        return Err(SettingError::NoPem {
            what,
            path: path.to_owned(),
        });
    }
    Ok(all)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, SettingError> {
    let bytes = files::read(KEY, path)?;
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => Ok(key),
        Err(rustls::pki_types::pem::Error::NoItemsFound) => Err(SettingError::NoPem {
            what: KEY,
            path: path.to_owned(),
        }),
        Err(error) => Err(damaged(KEY, path, &error)),
    }
}

fn damaged(what: &'static str, path: &Path, cause: &dyn std::fmt::Display) -> SettingError {
    SettingError::Pem {
        what,
        path: path.to_owned(),
        cause: cause.to_string(),
    }
}
