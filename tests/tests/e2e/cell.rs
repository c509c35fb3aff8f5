//! One cell of the table: a trial with a place.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use libtest_mimic::{Completion, Failed, Trial};
use strata_tests::machine::Problem;

use crate::report::{Report, Result as CellResult};

pub struct Cell {
    pub group: &'static str,
    pub row: String,
    pub property: String,
    run: Box<dyn FnOnce() -> Result<(), Problem> + Send>,
}

impl Cell {
    pub fn new(
        group: &'static str,
        row: impl Into<String>,
        property: impl Into<String>,
        run: impl FnOnce() -> Result<(), Problem> + Send + 'static,
    ) -> Self {
        Self {
            group,
            row: row.into(),
            property: property.into(),
            run: Box::new(run),
        }
    }

    pub fn name(&self) -> String {
        format!("{}::{}::{}", self.group, self.row, self.property)
    }

    pub fn into_trial(self, report: &Arc<Report>) -> Trial {
        let name = self.name();
        let report = Arc::clone(report);
        Trial::ignorable_test(name, move || {
            let place = (self.group, self.row, self.property);
            let begin = Instant::now();
            let outcome = (self.run)();
            report.note(
                place,
                match &outcome {
                    Ok(()) => CellResult::Passed,
                    Err(Problem::Skipped(why)) => CellResult::Skipped(why.clone()),
                    Err(Problem::Failed(_)) => CellResult::Failed,
                },
                begin.elapsed(),
            );
            match outcome {
                Ok(()) => Ok(Completion::Completed),
                Err(Problem::Skipped(why)) => Ok(Completion::ignored_with(why)),
                Err(Problem::Failed(why)) => Err(Failed::from(why)),
            }
        })
    }
}

/// Something that several cells need and that is made by the first of them: most often a recording.
pub struct Shared<T>(OnceLock<Result<T, Problem>>);

impl<T> Shared<T> {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(OnceLock::new()))
    }

    pub fn get(&self, make: impl FnOnce() -> Result<T, Problem>) -> Result<&T, Problem> {
        self.0.get_or_init(make).as_ref().map_err(Clone::clone)
    }
}

/// A check that is given a spoiled recording has to fail. If it doesn't, it proves nothing, and that is a failure.
pub fn must_fail(fault: &str, checked: Result<(), String>) -> Result<(), Problem> {
    match checked {
        Err(_) => Ok(()),
        Ok(()) => Err(Problem::Failed(format!(
            "the check passes although a fault was put in on purpose: {fault}"
        ))),
    }
}
