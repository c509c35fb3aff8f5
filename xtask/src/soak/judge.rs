//! Whether readings show something that grows.

use serde::Serialize;

use super::watch::Reading;

/// What is allowed after the warm-up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Growth of anonymous memory, KiB an hour.
    pub memory_an_hour: f64,
    /// Growth of open descriptors an hour.
    pub descriptors_an_hour: f64,
    /// Anonymous memory and eBPF maps together, KiB.
    pub memory: u64,
    /// Share of one core.
    pub cpu: f64,
    /// Part of the time that is warm-up: tables fill to their bounds, that of names in 17 minutes.
    pub warm_up: f64,
}

/// A growth of 3 MiB an hour is told from the noise of half an hour.
const GROWTH: f64 = 3.0 * 1024.0;
const HALF_HOUR: f64 = 1800.0;

impl Limits {
    /// For this long a run: the shorter it is, the less a slope says.
    pub fn of(readings: &[Reading]) -> Self {
        let seconds = readings.last().map_or(0.0, |last| last.seconds).max(1.0);
        let noise = (HALF_HOUR / seconds).max(1.0).powf(1.5);
        Self {
            memory_an_hour: GROWTH * noise,
            descriptors_an_hour: 20.0 * noise,
            memory: 64 << 10,
            cpu: 0.01,
            warm_up: 0.6,
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub good: bool,
    pub text: String,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    pub findings: Vec<Finding>,
}

impl Verdict {
    pub fn is_good(&self) -> bool {
        !self.findings.is_empty() && self.findings.iter().all(|finding| finding.good)
    }

    fn add(&mut self, good: bool, text: String) {
        self.findings.push(Finding { good, text });
    }
}

pub fn judge(readings: &[Reading], limits: &Limits) -> Verdict {
    let mut verdict = Verdict::default();
    let all = readings.last().map_or(0.0, |last| last.seconds);
    let warm: Vec<&Reading> = readings
        .iter()
        .filter(|reading| reading.seconds >= all * limits.warm_up)
        .collect();
    let (Some(first), Some(last)) = (warm.first(), warm.last()) else {
        return verdict;
    };
    if warm.len() < 6 {
        verdict.add(
            false,
            "too few readings to judge: soak for longer".to_owned(),
        );
        return verdict;
    }
    let slope = |of: fn(&Reading) -> f64| {
        let points: Vec<(f64, f64)> = warm
            .iter()
            .map(|it| (it.seconds / 3600.0, of(it)))
            .collect();
        slope(&points)
    };

    let memory = slope(|it| it.anonymous_kib as f64);
    verdict.add(
        memory <= limits.memory_an_hour,
        format!(
            "anonymous memory grows by {memory:.0} KiB an hour (at most {:.0})",
            limits.memory_an_hour
        ),
    );
    let most = readings
        .iter()
        .map(|it| it.anonymous_kib + it.map_kib)
        .max();
    let most = most.unwrap_or(0);
    verdict.add(
        most <= limits.memory,
        format!(
            "anonymous memory and eBPF maps take {most} KiB at most (at most {})",
            limits.memory
        ),
    );
    let descriptors = slope(|it| it.descriptors as f64);
    verdict.add(
        descriptors <= limits.descriptors_an_hour,
        format!(
            "open descriptors grow by {descriptors:.0} an hour (at most {:.0})",
            limits.descriptors_an_hour
        ),
    );
    verdict.add(
        last.threads <= first.threads,
        format!(
            "{} threads, {} after the warm-up",
            last.threads, first.threads
        ),
    );
    let seconds = (last.seconds - first.seconds).max(1.0);
    let own = (last.cpu_seconds - first.cpu_seconds) / seconds;
    let ebpf = (last.ebpf_seconds - first.ebpf_seconds) / seconds;
    verdict.add(
        own + ebpf <= limits.cpu,
        format!(
            "{:.2} % of one core, {:.2} % of it in eBPF (at most {:.2} %)",
            (own + ebpf) * 100.0,
            ebpf * 100.0,
            limits.cpu * 100.0
        ),
    );
    for (name, (_, bound)) in last.tables.iter().filter(|(_, (_, most))| *most > 0) {
        let used = warm
            .iter()
            .filter_map(|it| it.tables.get(name))
            .map(|it| it.0)
            .max();
        let used = used.unwrap_or(0);
        verdict.add(used <= *bound, format!("{name}: {used} at most of {bound}"));
    }
    verdict
}

/// Median of the slopes between all pairs of points (Theil and Sen): a peak now and then does not move it.
fn slope(points: &[(f64, f64)]) -> f64 {
    let mut slopes: Vec<f64> = points
        .iter()
        .enumerate()
        .flat_map(|(number, a)| points[number + 1..].iter().map(move |b| (a, b)))
        .filter(|(a, b)| b.0 > a.0)
        .map(|(a, b)| (b.1 - a.1) / (b.0 - a.0))
        .collect();
    slopes.sort_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half an hour of an agent that fills its tables in five minutes, with noise and peaks.
    fn healthy() -> Vec<Reading> {
        let mut random = 1u64;
        let mut noise = move |most: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) % most
        };
        (1..=180u64)
            .map(|number| {
                let filled = number.min(30);
                let peak = if number % 37 == 0 { 6000 } else { 0 };
                Reading {
                    seconds: number as f64 * 10.0,
                    anonymous_kib: 10_000 + filled * 200 + noise(2500) + peak,
                    descriptors: 80 + filled * 4 + noise(12),
                    threads: 8,
                    cpu_seconds: number as f64 * 0.05,
                    ebpf_seconds: number as f64 * 0.02,
                    map_kib: 24_000,
                    tables: [("files".to_owned(), (150 + noise(20), 2048))].into(),
                }
            })
            .collect()
    }

    fn bad(readings: &[Reading]) -> Vec<String> {
        let verdict = judge(readings, &Limits::of(readings));
        assert_eq!(verdict.is_good(), verdict.findings.iter().all(|it| it.good));
        let bad = verdict.findings.into_iter().filter(|it| !it.good);
        bad.map(|it| it.text).collect()
    }

    /// Readings with something planted in each, by the seconds that passed.
    fn planted(plant: impl Fn(&mut Reading, f64)) -> Vec<String> {
        let mut readings = healthy();
        for reading in &mut readings {
            let seconds = reading.seconds;
            plant(reading, seconds);
        }
        bad(&readings)
    }

    #[test]
    fn tables_that_fill_up_are_no_growth() {
        assert_eq!(bad(&healthy()), [""; 0]);
    }

    #[test]
    fn a_leak_of_memory_is_found() {
        // 100 bytes for each of 20 processes a second.
        let found = planted(|reading, seconds| reading.anonymous_kib += (seconds * 2.0) as u64);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("anonymous memory grows"), "{found:?}");
    }

    #[test]
    fn a_leak_of_descriptors_is_found() {
        let found = planted(|reading, seconds| reading.descriptors += (seconds / 60.0) as u64);
        assert!(
            found.iter().any(|it| it.contains("descriptors")),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_too_much_is_found() {
        let found = planted(|reading, _| reading.map_kib += 40_000);
        assert!(found[0].contains("eBPF maps take"), "{found:?}");
        let found = planted(|reading, seconds| reading.ebpf_seconds += seconds * 0.004);
        assert!(found[0].contains("of one core"), "{found:?}");
        let found = planted(|reading, seconds| reading.threads += (seconds / 600.0) as u64);
        assert!(found[0].contains("threads"), "{found:?}");
        let found = planted(|reading, _| {
            reading.tables.insert("files".to_owned(), (2049, 2048));
        });
        assert!(found[0].contains("files: 2049"), "{found:?}");
    }

    #[test]
    fn a_moment_is_too_short_to_judge() {
        assert_eq!(bad(&healthy()[..5]).len(), 1);
        assert!(!judge(&[], &Limits::of(&[])).is_good());
    }
}
