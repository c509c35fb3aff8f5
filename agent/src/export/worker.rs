//! One destination: the oldest message that waits for it is sent until there is an answer, then the
//! next. So there is one at a time, and they arrive in order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::client::Client;
use super::notes::Notes;
use super::pace::Pace;
use super::target::{self, Target};
use super::verdict::{Outcome, Verdict};
use super::{Destination, Status, wire};
use crate::store::{Store, Stored};

/// What a worker is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Run,
    /// Ends when nothing waits.
    Finish,
    /// Ends after the request that is under way.
    Retire,
}

pub struct Worker {
    pub destination: Destination,
    pub target: Target,
    pub store: Arc<Store>,
    pub status: Arc<Mutex<Status>>,
    pub orders: watch::Receiver<Order>,
    pub pace: Pace,
    pub state: State,
}

/// What is kept from one try to the next.
#[derive(Default)]
pub struct State {
    /// None after a fault: connections, names and roots are looked at anew then.
    client: Option<Client>,
    /// The body that is being tried, by its message.
    body: Option<(u64, Bytes)>,
    /// The last message that was answered or given up: not sent again, whatever the store says.
    concluded: u64,
    /// One after the other.
    failures: u32,
    /// Answers to this message that leave it open whether it is at fault.
    doubtful: u32,
    notes: Notes,
}

impl Worker {
    /// Ships until it is ordered to end; whether nothing was left. Begins after the worker that had
    /// this name before.
    pub async fn run(mut self, before: Option<JoinHandle<bool>>) -> bool {
        if let Some(before) = before {
            // One that panicked has ended too.
            let _ = before.await;
        }
        // One that was taken away and given back may have taken the name with it meanwhile.
        let _ = self.store.register(&self.destination.name);
        let mut appended = self.store.appended();
        loop {
            let order = *self.orders.borrow_and_update();
            if order == Order::Retire {
                return false;
            }
            appended.borrow_and_update();
            match self.store.next(&self.destination.name) {
                // Answered, but the store could not say so to the disk.
                Ok(Some(stored)) if stored.sequence <= self.state.concluded => {
                    self.acknowledge(stored.sequence);
                    self.pause(self.pace.wait(5)).await;
                }
                Ok(Some(stored)) => {
                    if let Some(wait) = self.ship(stored).await {
                        self.pause(wait).await;
                    }
                }
                Ok(None) if order == Order::Finish => return true,
                Ok(None) => {
                    let alive = tokio::select! {
                        changed = appended.changed() => changed.is_ok(),
                        changed = self.orders.changed() => changed.is_ok(),
                    };
                    if !alive {
                        self.pause(self.pace.first).await;
                    }
                }
                Err(error) => {
                    self.state.notes.store(&self.destination, &error);
                    self.pause(self.pace.wait(5)).await;
                    let _ = self.store.register(&self.destination.name);
                }
            }
        }
    }

    /// One try; how long to wait before the next.
    async fn ship(&mut self, stored: Stored) -> Option<Duration> {
        let outcome = self.attempt(&stored).await;
        let mut verdict = outcome.verdict;
        if verdict == Verdict::Doubtful {
            self.state.doubtful += 1;
            if self.state.doubtful >= self.pace.doubtful {
                verdict = Verdict::Refused;
            }
        }
        if let Verdict::Taken { .. } | Verdict::Refused = verdict {
            // Before anything else: a crash from here on must not send it again.
            self.state.concluded = stored.sequence;
            self.acknowledge(stored.sequence);
            self.concluded(&stored, verdict, &outcome);
            return None;
        }
        self.state.failures = self.state.failures.saturating_add(1);
        let wait = match verdict {
            Verdict::Blocked => self.pace.blocked(),
            Verdict::Later(Some(wait)) if !wait.is_zero() => wait + self.pace.wait(1) / 4,
            _ => self.pace.wait(self.state.failures),
        };
        self.failed(&outcome, wait);
        Some(wait)
    }

    async fn attempt(&mut self, stored: &Stored) -> Outcome {
        let timeout = self.destination.timeout;
        match tokio::time::timeout(timeout, self.send(stored)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                // The connection may be dead without knowing.
                self.state.client = None;
                let cause = format!("there was no answer within {timeout:?}");
                Outcome::failed("timeout", Verdict::Later(None), cause)
            }
        }
    }

    async fn send(&mut self, stored: &Stored) -> Outcome {
        let body = match &self.state.body {
            Some((sequence, body)) if *sequence == stored.sequence => body.clone(),
            _ => match wire::body(&self.destination, &stored.message.bytes) {
                Ok(body) => {
                    self.state.doubtful = 0;
                    self.state.body = Some((stored.sequence, body.clone()));
                    body
                }
                Err(error) => {
                    return Outcome::failed("unfit", Verdict::Refused, error.to_string());
                }
            },
        };
        let unusable = |error: super::SettingError| {
            Outcome::failed("settings", Verdict::Later(None), error.to_string())
        };
        let token = match target::bearer(&self.destination) {
            Ok(token) => token,
            Err(error) => return unusable(error),
        };
        if let Err(error) = self.renew_client() {
            return unusable(error);
        }
        let Some(client) = &self.state.client else {
            return Outcome::garbage("there is no client".to_owned());
        };
        let request = wire::request(&self.destination, &self.target, token, body);
        match client.post(request).await {
            Ok(answer) => wire::outcome(self.destination.protocol, &answer),
            Err(fault) => {
                self.state.client = None;
                Outcome::failed(fault.code, Verdict::Later(None), fault.cause)
            }
        }
    }

    /// Makes a client if there is none or its certificates have changed. If these can't be used, as
    /// while they are being replaced, the old ones serve on.
    fn renew_client(&mut self) -> Result<(), super::SettingError> {
        let old = self.state.client.as_ref();
        if old.is_some_and(|client| !client.outdated(&self.destination.tls)) {
            return Ok(());
        }
        match Client::new(&self.destination) {
            Ok(client) => self.state.client = Some(client),
            Err(error) if old.is_some() => self.state.notes.certificates(&self.destination, &error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn acknowledge(&mut self, sequence: u64) {
        let name = &self.destination.name;
        if let Err(error) = self.store.acknowledge(name, sequence) {
            self.state.notes.store(&self.destination, &error);
        }
    }

    fn concluded(&mut self, stored: &Stored, verdict: Verdict, outcome: &Outcome) {
        let message = &stored.message;
        {
            let mut status = lock(&self.status);
            *status.answers.entry(outcome.code.clone()).or_default() += 1;
            status.waits_until = None;
            match verdict {
                Verdict::Taken { refused } => {
                    status.sent_messages += 1;
                    status.sent_bytes += message.bytes.len() as u64;
                    status.sent_samples += message.samples;
                    status.rejected_profiles += refused;
                    status.last_success = Some(now());
                    status.last_error = None;
                }
                _ => {
                    status.rejected_messages += 1;
                    status.rejected_samples += message.samples;
                    status.last_error = Some(outcome.cause.clone());
                }
            }
        }
        let notes = &mut self.state.notes;
        match verdict {
            Verdict::Taken { refused } if refused > 0 || !outcome.cause.is_empty() => {
                notes.partly(&self.destination, refused, outcome);
            }
            Verdict::Taken { .. } => {}
            _ => notes.given_up(&self.destination, outcome),
        }
        if let Verdict::Taken { .. } = verdict {
            notes.works(&self.destination);
        }
        self.state.failures = 0;
        self.state.doubtful = 0;
        self.state.body = None;
    }

    fn failed(&mut self, outcome: &Outcome, wait: Duration) {
        {
            let mut status = lock(&self.status);
            *status.answers.entry(outcome.code.clone()).or_default() += 1;
            status.retries += 1;
            status.last_error = Some(outcome.cause.clone());
            status.waits_until = Some(now().saturating_add(nanos(wait)));
        }
        self.state.notes.fails(&self.destination, outcome, wait);
    }

    /// Waits, but not longer than until there is another order.
    async fn pause(&mut self, wait: Duration) {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = self.orders.changed() => self.state.failures = 0,
        }
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// ns since 1970.
fn now() -> u64 {
    nanos(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
