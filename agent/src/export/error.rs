//! Settings that can't be used. Each error names the destination, the cause and the remedy; none
//! holds anything secret.

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("Two destinations have the name `{0}`. Give each a name of its own.")]
    SameName(String),
    #[error("The destination `{name}` can't be used: {cause}.")]
    Destination { name: String, cause: SettingError },
    #[error(
        "The store does not take the destination `{name}`: {cause} Look at the folder of the store."
    )]
    Store {
        name: String,
        cause: crate::store::StoreError,
    },
    #[error(
        "The thread of the exporters can't be started: {0}. Look at the limits of threads and of \
         open files (ulimit -u, ulimit -n)."
    )]
    Thread(io::Error),
    #[error("The exporters have ended. Start the agent again.")]
    Ended,
}

/// What is wrong with one destination.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    #[error("the endpoint `{0}` is no URL; write e.g. http://collector:4317")]
    NoUrl(String),
    #[error(
        "the endpoint `{0}` has no scheme; write http:// before it for plain text or https:// for TLS"
    )]
    NoScheme(String),
    #[error("the endpoint `{endpoint}` has the scheme `{scheme}`; only http and https are known")]
    Scheme { endpoint: String, scheme: String },
    #[error("the endpoint `{0}` has a query, and a path has to be put behind it; leave it out")]
    Query(String),
    #[error(
        "the user or the password in the endpoint has a % that begins no two hex digits; write %25 for it"
    )]
    Escape,
    #[error("the header `{0}` has a name that HTTP does not allow; use letters, digits and -")]
    HeaderName(String),
    #[error(
        "the value of the header `{0}` has characters that HTTP does not allow; leave out line ends and other control characters"
    )]
    HeaderValue(String),
    #[error("the header `{0}` belongs to the protocol, and Strata sets it itself; leave it out")]
    HeaderTaken(String),
    #[error("authorization is given twice, by {0} and by {1}; leave one out")]
    TwoAuthorizations(&'static str, &'static str),
    #[error("the timeout is zero; give it e.g. 10s")]
    NoTime,
    #[error("a client certificate needs a key and a key a certificate; give both")]
    HalfPair,
    #[error("{what} {} can't be read: {cause}; see that it exists and that the agent may read it", path.display())]
    Unreadable {
        what: &'static str,
        path: PathBuf,
        cause: io::Error,
    },
    #[error("{what} {} is larger than {most} bytes; give the right file", path.display())]
    TooLarge {
        what: &'static str,
        path: PathBuf,
        most: u64,
    },
    #[error("{what} {} holds none (PEM is expected); give the right file", path.display())]
    NoPem { what: &'static str, path: PathBuf },
    #[error("{what} {} is damaged: {cause}; give the right file", path.display())]
    Pem {
        what: &'static str,
        path: PathBuf,
        cause: String,
    },
    #[error("the client certificate and its key can't be used: {0}; see that they belong together")]
    Pair(rustls::Error),
    #[error("the token file {} holds no token that may be sent; it must have one line of plain characters", .0.display())]
    Token(PathBuf),
    #[error("TLS can't be set up: {0}; this is a fault of Strata, please report it")]
    Tls(rustls::Error),
}
