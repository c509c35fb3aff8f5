//! Tells of the agent: to its metrics, and to systemd.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use agent_common::filter::CGROUP_POLICIES;
use anyhow::Result;

use super::config::Loaded;
use super::keeper::{Keeper, Lost};
use super::service;
use crate::export::Exporters;
use crate::metadata::kubernetes::Kubernetes;
use crate::metadata::select::Counts;
use crate::session::{Occupancy, Session, Slow};
use crate::store::Store;
use crate::telemetry::{Batches, Executable, Sampling, Settings, Status, Table, Telemetry, serve};

pub struct Reporter {
    telemetry: Arc<Telemetry>,
    store: Arc<Store>,
    kubernetes: Option<Arc<Kubernetes>>,
    batches: Batches,
}

impl Reporter {
    /// Serves metrics, if that is wanted.
    pub fn start(
        loaded: &Loaded,
        store: Arc<Store>,
        kubernetes: Option<Arc<Kubernetes>>,
    ) -> Result<Self> {
        let telemetry = Arc::new(Telemetry::default());
        if let Some(listen) = loaded.config.listen {
            let address = serve(listen, Arc::clone(&telemetry))?;
            tracing::info!(%address, "metrics, health and state are served");
        }
        Ok(Self {
            telemetry,
            store,
            kubernetes,
            batches: Batches::default(),
        })
    }

    /// A batch was made, which took so long.
    pub fn batch(&mut self, samples: u64, took: Duration) {
        self.batches.count += 1;
        self.batches.last_duration = took;
        self.batches.last_samples = samples;
    }

    /// Publishes what holds now.
    pub fn publish(
        &self,
        loaded: &Loaded,
        session: &Session,
        exporters: &Exporters,
        keeper: &Keeper,
        choice: Option<Counts>,
    ) {
        let config = &loaded.config;
        let (lost, labels) = (keeper.lost(), keeper.labels());
        let mut tables: Vec<Table> = session.totals().tables.iter().map(table).collect();
        tables.push(labels.all.clone());
        let mut sampling = Sampling::from(session.totals());
        for (name, count) in lost.by_cause() {
            sampling.lost.insert(name.to_owned(), count);
        }
        tables.extend(choice.map(|choice| Table {
            name: "cgroup_policies",
            used: choice.policies,
            most: CGROUP_POLICIES.into(),
            evicted: 0,
        }));
        let text = format!("{} samples, {} Hz", sampling.samples, loaded.base());
        service::status(&text);
        self.telemetry.update(Status {
            settings: Settings {
                rate: loaded.base(),
                interval: config.interval,
                store: config.store.clone(),
                store_bytes: config.store_size,
                store_age: config.store_age,
            },
            sampling,
            tables,
            executables: session.slowest().iter().map(executable).collect(),
            batches: self.batches,
            labels,
            store: self.store.status(),
            store_error: lost.last_error(),
            exporters: exporters.status(),
            kubernetes: self.kubernetes.as_ref().map(|it| it.status()),
            choice,
        });
    }
}

fn table(occupancy: &Occupancy) -> Table {
    Table {
        name: occupancy.name,
        used: occupancy.used,
        most: occupancy.most,
        evicted: occupancy.evicted,
    }
}

fn executable(slow: &Slow) -> Executable {
    Executable {
        path: slow.path.clone(),
        rows: slow.rows,
        duration: slow.took,
    }
}

impl Lost {
    fn by_cause(&self) -> [(&'static str, u64); 3] {
        [
            ("store_behind", self.behind.load(Ordering::Relaxed)),
            ("store_refused", self.refused.load(Ordering::Relaxed)),
            ("message_too_large", self.too_large.load(Ordering::Relaxed)),
        ]
    }
}
