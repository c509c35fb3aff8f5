//! What processes belong to, read while they are there: on a thread of its own, since a process can
//! make whoever reads its memory wait, by backing it with a file system of its own.

mod reader;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use agent_common::process::ProcessId;

use self::reader::{Answer, Reader};
use crate::metadata::pods::POD_UID;
use crate::metadata::{CONTAINER_ID, EXECUTABLE_NAME, Identity, SERVICE_NAME};
use crate::process::cgroup::Place;
use crate::profile::{Attribute, Profile, Value};

/// Most processes that are kept, and most bytes of what is known of them.
const MOST: usize = 1 << 14;
const BYTES: usize = 32 << 20;
/// When a process is looked at again for the first time; then after twice as long, and so on.
const SOON: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(300);
/// Looking takes as long as a process has mappings: one part in so many of the time at most, and this
/// much at once after a quiet time. Who finds none left is looked at later.
const SHARE: u32 = 200;
const ALLOWANCE: Duration = Duration::from_millis(100);
/// How long a batch waits for those that are being looked at.
const PATIENCE: Duration = Duration::from_millis(500);

/// Processes by what was read of them.
pub struct Identities {
    of: HashMap<ProcessId, Known>,
    reader: Reader,
    bytes: usize,
    /// Counts batches.
    round: u64,
    allowance: Duration,
    counted: Instant,
}

struct Known {
    /// None: it was not looked at yet, or is being looked at.
    identity: Option<Identity>,
    /// By the kernel side, which saw it run: for one that is gone before it can be looked at. It has
    /// the innermost cgroups only, so a look at all of them goes before.
    place: Place,
    bytes: usize,
    /// The last batch with a sample of it.
    round: u64,
    /// When to look again. None: it is gone, or is being looked at.
    next: Option<Instant>,
    wait: Duration,
}

impl Default for Identities {
    fn default() -> Self {
        Self {
            of: HashMap::new(),
            reader: Reader::default(),
            bytes: 0,
            round: 0,
            allowance: ALLOWANCE,
            counted: Instant::now(),
        }
    }
}

impl Identities {
    /// Has a process that was sampled looked at, if it is new.
    pub fn see(&mut self, process: &ProcessId, place: Place) {
        if self.of.contains_key(process) {
            return;
        }
        let bytes = place.bytes();
        self.bytes += bytes;
        let known = Known {
            identity: None,
            place,
            bytes,
            round: self.round,
            next: Some(Instant::now()),
            wait: SOON,
        };
        self.of.insert(*process, known);
        self.take_answers();
        self.ask(process);
        self.evict();
    }

    /// Has those looked at again whose time has come.
    pub fn look_again(&mut self) {
        self.take_answers();
        let now = Instant::now();
        let due = |known: &Known| known.next.is_some_and(|next| next <= now);
        let mut due: Vec<_> = self.of.iter().filter(|(_, known)| due(known)).collect();
        // Who waits longest comes first: nobody waits for ever.
        due.sort_by_key(|(_, known)| known.next);
        let due: Vec<ProcessId> = due.into_iter().map(|(process, _)| *process).collect();
        for process in due {
            if !self.ask(&process) {
                return;
            }
        }
    }

    /// Returns whether there is time for it.
    fn ask(&mut self, process: &ProcessId) -> bool {
        let now = Instant::now();
        let quiet = now.saturating_duration_since(self.counted);
        self.counted = now;
        self.allowance = ALLOWANCE.min(self.allowance + quiet / SHARE);
        if self.allowance.is_zero() {
            return false;
        }
        let Some(known) = self.of.get_mut(process) else {
            return true;
        };
        let asked = self.reader.ask(*process, known.identity.clone());
        if asked {
            known.next = None;
        }
        asked
    }

    fn take_answers(&mut self) {
        while let Some(answer) = self.reader.poll() {
            self.take(answer);
        }
    }

    fn take(&mut self, answer: Answer) {
        self.allowance = self.allowance.saturating_sub(answer.spent);
        let Some(known) = self.of.get_mut(&answer.process) else {
            return;
        };
        if answer.identity.is_some() {
            known.identity = answer.identity;
        }
        if answer.alive {
            known.next = Some(Instant::now() + known.wait);
            known.wait = SELDOM.min(known.wait * 2);
        }
        let bytes = known.place.bytes() + known.identity.as_ref().map_or(0, Identity::bytes);
        self.bytes = self.bytes + bytes - known.bytes;
        known.bytes = bytes;
        self.evict();
    }

    /// Forgets those that were not sampled for the longest time, once there are too many.
    fn evict(&mut self) {
        if self.of.len() <= MOST && self.bytes <= BYTES {
            return;
        }
        let mut rounds: Vec<u64> = self.of.values().map(|known| known.round).collect();
        rounds.sort_unstable();
        let middle = rounds[rounds.len() / 2];
        let older = rounds.partition_point(|round| *round < middle);
        // Of those in the middle as many as make it half.
        let mut left = rounds.len().div_ceil(2) - older;
        let bytes = &mut self.bytes;
        self.of.retain(|_, known| {
            let goes = known.round < middle || known.round == middle && left > 0;
            if goes {
                left -= usize::from(known.round == middle);
                *bytes -= known.bytes;
            }
            !goes
        });
    }

    /// Writes what is known of a profile's processes into it.
    pub fn tell(&mut self, profile: &mut Profile) {
        self.round += 1;
        let processes: Vec<_> = profile
            .processes()
            .iter()
            .map(|process| (process.id, process.executable))
            .collect();
        let mut images: HashMap<(u32, u64), u32> = HashMap::new();
        for (id, _) in &processes {
            *images.entry((id.pid, id.start)).or_default() += 1;
            self.see(id, Place::default());
        }
        let until = Instant::now() + PATIENCE;
        while let Some(answer) = self.reader.wait(until) {
            self.take(answer);
        }
        for (id, executable) in processes {
            // One that executed several files may have been looked at in another's time.
            let is_one = images.get(&(id.pid, id.start)) == Some(&1);
            let Some(known) = self.of.get_mut(&id) else {
                continue;
            };
            known.round = self.round;
            let nothing = Identity::default();
            let identity = known.identity.as_ref().unwrap_or(&nothing);
            let place = &known.place;
            let executable_name = identity.executable_name.as_ref();
            let executable_name = executable_name.filter(|_| executable.is_none() && is_one);
            let own = [
                (SERVICE_NAME, identity.service_name.as_ref()),
                (
                    CONTAINER_ID,
                    identity
                        .container_id
                        .as_ref()
                        .or(place.container_id.as_ref()),
                ),
                (
                    POD_UID,
                    identity.pod_uid.as_ref().or(place.pod_uid.as_ref()),
                ),
                (EXECUTABLE_NAME, executable_name),
            ];
            let own = own.map(|(key, value)| Some((key, &**value?)));
            let others = identity.attributes.iter();
            let others = others.map(|(key, value)| (&**key, &**value));
            let attributes: Vec<Attribute> = own
                .into_iter()
                .flatten()
                .chain(others)
                .map(|(key, value)| Attribute {
                    key: profile.string(key),
                    value: Value::Text(profile.string(value)),
                })
                .collect();
            let process = profile.process(id);
            profile.process_mut(process).attributes = attributes;
        }
    }
}

#[cfg(test)]
mod tests;
