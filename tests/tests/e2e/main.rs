//! The end-to-end tests: `cargo test -p strata-tests --test e2e [FILTER]`.
//!
//! Each trial is one cell of a table (a kind of target × a property) and is named `group::row::property`. They run one after
//! the other, since they measure shares of CPU time on machines that may have only two CPUs. What a trial needs and can't
//! find makes it skipped, by name, with the reason; with STRATA_CI=1 the cells of `required.txt` must not be skipped.

mod again;
mod agent;
mod behaviour;
mod cell;
mod doctor;
mod export;
mod filters;
mod formats;
mod go;
mod host;
mod identity;
mod image;
mod metadata;
mod native;
mod output;
mod places;
mod python;
mod relabel;
mod report;
mod reports;
mod select;
mod telemetry;
mod world;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use strata_tests::machine::rights;

use crate::report::Report;
use crate::world::World;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let world = Arc::new(World::new());
    let report = Arc::new(Report::default());
    let mut cells = Vec::new();
    cells.extend(python::cells(&world));
    cells.extend(native::cells(&world));
    cells.extend(go::cells(&world));
    cells.extend(identity::cells(&world));
    cells.extend(filters::cells(&world));
    cells.extend(places::cells(&world));
    cells.extend(output::cells(&world));
    cells.extend(behaviour::cells(&world));
    cells.extend(doctor::cells(&world));
    cells.extend(host::cells(&world));
    cells.extend(formats::cells(&world));
    cells.extend(agent::cells(&world));
    cells.extend(reports::cells(&world));
    cells.extend(telemetry::cells(&world));
    cells.extend(metadata::cells(&world));
    cells.extend(relabel::cells(&world));
    cells.extend(select::cells(&world));
    cells.extend(export::cells(&world));
    cells.extend(image::cells(&world));
    let only = again::only();
    let trials: Vec<Trial> = cells
        .into_iter()
        .filter(|cell| only.as_ref().is_none_or(|only| only.contains(&cell.name())))
        .map(|cell| cell.into_trial(&report))
        .collect();
    let runs = |trial: &&Trial| !arguments.is_filtered_out(trial) && !arguments.is_ignored(trial);
    if !arguments.list && trials.iter().any(|trial| runs(&trial)) {
        // The binary is built now and not in the first trial, while a workload waits for it.
        let ready =
            rights::check().and_then(|()| world.strata().map_err(|why| why.to_string()).map(drop));
        if let Err(advice) = ready {
            eprintln!("{advice}");
            return ExitCode::FAILURE;
        }
    }
    let whole = arguments.filter.is_none()
        && arguments.skip.is_empty()
        && !arguments.list
        && only.is_none();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if arguments.list {
        return ExitCode::SUCCESS;
    }
    let complete = report.close(whole);
    let failed = report.failed();
    let settled = again::settle(&failed) && (!conclusion.has_failed() || !failed.is_empty());
    if !settled || !complete {
        ExitCode::from(101)
    } else {
        ExitCode::SUCCESS
    }
}
