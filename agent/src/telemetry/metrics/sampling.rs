//! Sampling, batches, and the tables in between.

use std::collections::BTreeMap;

use super::super::exposition::Kind;
use super::super::{Snapshot, Table};
use super::list::{List, POINTS, bounded, point};

pub fn sampling(list: &mut List, snapshot: &Snapshot) {
    let sampling = &snapshot.status.sampling;
    list.gauge(
        "strata_sampling_rate_hertz",
        "Samples a second that each CPU is asked for.",
        snapshot.status.settings.rate,
    );
    list.gauge(
        "strata_sampling_cpus",
        "Most CPUs that were sampled at once.",
        sampling.cpus,
    );
    list.counter(
        "strata_sampling_due",
        "Runs of the sampling program that were due: rate times the time in which CPUs were busy.",
        sampling.due,
    );
    list.counter(
        "strata_sampling_runs",
        "Runs of the sampling program, whoever was running.",
        sampling.runs,
    );
    let cpu = BTreeMap::from([("cpu".to_owned(), sampling.samples)]);
    let events = if sampling.events.is_empty() {
        &cpu
    } else {
        &sampling.events
    };
    list.by("strata_samples", "Samples taken.", &["event"], events);
    list.counter(
        "strata_samples_whole",
        "Samples whose stacks are known from leaf to root.",
        sampling.whole,
    );
    list.by(
        "strata_samples_cut",
        "Samples whose stacks end too early, by cause.",
        &["cause"],
        &sampling.cut,
    );
    list.by(
        "strata_samples_lost",
        "Sampling events that became no sample, by cause.",
        &["cause"],
        &sampling.lost,
    );
    list.by(
        "strata_samples_left_out",
        "Runs of the sampling program that met something not to be sampled, by cause.",
        &["cause"],
        &sampling.left_out,
    );
    list.counter("strata_frames", "Frames of all samples.", sampling.frames);
    list.counter(
        "strata_frames_unnamed",
        "Frames that have an address and no name.",
        sampling.unnamed,
    );
    list.by(
        "strata_kernel_events",
        "Other counters of the kernel side.",
        &["event"],
        &sampling.kernel,
    );
    list.add(
        Kind::Gauge,
        "strata_interpreters_unreadable",
        "Interpreters without Python frames, by reason.",
        &["reason"],
        bounded(&sampling.interpreters),
    );
    list.add(
        Kind::Gauge,
        "strata_files_without_rows",
        "Executable files whose stacks can't be unwound by rows, by reason.",
        &["reason"],
        bounded(&sampling.files),
    );
}

pub fn batches(list: &mut List, snapshot: &Snapshot) {
    let batches = &snapshot.status.batches;
    list.counter("strata_batches", "Batches made.", batches.count);
    list.gauge(
        "strata_batch_interval_seconds",
        "Time from one batch to the next.",
        snapshot.status.settings.interval.as_secs_f64(),
    );
    let age = snapshot.pulse.batch;
    list.gauge(
        "strata_batch_age_seconds",
        "Time since the last batch was complete; it stands still while the machine is suspended.",
        age.map(|at| snapshot.now.saturating_duration_since(at).as_secs_f64()),
    );
    list.gauge(
        "strata_batch_duration_seconds",
        "How long the last batch took: to name, to encode and to keep.",
        batches.last_duration.as_secs_f64(),
    );
    list.gauge(
        "strata_batch_samples",
        "Samples in the last batch.",
        batches.last_samples,
    );
    let tables = &snapshot.status.tables;
    let by_table = |value: fn(&Table) -> u64| {
        let tables = tables.iter().take(POINTS);
        tables
            .filter_map(|table| point(&[table.name], value(table)))
            .collect()
    };
    list.add(
        Kind::Gauge,
        "strata_table_entries",
        "What is in a bounded table or cache.",
        &["table"],
        by_table(|table| table.used),
    );
    list.add(
        Kind::Gauge,
        "strata_table_limit",
        "Most that may be in it.",
        &["table"],
        by_table(|table| table.most),
    );
    list.add(
        Kind::Counter,
        "strata_table_evicted",
        "What had to leave it for something newer.",
        &["table"],
        by_table(|table| table.evicted),
    );
}
