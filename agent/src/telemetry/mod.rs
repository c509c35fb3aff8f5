//! The agent's own metrics, health and state, over HTTP: what it does, what that costs, and what it
//! could not do.
//!
//! The run loop publishes a [`Status`] after each batch; requests read the last one. So a scrape
//! never waits for sampling, and sampling never waits for a scrape.

mod connection;
mod escape;
mod exposition;
mod health;
mod history;
mod metrics;
mod own;
mod page;
mod routes;
mod server;
mod status;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use health::Pulse;
use history::{History, Moment};
use own::Own;
use server::Traffic;
pub use server::serve;
pub use status::{Batches, Executable, Labels, Sampling, Settings, Status, Table};

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error(
        "{address} can't be listened on for metrics and health: {source}. Most often another \
         program, or another agent, has that port; choose another address or end that program."
    )]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("the thread that serves metrics and health can't be started: {0}")]
    Thread(std::io::Error),
}

/// What the agent tells and the server shows.
pub struct Telemetry {
    /// When this was made, which is when the agent started, by both clocks.
    created: Instant,
    started: SystemTime,
    state: Mutex<State>,
    own: own::Cached,
    traffic: Traffic,
}

struct State {
    status: Arc<Status>,
    pulse: Pulse,
    history: History,
}

/// All that an answer is made of.
struct Snapshot {
    status: Arc<Status>,
    pulse: Pulse,
    history: Vec<Moment>,
    own: Own,
    created: Instant,
    started: SystemTime,
    now: Instant,
}

/// Executables that are shown.
const SLOWEST: usize = 20;

impl Snapshot {
    /// The executables that took longest to prepare, the slowest first.
    fn slowest(&self) -> Vec<&Executable> {
        let mut executables: Vec<&Executable> = self.status.executables.iter().collect();
        executables.sort_by_key(|executable| Reverse(executable.duration));
        executables.truncate(SLOWEST);
        executables
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            created: now,
            started: SystemTime::now(),
            state: Mutex::new(State {
                status: Arc::default(),
                pulse: Pulse::new(now),
                history: History::default(),
            }),
            own: own::Cached::default(),
            traffic: Traffic::default(),
        }
    }
}

impl Telemetry {
    /// Publishes what holds now. Called after each batch; also when one failed, so that it shows.
    pub fn update(&self, status: Status) {
        let now = Instant::now();
        let own = self.own.get(now);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.pulse.beat(now, status.batches.count);
        state.history.add(Moment::of(now, &status, &own));
        state.status = Arc::new(status);
    }

    fn snapshot(&self) -> Snapshot {
        let now = Instant::now();
        let own = self.own.get(now);
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Snapshot {
            status: Arc::clone(&state.status),
            pulse: state.pulse,
            history: state.history.moments(),
            own,
            created: self.created,
            started: self.started,
            now,
        }
    }
}
