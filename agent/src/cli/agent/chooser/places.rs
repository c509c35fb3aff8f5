//! The cgroups of all pods: where they are, found again when they come later or go.

use std::time::{Duration, Instant};

use crate::process::cgroup::hierarchy::Hierarchy;
use crate::process::cgroup::pods::{Place, all_pods, all_pods_at_hand, pod};

/// How often is looked for them where they usually are, while there are none.
const SOON: Duration = Duration::from_secs(1);
/// How often everywhere, which takes some ms, while there are none or a pod is in none of them.
const SELDOM: Duration = Duration::from_secs(10);

pub struct Places {
    hierarchy: Hierarchy,
    tops: Vec<Place>,
    looked: Option<Instant>,
    looked_everywhere: Option<Instant>,
}

impl Places {
    pub fn new(hierarchy: Hierarchy) -> Self {
        Self {
            hierarchy,
            tops: Vec::new(),
            looked: None,
            looked_everywhere: None,
        }
    }

    pub fn tops(&self) -> &[Place] {
        &self.tops
    }

    /// Looks again if it is time to; `missing`: a pod is in none of those that are known. Gives what
    /// is there now and what is no more, if that is not what was there before.
    pub fn look(&mut self, now: Instant, missing: bool) -> Option<(Vec<Place>, Vec<Place>)> {
        let due = |last: Option<Instant>, every: Duration| {
            last.is_none_or(|last| now.saturating_duration_since(last) >= every)
        };
        let is_lost = self.tops.iter().any(|top| !top.is_there());
        let mount = &self.hierarchy.mount;
        let found = if is_lost
            || (self.tops.is_empty() || missing) && due(self.looked_everywhere, SELDOM)
        {
            self.looked_everywhere = Some(now);
            all_pods(mount)
        } else if self.tops.is_empty() && due(self.looked, SOON) {
            self.looked = Some(now);
            all_pods_at_hand(mount)
        } else {
            return None;
        };
        let but = |all: &[Place], others: &[Place]| -> Vec<Place> {
            let missing = all.iter().filter(|place| !others.contains(place));
            missing.cloned().collect()
        };
        let (new, gone) = (but(&found, &self.tops), but(&self.tops, &found));
        self.tops = found;
        (!new.is_empty() || !gone.is_empty()).then_some((new, gone))
    }

    /// The cgroup of a pod by one of its names.
    pub fn pod<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> Option<Place> {
        names.find_map(|name| self.tops.iter().find_map(|top| pod(&top.directory, name)))
    }
}
