//! What processes belong to, read while they are there.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use agent_common::process::ProcessId;

use crate::metadata::{CONTAINER_ID, EXECUTABLE_NAME, Identity, SERVICE_NAME, identify};
use crate::process::ProcessHandle;
use crate::profile::{Attribute, Profile, Value};

/// Most processes that are kept, and most bytes of what is known of them.
const MOST: usize = 1 << 14;
const BYTES: usize = 32 << 20;
/// When a process is looked at again for the first time; then after twice as long, and so on.
const SOON: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(300);
/// Looking takes as long as a process has mappings: this much time of each second at most, and this
/// much at once after a quiet time. Who finds none left is looked at later.
const SHARE: u32 = 200;
const ALLOWANCE: Duration = Duration::from_millis(100);

/// Processes by what was read of them.
pub struct Identities {
    of: HashMap<ProcessId, Known>,
    bytes: usize,
    /// Counts batches.
    round: u64,
    allowance: Duration,
    allowed_until: Instant,
}

struct Known {
    /// None: nobody had time.
    identity: Option<Identity>,
    bytes: usize,
    /// The last batch with a sample of it.
    round: u64,
    /// When to look again. None: it is gone.
    next: Option<Instant>,
    wait: Duration,
}

impl Default for Identities {
    fn default() -> Self {
        Self {
            of: HashMap::new(),
            bytes: 0,
            round: 0,
            allowance: ALLOWANCE,
            allowed_until: Instant::now(),
        }
    }
}

impl Identities {
    /// Looks at a process that was sampled, if it is new.
    pub fn see(&mut self, process: &ProcessId) {
        if self.of.contains_key(process) {
            return;
        }
        let now = Instant::now();
        let known = Known {
            identity: None,
            bytes: 0,
            round: self.round,
            next: Some(now),
            wait: SOON,
        };
        self.of.insert(*process, known);
        self.look(process);
        self.evict();
    }

    /// Looks at those again whose time has come.
    pub fn look_again(&mut self) {
        let now = Instant::now();
        let due = |known: &Known| known.next.is_some_and(|next| next <= now);
        let mut due: Vec<_> = self.of.iter().filter(|(_, known)| due(known)).collect();
        // Who waits longest comes first: nobody waits for ever.
        due.sort_by_key(|(_, known)| known.next);
        let due: Vec<ProcessId> = due.into_iter().map(|(process, _)| *process).collect();
        for process in due {
            if !self.look(&process) {
                return;
            }
        }
    }

    /// Returns whether there was time.
    fn look(&mut self, process: &ProcessId) -> bool {
        let now = Instant::now();
        let quiet = now.saturating_duration_since(self.allowed_until);
        self.allowed_until = now;
        self.allowance = ALLOWANCE.min(self.allowance + quiet / SHARE);
        if self.allowance.is_zero() {
            return false;
        }
        let Some(known) = self.of.get_mut(process) else {
            return true;
        };
        known.next = None;
        if let Ok(handle) = ProcessHandle::open_same(process) {
            match &mut known.identity {
                Some(identity) => {
                    identity.look_again(&handle);
                }
                none => *none = Some(identify(&handle)),
            }
            if handle.is(process) {
                known.next = Some(now + known.wait);
                known.wait = SELDOM.min(known.wait * 2);
            }
        }
        let bytes = known.identity.as_ref().map_or(0, Identity::bytes);
        self.bytes = self.bytes + bytes - known.bytes;
        known.bytes = bytes;
        self.allowance = self.allowance.saturating_sub(now.elapsed());
        true
    }

    /// Forgets those that were not sampled for the longest time, once there are too many.
    fn evict(&mut self) {
        if self.of.len() <= MOST && self.bytes <= BYTES {
            return;
        }
        let mut rounds: Vec<u64> = self.of.values().map(|known| known.round).collect();
        rounds.sort_unstable();
        let middle = rounds[rounds.len() / 2];
        let mut left = rounds.len() / 2;
        let bytes = &mut self.bytes;
        self.of.retain(|_, known| {
            let older = known.round < middle || known.round == middle && left > 0;
            if older {
                left = left.saturating_sub(1);
                *bytes -= known.bytes;
            }
            !older
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
        }
        for (id, executable) in processes {
            self.see(&id);
            // One that executed several files may have been looked at in another's time.
            let is_one = images.get(&(id.pid, id.start)) == Some(&1);
            let Some(known) = self.of.get_mut(&id) else {
                continue;
            };
            known.round = self.round;
            let Some(identity) = &known.identity else {
                continue;
            };
            let executable_name = identity.executable_name.as_ref();
            let executable_name = executable_name.filter(|_| executable.is_none() && is_one);
            let own = [
                (SERVICE_NAME, identity.service_name.as_ref()),
                (CONTAINER_ID, identity.container_id.as_ref()),
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
