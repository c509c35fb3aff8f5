//! What `--stats-json` writes.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
pub struct Stats {
    /// Sampling events that the filter let through.
    pub entries: u64,
    /// All sampling events, whoever was running.
    pub runs: u64,
    /// When sampling began and ended, by the monotonic clock.
    pub started_ns: u64,
    pub ended_ns: u64,
    /// How long nothing was sampled since somebody paused the recording.
    pub paused_ns: u64,
    pub samples: u64,
    pub whole: u64,
    pub cut: BTreeMap<String, u64>,
    pub unnamed: u64,
    pub lost: BTreeMap<String, u64>,
    pub left_out: BTreeMap<String, u64>,
    pub processes: Vec<ProcessStats>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ProcessStats {
    pub pid: u32,
    pub name: String,
    /// How often the kernel side was asked for a sample of this process: the denominator of every percentage.
    pub entries: u64,
    pub samples: u64,
    pub whole: u64,
    #[serde(default)]
    pub cut: BTreeMap<String, u64>,
}

impl Stats {
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text)
            .map_err(|error| format!("the statistics can't be read: {error}\n{text}"))
    }

    /// All that is counted for a process id, lives before and after an exec taken together.
    pub fn process(&self, pid: u32) -> Result<ProcessStats, String> {
        let mut lives = self.processes.iter().filter(|process| process.pid == pid);
        let mut all = lives
            .next()
            .cloned()
            .ok_or_else(|| format!("process {pid} is not in the statistics"))?;
        for life in lives {
            all.entries += life.entries;
            all.samples += life.samples;
            all.whole += life.whole;
            for (reason, count) in &life.cut {
                *all.cut.entry(reason.clone()).or_default() += count;
            }
        }
        Ok(all)
    }
}

impl ProcessStats {
    /// For messages: where the samples went that were not whole.
    pub fn summary(&self) -> String {
        format!(
            "{} {}: {} entries, {} samples, {} whole, cut {:?}",
            self.name, self.pid, self.entries, self.samples, self.whole, self.cut
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_of_a_process_add_up() {
        let life = |whole| {
            format!(
                r#"{{"pid": 7, "name": "x", "entries": 10, "samples": 9, "whole": {whole}, "cut": {{"no_row": 1}}}}"#
            )
        };
        let text = format!(
            r#"{{"entries": 20, "runs": 24, "samples": 18, "whole": 15, "cut": {{}}, "unnamed": 0, "lost": {{}},
                "left_out": {{"idle": 4}}, "started_ns": 1, "ended_ns": 2, "paused_ns": 0, "processes": [{}, {}]}}"#,
            life(8),
            life(7)
        );
        let all = Stats::parse(&text)
            .expect("the text is right")
            .process(7)
            .expect("the process is there");
        assert_eq!((all.entries, all.whole, all.cut["no_row"]), (20, 15, 2));
        assert!(
            Stats::parse(&text)
                .expect("the text is right")
                .process(8)
                .is_err()
        );
        assert!(Stats::parse("{}").is_err());
    }
}
