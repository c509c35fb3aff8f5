//! The pods of this node: known by whoever watches them, asked by container id or by the uid that
//! stands in a cgroup's path.
//!
//! A pod that is gone is remembered for a while: its last samples are named after it has ended.

mod attributes;
mod pod;

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use attributes::{Chosen, NODE_NAME, POD_UID, attributes, image};
pub use pod::{Container, Owner, Pod};

/// Most pods that are known, those that are gone included: a node has 110 by default and some 500
/// at most.
const MOST: usize = 4096;
/// Most bytes of what is known of them: a pod has some 2 KiB, and 20 if it wants to.
const BYTES: usize = 16 << 20;
/// How long one that is gone is remembered.
const MEMORY: Duration = Duration::from_secs(600);
/// Most changes that wait for who listens.
const WAITING: usize = 2 * MOST;
/// Most containers that were asked for in vain and are not waited for again.
const STRANGERS: usize = 4096;

/// By what a pod is asked for: a container's id, the uid in a cgroup's path.
type Asked = (Option<String>, Option<String>);

/// What happened to a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is there, or is not what it was.
    Known(Arc<Pod>),
    /// It is gone: its uid.
    Gone(String),
}

/// A pod and the container in it that was asked for, if that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub pod: Arc<Pod>,
    pub container: Option<Container>,
}

/// How many there are, and how it went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    pub known: usize,
    /// Of those: gone, and still remembered.
    pub gone: usize,
    /// Pods that found no room.
    pub refused: u64,
    /// Changes that who listens was too slow for.
    pub missed: u64,
    /// Containers that were asked for and that no pod had.
    pub strangers: u64,
}

#[derive(Default)]
pub struct Pods {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    pods: HashMap<String, Entry>,
    containers: HashMap<String, String>,
    /// The uid by what its cgroups say instead.
    aliases: HashMap<String, String>,
    listeners: Vec<SyncSender<Change>>,
    /// Whether all pods of the node are known, and changes come.
    current: bool,
    /// Whether they are being asked for, and nothing went wrong so far.
    expected: bool,
    strangers: HashSet<Asked>,
    /// The pod that we ourselves are in.
    around: Option<String>,
    /// Of all pods.
    bytes: usize,
    counts: Counts,
}

struct Entry {
    pod: Arc<Pod>,
    /// Whether more will be known of it soon: its owner's owner.
    is_waiting: bool,
    gone: Option<Instant>,
}

impl Pods {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says in which pod we ourselves are, by our cgroups.
    pub fn set_around(&self, uid: Option<String>) {
        self.lock().around = uid;
    }

    /// Takes in what a pod is now. `is_waiting`: its owners are still being asked for.
    pub fn set(&self, mut pod: Pod, is_waiting: bool) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        inner.forget();
        if let Some(before) = inner.pods.get(&pod.uid) {
            pod.follow(&before.pod);
        } else if inner.is_full() {
            inner.counts.refused += 1;
            return;
        }
        for container in &pod.containers {
            let id = container.id.clone();
            inner.containers.insert(id, pod.uid.clone());
        }
        if !inner.strangers.is_empty() {
            let is_of = |id: &String| pod.containers.iter().any(|own| own.id == *id);
            let strangers = &mut inner.strangers;
            strangers.retain(|(id, uid)| {
                !id.as_ref().is_some_and(is_of) && (id.is_some() || uid.as_ref() != Some(&pod.uid))
            });
        }
        if let Some(alias) = pod.alias() {
            let holder = inner.aliases.get(alias).and_then(|uid| inner.pods.get(uid));
            // Any pod may be annotated like that one.
            if holder.is_none_or(|holder| holder.gone.is_some()) {
                inner.aliases.insert(alias.to_owned(), pod.uid.clone());
            }
        }
        let uid = pod.uid.clone();
        let pod = Arc::new(pod);
        let entry = Entry {
            pod: Arc::clone(&pod),
            is_waiting,
            gone: None,
        };
        inner.bytes += pod.bytes();
        let before = inner.pods.insert(uid, entry);
        for container in before.iter().flat_map(|before| &before.pod.containers) {
            if !pod.containers.iter().any(|own| own.id == container.id) {
                inner.containers.remove(&container.id);
            }
        }
        inner.bytes -= before.as_ref().map_or(0, |before| before.pod.bytes());
        if before.is_none_or(|before| before.pod != pod || before.gone.is_some()) {
            inner.tell(&Change::Known(pod));
        }
        self.changed.notify_all();
    }

    /// A pod is gone.
    pub fn remove(&self, uid: &str) {
        let mut inner = self.lock();
        if let Some(entry) = inner.pods.get_mut(uid)
            && entry.gone.is_none()
        {
            entry.gone = Some(Instant::now());
            entry.is_waiting = false;
            inner.tell(&Change::Gone(uid.to_owned()));
            self.changed.notify_all();
        }
    }

    /// Only these are there now.
    pub fn retain(&self, uids: &HashSet<String>) {
        let inner = self.lock();
        let here = inner.pods.iter().filter(|(_, entry)| entry.gone.is_none());
        let gone: Vec<String> = here
            .map(|(uid, _)| uid)
            .filter(|uid| !uids.contains(*uid))
            .cloned()
            .collect();
        drop(inner);
        for uid in gone {
            self.remove(&uid);
        }
    }

    /// The pods that this owner has directly, with no one known above it.
    pub fn owned_by(&self, owner: &str) -> Vec<Pod> {
        let inner = self.lock();
        let pods = inner.pods.values().filter(|entry| entry.gone.is_none());
        let owned = pods.filter(|entry| entry.pod.owners.last().is_some_and(|it| it.uid == owner));
        owned.map(|entry| Pod::clone(&entry.pod)).collect()
    }

    /// Says whether what is known is all there is.
    pub fn set_current(&self, current: bool) {
        let mut inner = self.lock();
        inner.current = current;
        inner.expected = false;
        drop(inner);
        self.changed.notify_all();
    }

    /// All pods will be known soon: who waits, waits for them.
    pub fn expect(&self) {
        self.lock().expected = true;
    }

    pub fn is_current(&self) -> bool {
        self.lock().current
    }

    /// The changes from now on, beginning with the pods that are there.
    pub fn subscribe(&self) -> Receiver<Change> {
        let (listener, changes) = sync_channel(WAITING);
        let mut inner = self.lock();
        for entry in inner.pods.values().filter(|entry| entry.gone.is_none()) {
            // There is room for all.
            let _ = listener.try_send(Change::Known(Arc::clone(&entry.pod)));
        }
        inner.listeners.push(listener);
        changes
    }

    /// The pod of a container, or of the uid in its cgroup's path.
    pub fn find(&self, container: Option<&str>, uid: Option<&str>) -> Option<Found> {
        self.lock().find(container, uid)
    }

    /// Waits until all of these containers are known as well as they can be, but not for longer than
    /// until then. Who is not known by then is not waited for again.
    pub fn wait(&self, wanted: &[Asked], until: Instant) {
        let mut inner = self.lock();
        loop {
            let mut missing = wanted
                .iter()
                .filter(|(container, uid)| inner.is_missing(container.as_deref(), uid.as_deref()))
                .peekable();
            let left = until.saturating_duration_since(Instant::now());
            if missing.peek().is_none() || !(inner.current || inner.expected) {
                return;
            }
            if left.is_zero() && !inner.current {
                return;
            }
            if left.is_zero() {
                let missing: Vec<Asked> = missing.cloned().collect();
                inner.counts.strangers += missing.len() as u64;
                if inner.strangers.len() + missing.len() > STRANGERS {
                    inner.strangers.clear();
                }
                inner.strangers.extend(missing);
                return;
            }
            inner = self
                .changed
                .wait_timeout(inner, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    pub fn counts(&self) -> Counts {
        let inner = self.lock();
        let gone = inner.pods.values().filter(|entry| entry.gone.is_some());
        Counts {
            known: inner.pods.len(),
            gone: gone.count(),
            ..inner.counts
        }
    }
}

impl Inner {
    fn find(&self, container: Option<&str>, uid: Option<&str>) -> Option<Found> {
        // A cgroup's name says which container, and may be forged below a pod's own cgroup; the pod's
        // may not. The container alone counts where no pod has a cgroup, and in a cluster inside of a
        // pod, where all are in that one's.
        let by_uid = uid.and_then(|uid| {
            let own = self.pods.get_key_value(uid).map(|(uid, _)| uid);
            own.or_else(|| self.aliases.get(uid))
        });
        let by_container = || match uid == self.around.as_deref() {
            true => self.containers.get(container?),
            false => None,
        };
        let uid = by_uid.or_else(by_container)?;
        let pod = Arc::clone(&self.pods.get(uid)?.pod);
        let container = container.and_then(|id| pod.containers.iter().find(|own| own.id == id));
        Some(Found {
            container: container.cloned(),
            pod,
        })
    }

    /// Whether a container may still become known, or better known.
    fn is_missing(&self, container: Option<&str>, uid: Option<&str>) -> bool {
        let asked = (container.map(str::to_owned), uid.map(str::to_owned));
        if self.strangers.contains(&asked) {
            return false;
        }
        match self.find(container, uid) {
            None => true,
            Some(found) => {
                let entry = self.pods.get(&found.pod.uid);
                let lacks_container = container.is_some() && found.container.is_none();
                lacks_container || entry.is_some_and(|entry| entry.is_waiting)
            }
        }
    }

    fn tell(&mut self, change: &Change) {
        let missed = &mut self.counts.missed;
        self.listeners
            .retain(|listener| match listener.try_send(change.clone()) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    *missed += 1;
                    true
                }
                Err(TrySendError::Disconnected(_)) => false,
            });
    }

    fn is_full(&self) -> bool {
        self.pods.len() >= MOST || self.bytes >= BYTES
    }

    /// Forgets who is gone for long, and who is gone for longest if there are too many.
    fn forget(&mut self) {
        let now = Instant::now();
        let is_old = |entry: &Entry, memory: Duration| {
            let gone = entry.gone.map(|gone| now.saturating_duration_since(gone));
            gone.is_some_and(|gone| gone >= memory)
        };
        let before = self.pods.len();
        self.pods.retain(|_, entry| !is_old(entry, MEMORY));
        if self.is_full() {
            let mut gone: Vec<Instant> = self.pods.values().filter_map(|it| it.gone).collect();
            gone.sort_unstable();
            let middle = gone.get(gone.len() / 2).copied();
            self.pods
                .retain(|_, entry| entry.gone.is_none() || entry.gone > middle);
        }
        if self.pods.len() < before {
            self.bytes = self.pods.values().map(|entry| entry.pod.bytes()).sum();
            let pods = &self.pods;
            self.containers.retain(|_, uid| pods.contains_key(uid));
            self.aliases.retain(|_, uid| pods.contains_key(uid));
        }
    }
}

#[cfg(test)]
mod tests;
