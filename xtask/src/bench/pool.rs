//! Windows of earlier runs, kept in a file: a machine that others need too is measured in several short sittings.
//!
//! Each value is a ratio of neighbours within one run, so values of several runs on one machine may be averaged.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

type Values = BTreeMap<String, Vec<f64>>;

#[derive(Default)]
pub struct Pool {
    file: Option<PathBuf>,
    values: RefCell<Values>,
}

impl Pool {
    /// A file that is not there yet is an empty pool.
    pub fn open(file: Option<&Path>) -> Result<Self> {
        let values = match file {
            Some(path) if path.exists() => {
                let text = fs::read_to_string(path)
                    .with_context(|| format!("{} can't be read", path.display()))?;
                serde_json::from_str(&text)
                    .with_context(|| format!("{} is not a pool", path.display()))?
            }
            _ => Values::new(),
        };
        Ok(Self {
            file: file.map(Path::to_owned),
            values: RefCell::new(values),
        })
    }

    /// These values and all earlier ones of this name. Saved at once.
    pub fn add(&self, name: &str, values: &[f64]) -> Result<Vec<f64>> {
        let mut all = self.values.borrow_mut();
        let pooled = all.entry(name.to_owned()).or_default();
        pooled.extend_from_slice(values);
        let pooled = pooled.clone();
        if let Some(path) = &self.file {
            fs::write(path, serde_json::to_string(&*all)?)
                .with_context(|| format!("{} can't be written", path.display()))?;
        }
        Ok(pooled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn values_of_two_sittings_come_together_by_name() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().join("pool.json");
        for (sitting, expected) in [(1.0, vec![1.0]), (2.0, vec![1.0, 2.0])] {
            let pool = Pool::open(Some(&path)).unwrap();
            assert_eq!(pool.add("a", &[sitting]).unwrap(), expected);
            assert_eq!(pool.add(&format!("b {sitting}"), &[9.0]).unwrap(), [9.0]);
        }
        let none = Pool::open(None).unwrap();
        assert_eq!(none.add("a", &[3.0]).unwrap(), [3.0]);
        assert_eq!(none.add("a", &[4.0]).unwrap(), [3.0, 4.0]);
    }

    #[test]
    fn what_is_no_pool_is_refused_and_not_overwritten() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.write("pool.json", "no pool").unwrap();
        assert!(Pool::open(Some(&path)).is_err());
    }
}
