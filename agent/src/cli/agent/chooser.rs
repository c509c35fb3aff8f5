//! Has the kernel side sample what is wanted: turns pods as they come, change and go, and settings as
//! they are read, into policies of cgroups.
//!
//! On a thread of its own, which writes the kernel side's table at once, whatever the agent's loop is
//! busy with.

mod places;
#[cfg(test)]
mod tests;
mod work;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use agent_common::filter::FILTER_POLICY;

use crate::bpf::kernel::cgroup_subsystem;
use crate::bpf::policies::Policies;
use crate::metadata::pods::Pods;
use crate::metadata::select::{Counts, Selection};
use crate::process::cgroup::CgroupError;
use crate::process::cgroup::pods::{self, Compared};
use crate::session::Config;
use work::Work;

/// What is to be sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Samples a second of whatever has no rate of its own.
    pub rate: u64,
    pub selection: Selection,
    /// Whether what is in no pod is sampled.
    pub host: bool,
}

impl Wanted {
    /// Whether everything is, at one rate.
    pub fn is_everything(&self) -> bool {
        let Selection { only_chosen, rules } = &self.selection;
        !only_chosen && rules.is_empty() && self.host
    }

    /// How often the clock has to fire.
    pub fn highest_rate(&self) -> u64 {
        let of_rules = self.selection.highest_rate().map_or(0, u64::from);
        self.rate.max(of_rules)
    }
}

/// What the choice begins with, before anything is loaded.
pub struct Ground {
    compared: Compared,
    /// For how long nothing is sampled of pods that are not known yet.
    hold: Duration,
}

/// A pod that is not to be sampled is not for a moment when the agent starts, unless the API server
/// takes longer than this to say who it is.
const HOLD: Duration = Duration::from_secs(3);

/// Whether there is a choice to be made, where pods are, and what a session needs for it.
pub fn prepare(
    wanted: &Wanted,
    has_pods: bool,
    config: &mut Config,
) -> Result<Option<Ground>, CgroupError> {
    if wanted.is_everything() && !has_pods {
        return Ok(None);
    }
    let Some(compared) = pods::find(&cgroup_subsystem) else {
        if wanted.is_everything() {
            tracing::warn!(
                "No cgroups can be seen, so what pods say of being profiled is not known: mount the \
                 host's at /sys/fs/cgroup, or give the agent CAP_SYS_PTRACE."
            );
            return Ok(None);
        }
        return Err(CgroupError::NoHierarchy);
    };
    let hierarchy = &compared.hierarchy;
    if compared.has_pods {
        tracing::info!("pods are told apart by their cgroups in {}", hierarchy.name);
    } else {
        tracing::info!(
            "there are no pods' cgroups yet; they will be looked for in {}",
            hierarchy.name
        );
    }
    config.filter |= FILTER_POLICY;
    config.cgroup_subsystem = hierarchy.subsystem;
    let hold = if has_pods { HOLD } else { Duration::ZERO };
    Ok(Some(Ground { compared, hold }))
}

/// The choice under way. Its thread ends when it is dropped.
pub struct Chooser {
    shared: Arc<Shared>,
    thread: thread::Thread,
}

/// What the thread is asked and what it tells.
struct Shared {
    orders: Mutex<Orders>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Orders {
    wanted: Option<Wanted>,
    stop: bool,
}

impl Shared {
    fn take(&self) -> Orders {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        Orders {
            wanted: orders.wanted.take(),
            stop: orders.stop,
        }
    }

    fn tell(&self, counts: Counts) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }
}

impl Chooser {
    /// Says what holds now, and begins to follow the pods. `base`: how often the clock fires.
    pub fn start(
        ground: Ground,
        policies: Policies,
        base: u64,
        wanted: Wanted,
        pods: Option<Arc<Pods>>,
    ) -> io::Result<Self> {
        let mut work = Work::new(policies, ground, base, wanted, pods);
        work.begin();
        let shared = Arc::new(Shared {
            orders: Mutex::default(),
            counts: Mutex::new(work.counts()),
        });
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("strata-choice".to_owned())
            .spawn(move || {
                loop {
                    let orders = own.take();
                    if orders.stop {
                        return;
                    }
                    if let Some(wanted) = orders.wanted {
                        work.want(wanted);
                    }
                    work.go_on();
                    own.tell(work.counts());
                    work.wait();
                }
            })?;
        Ok(Self {
            shared,
            thread: thread.thread().clone(),
        })
    }

    /// Other settings hold from now on.
    pub fn want(&self, wanted: Wanted) {
        self.order(|orders| orders.wanted = Some(wanted));
    }

    pub fn counts(&self) -> Counts {
        let counts = self.shared.counts.lock();
        *counts.unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        let orders = self.shared.orders.lock();
        change(&mut orders.unwrap_or_else(PoisonError::into_inner));
        self.thread.unpark();
    }
}

impl Drop for Chooser {
    fn drop(&mut self) {
        self.order(|orders| orders.stop = true);
    }
}
