//! The server: a thread of its own, a bounded number of connections, of which each is answered
//! once within a bounded time.

use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::connection::{self, End};
use super::{Telemetry, TelemetryError};

/// Connections at once. A newer one ends the oldest: whoever holds many open and says nothing
/// keeps nobody else out.
pub const CONNECTIONS: usize = 32;

/// Serves until the end of the process, on a thread of its own; the address in use.
pub fn serve(listen: SocketAddr, telemetry: Arc<Telemetry>) -> Result<SocketAddr, TelemetryError> {
    let failed = |source| TelemetryError::Listen {
        address: listen,
        source,
    };
    let listener = TcpListener::bind(listen).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(TelemetryError::Thread)?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener).map_err(failed)?
    };
    thread::Builder::new()
        .name("telemetry".to_owned())
        .spawn(move || runtime.block_on(accept(&listener, address, &telemetry)))
        .map_err(TelemetryError::Thread)?;
    Ok(address)
}

async fn accept(
    listener: &tokio::net::TcpListener,
    address: SocketAddr,
    telemetry: &Arc<Telemetry>,
) {
    let mut open: VecDeque<JoinHandle<()>> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Most often no descriptor is left; others may be given back.
                tracing::debug!(%error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
            telemetry.traffic.too_many.fetch_add(1, Relaxed);
        }
        let telemetry = Arc::clone(telemetry);
        open.push_back(tokio::spawn(async move {
            match connection::answer(stream, address, &telemetry).await {
                End::Answered => {}
                End::TooSlow => drop(telemetry.traffic.too_slow.fetch_add(1, Relaxed)),
                End::Broken => drop(telemetry.traffic.broken.fetch_add(1, Relaxed)),
            }
        }));
    }
}

/// What the server did.
#[derive(Default)]
pub struct Traffic {
    requests: [AtomicU64; PATHS.len()],
    too_many: AtomicU64,
    too_slow: AtomicU64,
    broken: AtomicU64,
}

/// Paths as the metric names them.
const PATHS: [&str; 5] = ["metrics", "healthz", "readyz", "status", "other"];

impl Traffic {
    /// A request; to `other` unless the path is among those that are counted.
    pub fn count(&self, path: &str) {
        let place = PATHS.iter().position(|known| *known == path);
        let place = place.unwrap_or(PATHS.len() - 1);
        self.requests[place].fetch_add(1, Relaxed);
    }

    pub fn requests(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.requests.iter().map(|count| count.load(Relaxed));
        PATHS.into_iter().zip(counts).collect()
    }

    pub fn closed(&self) -> BTreeMap<&'static str, u64> {
        BTreeMap::from([
            ("too_many", self.too_many.load(Relaxed)),
            ("too_slow", self.too_slow.load(Relaxed)),
            ("broken", self.broken.load(Relaxed)),
        ])
    }
}
