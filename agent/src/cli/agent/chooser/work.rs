//! The thread's work, a step at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use agent_common::filter::{CgroupPolicy, NO_CGROUP};

use super::places::Places;
use super::{Ground, Wanted};
use crate::bpf::policies::{Policies, PolicyError};
use crate::metadata::pods::{Change, Pod, Pods};
use crate::metadata::select::{Counts, Decision, Outcome};
use crate::process::cgroup::pods::Place;

/// How often is looked for the cgroup of a pod that has none yet: the kubelet makes it some 100 ms
/// after the pod is known.
const SEARCH: Duration = Duration::from_millis(100);
/// For how long so often; then seldom: most pods without one have ended.
const PATIENCE: Duration = Duration::from_secs(30);
const SELDOM: Duration = Duration::from_secs(1);
/// How often is made sure that what was found is still there.
const TICK: Duration = Duration::from_secs(1);

pub struct Work {
    policies: Policies,
    base: u64,
    wanted: Wanted,
    places: Places,
    pods: Option<Arc<Pods>>,
    changes: Option<Receiver<Change>>,
    /// By uid.
    entries: BTreeMap<String, Entry>,
    /// Until then nothing is sampled of pods that are not known.
    hold: Option<Instant>,
    tick: Instant,
    missed: u64,
    refused: u64,
    misspelt: u64,
}

struct Entry {
    pod: Arc<Pod>,
    decision: Decision,
    /// It is not to be sampled even while its last processes end: it stays until its cgroup goes.
    is_gone: bool,
    /// Its cgroup, once that is there, and the policy that it was given.
    place: Option<Place>,
    holds: Option<CgroupPolicy>,
    /// Since when one of the two is missing, and when is tried again.
    since: Instant,
    next: Instant,
    is_refused: bool,
}

impl Work {
    pub fn new(
        policies: Policies,
        ground: Ground,
        base: u64,
        wanted: Wanted,
        pods: Option<Arc<Pods>>,
    ) -> Self {
        let now = Instant::now();
        Self {
            policies,
            base,
            wanted,
            places: Places::new(ground.compared.hierarchy),
            changes: pods.as_ref().map(|pods| pods.subscribe()),
            hold: pods.as_ref().map(|_| now + ground.hold),
            pods,
            entries: BTreeMap::new(),
            tick: now,
            missed: 0,
            refused: 0,
            misspelt: 0,
        }
    }

    /// Before anything is sampled.
    pub fn begin(&mut self) {
        self.set_host();
        self.go_on();
    }

    /// Other settings hold.
    pub fn want(&mut self, wanted: Wanted) {
        self.wanted = wanted;
        self.set_host();
        self.set_undecided();
        for entry in self.entries.values_mut() {
            entry.decision = self.wanted.selection.decide(&entry.pod);
        }
        self.settle();
    }

    /// Takes changes of pods and does what is due.
    pub fn go_on(&mut self) {
        let now = Instant::now();
        // Before the changes are taken: those that make it so are among them.
        let known = self.pods.as_ref().is_none_or(|pods| pods.is_current());
        while let Some(Ok(change)) = self.changes.as_ref().map(Receiver::try_recv) {
            self.take(change);
        }
        if self.tick <= now {
            self.tick = now + TICK;
            self.subscribe_again();
            self.look_again(now);
        }
        let missing = self.is_searching(now);
        if let Some((new, gone)) = self.places.look(now, missing) {
            for top in gone {
                self.take_back(top.id);
            }
            for top in new {
                tracing::info!("pods' cgroups are below {}", top.directory.display());
            }
            self.set_undecided();
        }
        self.settle();
        if self.hold.is_some_and(|until| known || until <= now) {
            self.hold = None;
            self.set_undecided();
        }
    }

    /// Until there is something to do.
    pub fn wait(&mut self) {
        let now = Instant::now();
        let due = if self.hold.is_some() || self.is_searching(now) {
            SEARCH
        } else {
            self.tick.saturating_duration_since(now)
        };
        let Some(changes) = &self.changes else {
            return thread::park_timeout(due);
        };
        // Orders come by another way, and are looked at as often.
        match changes.recv_timeout(due.min(TICK / 4)) {
            Ok(change) => self.take(change),
            Err(RecvTimeoutError::Timeout) => {}
            // What was known holds.
            Err(RecvTimeoutError::Disconnected) => self.changes = None,
        }
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            policies: 1 + self.places.tops().len() as u64,
            refused: self.refused,
            misspelt: self.misspelt,
            ..Counts::default()
        };
        for entry in self.entries.values() {
            counts.policies += u64::from(entry.holds.is_some());
            if entry.is_gone {
                continue;
            }
            match entry.decision.outcome {
                _ if entry.place.is_none() => counts.without_cgroup += 1,
                Outcome::LeftOut => counts.left_out += 1,
                Outcome::Sampled(None) => counts.sampled += 1,
                Outcome::Sampled(Some(_)) => counts.at_own_rate += 1,
            }
        }
        counts
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::Known(pod) => {
                let decision = self.wanted.selection.decide(&pod);
                let before = self.entries.get(&pod.uid);
                let same = before.is_some_and(|it| it.decision.misspelt == decision.misspelt);
                if !same && !decision.misspelt.is_empty() {
                    self.misspelt += decision.misspelt.len() as u64;
                    tracing::warn!(
                        pod = pod.name,
                        namespace = pod.namespace,
                        "annotation {} has a value that means nothing",
                        decision.misspelt.join(", ")
                    );
                }
                match self.entries.get_mut(&pod.uid) {
                    Some(entry) => {
                        (entry.pod, entry.decision) = (pod, decision);
                        entry.is_gone = false;
                        if entry.place.is_none() {
                            // The kubelet is at work on it.
                            let now = Instant::now();
                            (entry.since, entry.next) = (now, now);
                        }
                    }
                    None => {
                        let uid = pod.uid.clone();
                        self.entries.insert(uid, Entry::new(pod, decision));
                    }
                }
            }
            Change::Gone(uid) => {
                if let Some(entry) = self.entries.get_mut(&uid) {
                    entry.is_gone = true;
                }
            }
        }
    }

    /// If changes were missed, all that is there is told anew.
    fn subscribe_again(&mut self) {
        let Some(pods) = &self.pods else { return };
        let missed = pods.counts().missed;
        if missed == self.missed {
            return;
        }
        self.missed = missed;
        let changes = pods.subscribe();
        let mut here = Vec::new();
        while let Ok(change) = changes.try_recv() {
            match &change {
                Change::Known(pod) => here.push(pod.uid.clone()),
                Change::Gone(uid) => here.retain(|other| other != uid),
            }
            self.take(change);
        }
        here.sort_unstable();
        let known = self.entries.keys();
        let gone: Vec<String> = known
            .filter(|uid| here.binary_search(uid).is_err())
            .cloned()
            .collect();
        for uid in gone {
            self.take(Change::Gone(uid));
        }
        self.changes = Some(changes);
    }

    /// Whether the cgroup of a pod is looked for often.
    fn is_searching(&self, now: Instant) -> bool {
        let mut entries = self.entries.values();
        entries.any(|entry| {
            let time = now.saturating_duration_since(entry.since);
            entry.place.is_none() && !entry.is_gone && time < PATIENCE
        })
    }

    /// Cgroups may have gone, or be there anew.
    fn look_again(&mut self, now: Instant) {
        let mut gone = Vec::new();
        self.entries.retain(|_, entry| {
            if let Some(place) = entry.place.take_if(|place| !place.is_there()) {
                (entry.since, entry.next) = (now, now);
                gone.extend(entry.holds.take().map(|_| place.id));
            }
            !entry.is_gone || entry.place.is_some()
        });
        for cgroup in gone {
            self.take_back(cgroup);
        }
    }

    /// Finds cgroups and gives them the policies that they are to have.
    fn settle(&mut self) {
        let now = Instant::now();
        for entry in self.entries.values_mut() {
            let policy = policy(entry.decision.outcome, &self.wanted, self.base);
            if entry.holds == Some(policy) || entry.is_gone || entry.next > now {
                continue;
            }
            if entry.place.is_none() {
                let names = [Some(&*entry.pod.uid), entry.pod.alias()];
                entry.place = self.places.pod(names.into_iter().flatten());
            }
            let Some(place) = &entry.place else {
                let often = now.saturating_duration_since(entry.since) < PATIENCE;
                entry.next = now + if often { SEARCH } else { SELDOM };
                continue;
            };
            match self.policies.set(place.id, &policy) {
                Ok(()) => {
                    entry.holds = Some(policy);
                    entry.is_refused = false;
                }
                Err(error) => {
                    entry.next = now + TICK;
                    if !entry.is_refused {
                        refuse(&mut self.refused, &error);
                    }
                    entry.is_refused = true;
                }
            }
        }
    }

    /// What is in no pod.
    fn set_host(&mut self) {
        let rate = if self.wanted.host {
            self.wanted.rate
        } else {
            0
        };
        self.set(NO_CGROUP, CgroupPolicy::at(rate, self.base));
    }

    /// Pods of which nothing is known yet.
    fn set_undecided(&mut self) {
        let policy = match self.hold {
            Some(_) => CgroupPolicy::NONE,
            None => policy(self.wanted.selection.otherwise(), &self.wanted, self.base),
        };
        let tops: Vec<u64> = self.places.tops().iter().map(|top| top.id).collect();
        for top in tops {
            self.set(top, policy);
        }
    }

    fn set(&mut self, cgroup: u64, policy: CgroupPolicy) {
        if let Err(error) = self.policies.set(cgroup, &policy) {
            refuse(&mut self.refused, &error);
        }
    }

    fn take_back(&mut self, cgroup: u64) {
        if let Err(error) = self.policies.remove(cgroup) {
            tracing::warn!("A policy stays that should have gone: {error}.");
        }
    }
}

impl Entry {
    fn new(pod: Arc<Pod>, decision: Decision) -> Self {
        let now = Instant::now();
        Self {
            pod,
            decision,
            is_gone: false,
            place: None,
            holds: None,
            since: now,
            next: now,
            is_refused: false,
        }
    }
}

fn policy(outcome: Outcome, wanted: &Wanted, base: u64) -> CgroupPolicy {
    match outcome {
        Outcome::LeftOut => CgroupPolicy::NONE,
        Outcome::Sampled(rate) => CgroupPolicy::at(rate.map_or(wanted.rate, u64::from), base),
    }
}

fn refuse(refused: &mut u64, error: &PolicyError) {
    *refused += 1;
    tracing::warn!("What is chosen of a pod does not hold: {error}.");
}
