//! What the log says of a destination: once when something changes, then once a minute at most.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::verdict::Outcome;
use super::{Destination, SettingError};
use crate::store::StoreError;

const EVERY: Duration = Duration::from_secs(60);

/// What was said when, and how often it was held back since.
#[derive(Default)]
pub struct Notes {
    said: HashMap<&'static str, (Instant, u64)>,
    /// The code of the failure that was told last, until it works again.
    failing: Option<String>,
    /// Since it worked last.
    failures: u64,
}

impl Notes {
    pub fn fails(&mut self, destination: &Destination, outcome: &Outcome, wait: Duration) {
        self.failures += 1;
        let same = self.failing.as_ref() == Some(&outcome.code);
        if !same {
            self.said.remove("fails");
            self.failing = Some(outcome.code.clone());
        }
        let Some(more) = self.now("fails") else {
            return;
        };
        warn!(
            destination = destination.name,
            endpoint = destination.shown_endpoint(),
            code = outcome.code,
            failed_before = more,
            "Shipping fails: {}. To mend it: {}. Messages wait in the store; the next try is in {:.0?}.",
            outcome.cause,
            outcome.remedy,
            wait
        );
    }

    pub fn works(&mut self, destination: &Destination) {
        let failures = std::mem::take(&mut self.failures);
        if self.failing.take().is_some() {
            self.said.remove("fails");
            info!(
                destination = destination.name,
                "Shipping works again, after {failures} tries that failed."
            );
        }
    }

    pub fn given_up(&mut self, destination: &Destination, outcome: &Outcome) {
        if let Some(more) = self.now("given up") {
            warn!(
                destination = destination.name,
                endpoint = destination.shown_endpoint(),
                code = outcome.code,
                given_up_before = more,
                "A message was given up: {}. To mend it: {}.",
                outcome.cause,
                outcome.remedy
            );
        }
    }

    pub fn partly(&mut self, destination: &Destination, refused: u64, outcome: &Outcome) {
        if let Some(more) = self.now("partly") {
            warn!(
                destination = destination.name,
                refused,
                partly_before = more,
                "A message was taken, but the other side says: {}.",
                match outcome.cause.as_str() {
                    "" => "profiles were refused",
                    cause => cause,
                }
            );
        }
    }

    pub fn certificates(&mut self, destination: &Destination, error: &SettingError) {
        if self.now("certificates").is_some() {
            warn!(
                destination = destination.name,
                "Certificates have changed and can't be used: {error}. Those of before are used on."
            );
        }
    }

    pub fn store(&mut self, destination: &Destination, error: &StoreError) {
        if let Some(more) = self.now("store") {
            warn!(
                destination = destination.name,
                failed_before = more,
                "The store fails: {error}"
            );
        }
    }

    /// Whether to say it now, and how often it was not said since.
    fn now(&mut self, what: &'static str) -> Option<u64> {
        let now = Instant::now();
        match self.said.get_mut(what) {
            Some((last, more)) if now.duration_since(*last) < EVERY => {
                *more += 1;
                None
            }
            Some(entry) => Some(std::mem::replace(entry, (now, 0)).1),
            None => {
                self.said.insert(what, (now, 0));
                Some(0)
            }
        }
    }
}
