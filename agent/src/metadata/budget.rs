//! How many values of labels leave the agent: so many of each key, and so many in all. Backends keep
//! a series for each, and one label whose values never come again can fill them.
//!
//! Who comes first is let through, and stays let through as long as it is seen once an hour. Every
//! other value becomes `other`; but where a value says which single thing it is, as an id does, the
//! label is removed: a false id is worse than none. What says which process it is (`process.*`) has
//! no budget: no backend should make series of that, and ours for Pyroscope and Parca do not.
//!
//! Processes choose names and values of attributes themselves: of the total and of the keys they may
//! take half. The other half is for what the cluster and the container's engine say.
//!
//! Of values only a hash is kept. Two that have the same one, of 64 bits, count once.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

/// What a value becomes that is over the budget.
pub const OTHER: &str = "other";

/// A value that was not seen for so long makes room.
pub const KEPT: Duration = Duration::from_secs(3600);
/// How often values that are to make room are looked for.
const LOOKED: Duration = Duration::from_secs(60);
/// Most keys. Of more, all values are over the budget and the labels are removed.
pub const KEYS: usize = 256;
/// Most keys that are counted by their name, for as long as the agent runs; the others together.
pub const COUNTED: usize = 32;

/// Keys that have no budget begin with this.
const OF_PROCESS: &str = "process.";
/// Keys that no process can choose begin with these.
const SEEN: [&str; 2] = ["k8s.", "container."];
/// Keys whose values say which single thing it is end with one of these.
const IDS: [&str; 2] = [".id", ".uid"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of each key.
    pub values: usize,
    pub total: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Through,
    /// It is to be [`OTHER`].
    Other,
    /// The label is to be removed.
    Removed,
}

pub struct Budget {
    limits: Limits,
    keys: HashMap<String, Key>,
    /// Values of all keys, and of those that processes can choose.
    total: usize,
    chosen: usize,
    hasher: RandomState,
    looked: Option<Instant>,
    evicted: u64,
    /// Samples with a value over the budget, by key.
    over: BTreeMap<String, u64>,
}

#[derive(Default)]
struct Key {
    /// When each was last seen, by its hash.
    values: HashMap<u64, Instant>,
}

/// What there is to tell of a budget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Values that are let through.
    pub total: u64,
    /// Values that made room.
    pub evicted: u64,
    /// Of these keys, those with most values first.
    pub values: Vec<(String, u64)>,
    /// Samples with a value over the budget, by key.
    pub over: BTreeMap<String, u64>,
}

impl Budget {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            keys: HashMap::new(),
            total: 0,
            chosen: 0,
            hasher: RandomState::new(),
            looked: None,
            evicted: 0,
            over: BTreeMap::new(),
        }
    }

    /// Begins a batch, with these limits from now on.
    pub fn begin(&mut self, limits: Limits, now: Instant) {
        if limits.values < self.limits.values || limits.total < self.limits.total {
            // Who comes first now?
            self.forget(|_| false);
        }
        self.limits = limits;
        let due = |looked: Instant| now.saturating_duration_since(looked) >= LOOKED;
        if self.looked.is_none_or(due) {
            self.looked = Some(now);
            self.forget(|seen| now.saturating_duration_since(seen) < KEPT);
        }
    }

    fn forget(&mut self, stays: impl Fn(Instant) -> bool) {
        self.keys.retain(|_, key| {
            key.values.retain(|_, seen| stays(*seen));
            !key.values.is_empty()
        });
        let (mut left, mut chosen) = (0, 0);
        for (name, key) in &self.keys {
            left += key.values.len();
            if !is_seen(name) {
                chosen += key.values.len();
            }
        }
        self.evicted += (self.total - left) as u64;
        (self.total, self.chosen) = (left, chosen);
    }

    /// What is to become of a value that so many samples have.
    pub fn admit(&mut self, key: &str, value: &str, samples: u64, now: Instant) -> Verdict {
        if key.starts_with(OF_PROCESS) {
            return Verdict::Through;
        }
        let hash = self.hasher.hash_one(value);
        let is_seen = is_seen(key);
        let has_room = self.total < self.limits.total
            && (is_seen || self.chosen < self.limits.total.div_ceil(2));
        let has_key = || match is_seen {
            true => self.keys.len() < KEYS,
            false => self.keys.keys().filter(|it| !self::is_seen(it)).count() < KEYS / 2,
        };
        let is_new = !self.keys.contains_key(key) && has_room && has_key();
        let known = match is_new {
            true => Some(self.keys.entry(key.to_owned()).or_default()),
            false => self.keys.get_mut(key),
        };
        if let Some(known) = known {
            if let Some(seen) = known.values.get_mut(&hash) {
                *seen = now;
                return Verdict::Through;
            }
            if known.values.len() < self.limits.values && has_room {
                known.values.insert(hash, now);
                self.total += 1;
                self.chosen += usize::from(!is_seen);
                return Verdict::Through;
            }
        }
        self.count(key, samples);
        let is_id = IDS.iter().any(|id| key.ends_with(id));
        // A key that nothing is known of would be a label of its own, whatever its value.
        match is_id || !self.keys.contains_key(key) {
            true => Verdict::Removed,
            false => Verdict::Other,
        }
    }

    fn count(&mut self, key: &str, samples: u64) {
        let known = self.over.contains_key(key) || self.over.len() < COUNTED;
        let key = if known { key } else { OTHER };
        *self.over.entry(key.to_owned()).or_default() += samples;
    }

    pub fn spent(&self) -> Spent {
        let keys = self.keys.iter();
        let mut values: Vec<(String, u64)> = keys
            .map(|(name, key)| (name.clone(), key.values.len() as u64))
            .collect();
        values.sort_by(|(one, few), (two, many)| many.cmp(few).then(one.cmp(two)));
        values.truncate(COUNTED);
        Spent {
            total: self.total as u64,
            evicted: self.evicted,
            values,
            over: self.over.clone(),
        }
    }
}

/// Whether what such a key says was seen by somebody else than the process.
fn is_seen(key: &str) -> bool {
    SEEN.iter().any(|seen| key.starts_with(seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        values: 3,
        total: 8,
    };

    struct Days {
        budget: Budget,
        now: Instant,
    }

    impl Days {
        fn new(limits: Limits) -> Self {
            let mut budget = Budget::new(limits);
            let now = Instant::now();
            budget.begin(limits, now);
            Self { budget, now }
        }

        fn pass(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
            self.budget.begin(self.budget.limits, self.now);
        }

        fn admit(&mut self, key: &str, value: impl ToString) -> Verdict {
            self.budget.admit(key, &value.to_string(), 1, self.now)
        }
    }

    #[test]
    fn who_comes_first_is_let_through_and_stays() {
        let mut days = Days::new(LIMITS);
        for round in 0..3 {
            for value in 0..3 {
                assert_eq!(days.admit("service.name", value), Verdict::Through);
            }
            assert_eq!(days.admit("service.name", 3), Verdict::Other, "{round}");
            days.pass(30);
        }
        assert_eq!(days.budget.spent().over["service.name"], 3);
        assert_eq!(days.budget.spent().values, [("service.name".to_owned(), 3)]);
    }

    #[test]
    fn ids_are_rather_removed_and_processes_pass() {
        let mut days = Days::new(LIMITS);
        for (key, over) in [
            ("container.id", Verdict::Removed),
            ("k8s.pod.uid", Verdict::Removed),
            ("process.pid", Verdict::Through),
            ("process.title", Verdict::Through),
        ] {
            for value in 0..3 {
                assert_eq!(days.admit(key, value), Verdict::Through);
            }
            assert_eq!(days.admit(key, 3), over, "{key}");
        }
    }

    #[test]
    fn all_keys_together_have_a_limit() {
        let mut days = Days::new(LIMITS);
        for key in ["k8s.a", "k8s.b"] {
            for value in 0..3 {
                assert_eq!(days.admit(key, value), Verdict::Through);
            }
        }
        assert_eq!(days.admit("c", 0), Verdict::Through);
        assert_eq!(days.admit("c", 1), Verdict::Through);
        assert_eq!(days.admit("c", 2), Verdict::Other);
        // A key of which nothing was let through.
        assert_eq!(days.admit("d", 0), Verdict::Removed);
        assert_eq!(days.admit("k8s.a", 0), Verdict::Through);
        assert_eq!(days.budget.spent().total, 8);
    }

    #[test]
    fn what_processes_choose_leaves_half_to_what_was_seen() {
        let mut days = Days::new(LIMITS);
        for value in 0..3 {
            assert_eq!(days.admit("a", value), Verdict::Through);
        }
        assert_eq!(days.admit("b", 0), Verdict::Through);
        assert_eq!(days.admit("b", 1), Verdict::Other);
        for value in 0..3 {
            assert_eq!(days.admit("k8s.pod.name", value), Verdict::Through);
        }
        assert_eq!(days.admit("container.id", 0), Verdict::Through);
        assert_eq!(days.admit("container.id", 1), Verdict::Removed);
        days.pass(7200);
        assert_eq!(days.admit("b", 1), Verdict::Through);

        let limits = Limits {
            values: 2,
            total: 10_000,
        };
        let mut days = Days::new(limits);
        let through = (0..1000)
            .filter(|key| days.admit(&format!("key{key}"), 0) == Verdict::Through)
            .count();
        assert_eq!(through, KEYS / 2);
        assert_eq!(days.admit("k8s.pod.name", 0), Verdict::Through);
    }

    #[test]
    fn what_was_not_seen_for_an_hour_makes_room() {
        let mut days = Days::new(LIMITS);
        for value in 0..3 {
            days.admit("a", value);
        }
        for _ in 0..59 {
            days.pass(60);
            assert_eq!(days.admit("a", 0), Verdict::Through);
            assert_eq!(days.admit("a", 3), Verdict::Other);
        }
        days.pass(60);
        assert_eq!(days.admit("a", 3), Verdict::Through);
        assert_eq!(days.admit("a", 4), Verdict::Through);
        assert_eq!(days.admit("a", 1), Verdict::Other);
        assert_eq!(days.admit("a", 0), Verdict::Through);
        assert_eq!(days.budget.spent().evicted, 2);
        days.pass(7200);
        assert_eq!(days.budget.spent().total, 0);
        assert_eq!(days.budget.spent().evicted, 5);
    }

    #[test]
    fn a_higher_limit_lets_more_through_and_a_lower_one_begins_anew() {
        let mut days = Days::new(LIMITS);
        for value in 0..4 {
            days.admit("a", value);
        }
        let higher = Limits {
            values: 4,
            ..LIMITS
        };
        days.budget.begin(higher, days.now);
        assert_eq!(days.admit("a", 3), Verdict::Through);
        let lower = Limits {
            values: 1,
            total: 1,
        };
        days.budget.begin(lower, days.now);
        assert_eq!(days.admit("a", 3), Verdict::Through);
        assert_eq!(days.admit("a", 0), Verdict::Other);
        assert_eq!(days.budget.spent().total, 1);
    }

    /// Whatever comes, what is kept and what is counted stays within bounds, and the values that
    /// were let through within an hour as well.
    #[test]
    fn it_stays_within_its_bounds() {
        let limits = Limits {
            values: 20,
            total: 300,
        };
        let mut days = Days::new(limits);
        let mut random = fastrand::Rng::with_seed(7);
        let mut through = BTreeMap::<String, std::collections::BTreeSet<u32>>::new();
        for _ in 0..100_000 {
            let key = format!(
                "key{}{}",
                random.u32(0..600),
                ["", ".id"][random.usize(0..2)]
            );
            let value = random.u32(0..50);
            match days.admit(&key, value) {
                Verdict::Through => drop(through.entry(key).or_default().insert(value)),
                Verdict::Other => assert!(!key.ends_with(".id")),
                Verdict::Removed => {}
            }
        }
        assert!(through.len() <= KEYS / 2);
        assert!(through.values().all(|values| values.len() <= 20));
        let total: usize = through.values().map(std::collections::BTreeSet::len).sum();
        assert_eq!(days.budget.spent().total, total as u64);
        assert_eq!(total, 150);
        let spent = days.budget.spent();
        assert!(spent.values.len() <= COUNTED && spent.over.len() <= COUNTED + 1);
    }
}
