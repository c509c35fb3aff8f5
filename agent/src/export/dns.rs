//! Names of hosts. The C library's resolver is not asked, since a static program has none that reads
//! nsswitch.conf: `/etc/hosts` counts first, then the name servers of `/etc/resolv.conf`. Both are
//! read again when they change.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use super::files::Look;

const SERVERS: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    #[error("the name `{0}` is not known: {1}")]
    Unknown(String, NetError),
    #[error("{SERVERS} can't be used: {0}")]
    Settings(NetError),
    #[error("no name server answered for `{0}` within 5 s")]
    Silence(String),
}

type Looks = [Option<Look>; 2];

#[derive(Clone, Default)]
pub struct Resolver {
    /// Made at the first name, since addresses need none.
    made: Arc<Mutex<Option<(Looks, TokioResolver)>>>,
}

impl Resolver {
    fn current(&self) -> Result<TokioResolver, DnsError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let now = [SERVERS, HOSTS].map(|path| Look::at(Path::new(path)));
        if let Some((looks, resolver)) = &*made
            && *looks == now
        {
            return Ok(resolver.clone());
        }
        let builder = match TokioResolver::builder_tokio() {
            Ok(builder) => builder,
            Err(_) if now[0].is_none() => local(),
            Err(error) => return Err(DnsError::Settings(error)),
        };
        let resolver = builder.build().map_err(DnsError::Settings)?;
        *made = Some((now, resolver.clone()));
        Ok(resolver)
    }

    async fn addresses(self, name: String) -> Result<std::vec::IntoIter<SocketAddr>, DnsError> {
        let resolver = self.current()?;
        let lookup = tokio::time::timeout(TIMEOUT, resolver.lookup_ip(name.as_str())).await;
        match lookup {
            Err(_) => Err(DnsError::Silence(name)),
            Ok(Err(error)) => Err(DnsError::Unknown(name, error)),
            Ok(Ok(found)) => {
                let addresses: Vec<_> = found.iter().map(|ip| SocketAddr::new(ip, 0)).collect();
                if addresses.is_empty() {
                    let none = io::Error::other("it has no address");
                    return Err(DnsError::Unknown(name, none.into()));
                }
                Ok(addresses.into_iter())
            }
        }
    }
}

/// Where there is no resolv.conf, the name server is on this machine (resolv.conf(5)).
fn local() -> hickory_resolver::ResolverBuilder<TokioRuntimeProvider> {
    let server = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let config = ResolverConfig::from_name_servers(vec![server]);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = DnsError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DnsError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context) -> Poll<Result<(), DnsError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(self.clone().addresses(name.as_str().to_owned()))
    }
}
