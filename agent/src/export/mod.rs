//! Ships what the store holds: one file a protocol, and a queue, which is the store itself.
//!
//! [`worker`] is the loop of one destination, [`wire`] what it sends, [`client`] the way there,
//! [`verdict`] what an answer means. Messages are sent as they are in the store.

mod client;
mod compress;
mod destination;
mod dns;
mod error;
mod files;
mod grpc;
mod notes;
mod otlp;
mod pace;
mod parca;
mod pyroscope;
mod series;
mod target;
mod tls;
mod verdict;
mod wire;
mod worker;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::store::Store;
pub use destination::{Compression, Destination, Protocol, Tls, redacted};
pub use error::{ExportError, SettingError};
use pace::Pace;
use target::Target;
use worker::{Order, State, Worker, lock};

/// What came of one destination.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub name: String,
    /// Without secrets.
    pub endpoint: String,
    pub sent_messages: u64,
    pub sent_bytes: u64,
    pub sent_samples: u64,
    /// Answers by code: `ok`, `http_503`, `grpc_unavailable`, `timeout`, `connect`, `dns`, `tls` …
    pub answers: BTreeMap<String, u64>,
    /// Profiles that were refused of messages that were taken.
    pub rejected_profiles: u64,
    /// Messages that were given up as refused for good, and the samples in them.
    pub rejected_samples: u64,
    pub rejected_messages: u64,
    pub retries: u64,
    pub last_error: Option<String>,
    /// ns since 1970.
    pub last_success: Option<u64>,
    /// When the next try is due, if the last one failed.
    pub waits_until: Option<u64>,
}

/// Looks at all settings of destinations, and reads the files that they name.
pub fn check(destinations: &[Destination]) -> Result<(), ExportError> {
    names(destinations)?;
    destinations.iter().try_for_each(|it| target(it).map(drop))
}

fn names(destinations: &[Destination]) -> Result<(), ExportError> {
    let mut names = HashSet::new();
    match destinations.iter().find(|it| !names.insert(&it.name)) {
        Some(twice) => Err(ExportError::SameName(twice.name.clone())),
        None => Ok(()),
    }
}

fn target(destination: &Destination) -> Result<Target, ExportError> {
    Target::new(destination).map_err(|cause| ExportError::Destination {
        name: destination.name.clone(),
        cause,
    })
}

/// The exporters, on a thread of their own.
pub struct Exporters {
    store: Arc<Store>,
    pace: Pace,
    runtime: Handle,
    workers: Mutex<Workers>,
    thread: Option<(oneshot::Sender<()>, thread::JoinHandle<()>)>,
}

#[derive(Default)]
struct Workers {
    running: Vec<Running>,
    /// Those that may still have a request under way.
    retired: Vec<(String, JoinHandle<bool>)>,
}

struct Running {
    destination: Destination,
    status: Arc<Mutex<Status>>,
    orders: watch::Sender<Order>,
    task: JoinHandle<bool>,
}

impl Exporters {
    /// Checks all settings, registers the destinations with the store and begins to ship.
    pub fn start(destinations: Vec<Destination>, store: Arc<Store>) -> Result<Self, ExportError> {
        Self::start_at(destinations, store, Pace::default())
    }

    fn start_at(
        destinations: Vec<Destination>,
        store: Arc<Store>,
        pace: Pace,
    ) -> Result<Self, ExportError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(ExportError::Thread)?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("export".to_owned())
            .spawn(move || {
                // An error says that the sender is gone, which means the same.
                let _ = runtime.block_on(ended);
            })
            .map_err(ExportError::Thread)?;
        let exporters = Self {
            store,
            pace,
            runtime: handle,
            workers: Mutex::default(),
            thread: Some((end, thread)),
        };
        exporters.reload(destinations)?;
        Ok(exporters)
    }

    /// Takes other destinations from now on; those that stay the same go on undisturbed. If one of
    /// them can't be used, nothing changes.
    pub fn reload(&self, destinations: Vec<Destination>) -> Result<(), ExportError> {
        names(&destinations)?;
        let mut workers = lock(&self.workers);
        let mut wanted = Vec::new();
        for destination in destinations {
            let mut running = workers.running.iter();
            // The files of one that goes on may be about to be replaced.
            let target = match running.any(|old| old.destination == destination) {
                true => None,
                false => Some(target(&destination)?),
            };
            wanted.push((destination, target));
        }
        for (destination, _) in &wanted {
            let name = &destination.name;
            let registered = self.store.register(name);
            registered.map_err(|cause| ExportError::Store {
                name: name.clone(),
                cause,
            })?;
        }
        let mut before = std::mem::take(&mut workers.running);
        workers.retired.retain(|(_, task)| !task.is_finished());
        for (destination, target) in wanted {
            let running = match target {
                None => take(&mut before, |old| old.destination == destination),
                Some(target) => {
                    let old = take(&mut before, |old| old.destination.name == destination.name);
                    Some(self.begin(destination, target, old, &mut workers.retired))
                }
            };
            workers.running.extend(running);
        }
        for old in before {
            let (name, store) = (old.destination.name, Arc::clone(&self.store));
            old.orders.send_replace(Order::Retire);
            let forgotten = name.clone();
            let task = self.runtime.spawn(async move {
                let nothing_left = old.task.await.unwrap_or(false);
                // Not before, since the answer to its last request has to be noted.
                store.unregister(&forgotten);
                nothing_left
            });
            workers.retired.push((name, task));
        }
        Ok(())
    }

    fn begin(
        &self,
        destination: Destination,
        target: Target,
        old: Option<Running>,
        retired: &mut Vec<(String, JoinHandle<bool>)>,
    ) -> Running {
        // The last request of the one before counts too, so that both write to the same.
        let status = old.as_ref().map(|old| Arc::clone(&old.status));
        let status = status.unwrap_or_default();
        {
            let mut status = lock(&status);
            status.name.clone_from(&destination.name);
            status.endpoint = destination.shown_endpoint();
        }
        let before = match old {
            Some(old) => {
                old.orders.send_replace(Order::Retire);
                Some(old.task)
            }
            None => {
                let place = retired
                    .iter()
                    .position(|(name, _)| *name == destination.name);
                place.map(|place| retired.swap_remove(place).1)
            }
        };
        for warning in target.warnings(&destination) {
            tracing::warn!(destination = destination.name, "{warning}");
        }
        let (orders, receiver) = watch::channel(Order::Run);
        let worker = Worker {
            destination: destination.clone(),
            target,
            store: Arc::clone(&self.store),
            status: Arc::clone(&status),
            orders: receiver,
            pace: self.pace,
            state: State::default(),
        };
        Running {
            destination,
            status,
            orders,
            task: self.runtime.spawn(worker.run(before)),
        }
    }

    pub fn status(&self) -> Vec<Status> {
        let workers = lock(&self.workers);
        let running = workers.running.iter();
        running
            .map(|running| lock(&running.status).clone())
            .collect()
    }

    /// Ships what waits, for as long as this at most, and ends. Whether all was shipped. Two
    /// thirds are for answers alone: a message whose answer nobody waits for is sent again later, and
    /// is there twice.
    pub fn finish(self, deadline: Duration) -> bool {
        let running = std::mem::take(&mut lock(&self.workers).running);
        let (tell, told) = mpsc::channel();
        self.runtime.spawn(async move {
            let (orders, tasks): (Vec<_>, Vec<_>) = running
                .into_iter()
                .map(|worker| (worker.orders, worker.task))
                .unzip();
            let order = |order| {
                for worker in &orders {
                    worker.send_replace(order);
                }
            };
            let all = async {
                let mut all = true;
                for task in tasks {
                    all &= task.await.unwrap_or(false);
                }
                all
            };
            let last = async {
                tokio::time::sleep(deadline / 3).await;
                order(Order::Retire);
                tokio::time::sleep(deadline * 2 / 3).await;
            };
            order(Order::Finish);
            let all = tokio::select! {
                all = all => all,
                () = last => false,
            };
            let _ = tell.send(all);
        });
        told.recv().unwrap_or(false)
    }
}

fn take(running: &mut Vec<Running>, which: impl Fn(&Running) -> bool) -> Option<Running> {
    let place = running.iter().position(which)?;
    Some(running.swap_remove(place))
}

impl Drop for Exporters {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.thread.take() {
            let _ = end.send(());
            // A thread that panicked has ended too.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
