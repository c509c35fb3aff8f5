//! The metrics: each with its name, which stays, and where its value comes from. What they mean
//! for whoever reads them is in docs/agent-metrics.md.
//!
//! Labels are words of ours, destinations that the operator named, or the keys of attributes: never
//! pids, never paths.

mod agent;
mod choice;
mod kubernetes;
mod labels;
mod list;
mod sampling;
mod shipping;

use super::Snapshot;
use super::exposition::Family;
use super::server::Traffic;
use list::List;

pub fn families(snapshot: &Snapshot, traffic: &Traffic) -> Vec<Family> {
    let mut list = List(Vec::with_capacity(80));
    agent::own(&mut list, snapshot);
    sampling::sampling(&mut list, snapshot);
    sampling::batches(&mut list, snapshot);
    labels::labels(&mut list, snapshot);
    shipping::store(&mut list, snapshot);
    shipping::exporters(&mut list, snapshot);
    kubernetes::pods(&mut list, snapshot);
    choice::choice(&mut list, snapshot);
    agent::server(&mut list, traffic);
    list.0
}
