//! What the agent tells of itself: read by a real Prometheus and by promtool, shown by a real browser, and compared with
//! what the kernel says of the agent's process. All of one agent that runs meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use strata_tests::machine::agent::Agent;
use strata_tests::machine::http::{self, Answer, free_port};
use strata_tests::machine::prometheus::{Prometheus, promtool};
use strata_tests::machine::{Problem, on_path};

use crate::cell::{Cell, Shared, must_fail};
use crate::world::World;

/// How long the agent may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(60);
/// For how long the agent may answer with what it read of itself before.
const FRESH: Duration = Duration::from_secs(1);

struct Telemetry {
    world: Arc<World>,
    served: Arc<Shared<Served>>,
    /// Those that use the agent; the last one ends it.
    left: Mutex<usize>,
}

/// A running agent, and a Prometheus that scrapes it.
struct Served {
    port: u16,
    folder: PathBuf,
    running: Mutex<Option<(Agent, Prometheus)>>,
    pid: u32,
}

pub fn cells(world: &Arc<World>) -> Vec<Cell> {
    type Check = fn(&Telemetry, &Served) -> Result<(), Problem>;
    let checks: [(&str, &str, Check); 7] = [
        ("prometheus", "scraped", Telemetry::scraped),
        ("prometheus", "dashboard", Telemetry::dashboard),
        ("promtool", "clean", Telemetry::clean),
        ("metrics", "own_cost", Telemetry::own_cost),
        ("metrics", "add_up", Telemetry::add_up),
        ("page", "shown", Telemetry::shown),
        ("page", "json", Telemetry::json),
    ];
    let telemetry = Arc::new(Telemetry {
        world: Arc::clone(world),
        served: Shared::new(),
        left: Mutex::new(checks.len()),
    });
    let cells = checks.into_iter().map(|(row, property, check)| {
        let telemetry = Arc::clone(&telemetry);
        Cell::new("telemetry", row, property, move || {
            let served = telemetry.served()?;
            let checked = check(&telemetry, served);
            telemetry.done(served);
            checked
        })
    });
    cells.collect()
}

impl Served {
    fn get(&self, path: &str) -> Result<Answer, String> {
        http::get(self.port, path, "*/*")
    }

    fn metrics(&self) -> Result<String, String> {
        self.get("/metrics")?.ok()
    }

    /// Of the agent's own process, as the kernel says.
    fn cpu(&self) -> Result<f64, String> {
        let path = format!("/proc/{}/stat", self.pid);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let fields = text.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let ticks = fields.split(' ').skip(11).take(2);
        let ticks: f64 = ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        // The kernel counts in hundredths for whoever reads this file.
        Ok(ticks / 100.0)
    }
}

/// Series of the text format by name, with the values of all their labels added up.
fn totals(metrics: &str) -> BTreeMap<String, f64> {
    let mut totals = BTreeMap::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let name = series.split('{').next().unwrap_or_default();
        *totals.entry(name.to_owned()).or_default() += value.parse::<f64>().unwrap_or(f64::NAN);
    }
    totals
}

/// All names that the agent says it has, also of those without a series now.
fn names(metrics: &str) -> BTreeSet<String> {
    let lines = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    lines
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

/// Metrics that are there only where there are pods. The list of all that there may be is a test's of
/// the agent.
fn of_pods() -> BTreeSet<String> {
    let docs = include_str!("../../../docs/agent-metrics.md");
    let sections = docs.split("\n### ");
    let of_pods = sections.filter(|section| {
        section.starts_with("Kubernetes") || section.starts_with("Choice of what is sampled")
    });
    of_pods.flat_map(named).collect()
}

/// Names of ours in a query.
fn named(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = |word: &&str| word.starts_with("strata_") || word.starts_with("process_");
    words.filter(ours).map(str::to_owned).collect()
}

impl Telemetry {
    fn served(&self) -> Result<&Served, Problem> {
        self.served.get(|| {
            let folder = self.world.scratch().join("telemetry");
            let port = free_port()?;
            let listen = format!("127.0.0.1:{port}");
            let flags = ["--listen", &listen, "--interval", "5s"];
            let agent = Agent::start(self.world.strata()?, &folder, &flags)?;
            let until = Instant::now() + PATIENCE;
            loop {
                let why = match http::get(port, "/readyz", "*/*").and_then(Answer::ok) {
                    Ok(_) => break,
                    Err(why) => why,
                };
                if Instant::now() > until {
                    return Err(agent.explain(&format!("is not ready: {why}")).into());
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            let prometheus = Prometheus::start(port, &folder.join("prometheus"))?;
            Ok(Served {
                port,
                folder,
                pid: agent.pid(),
                running: Mutex::new(Some((agent, prometheus))),
            })
        })
    }

    /// Ends what runs when nobody needs it any more, so that it does not compete with what comes next.
    fn done(&self, served: &Served) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.saturating_sub(1);
        if *left == 0 {
            let mut running = served
                .running
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            drop(running.take());
        }
    }

    fn with_prometheus(
        served: &Served,
        check: impl FnOnce(&mut Prometheus) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let mut running = served
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (_, prometheus) = running.as_mut().ok_or("the agent was ended too early")?;
        check(prometheus)
    }

    /// It takes all that there is, as OpenMetrics.
    fn scraped(&self, served: &Served) -> Result<(), Problem> {
        let expected = totals(&served.metrics()?);
        Self::with_prometheus(served, |prometheus| {
            let targets = prometheus.ask("/api/v1/targets?state=active")?;
            let target = &targets["data"]["activeTargets"][0];
            if target["health"] != "up" || target["lastError"] != "" {
                return Err(format!("it does not take what the agent tells: {target}").into());
            }
            for name in expected.keys() {
                prometheus.wait(name)?;
            }
            // Only OpenMetrics has units.
            let metadata = prometheus.ask("/api/v1/targets/metadata?metric=process_cpu_seconds")?;
            let found = &metadata["data"][0];
            if found["unit"] != "seconds" || found["type"] != "counter" {
                return Err(format!("it did not scrape OpenMetrics: {metadata}").into());
            }
            // They are not all nothing.
            prometheus.wait("strata_samples_total > 0")?;
            prometheus.wait("increase(strata_batches_total[1m]) > 0")?;
            must_fail(
                "a metric that is not there",
                match prometheus.query("strata_no_such_metric_total")? {
                    found if found.is_empty() => Err("nothing".to_owned()),
                    _ => Ok(()),
                },
            )
        })
    }

    /// Each query of the dashboard names what is there, and Prometheus can answer it.
    fn dashboard(&self, served: &Served) -> Result<(), Problem> {
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/grafana/strata.json");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let dashboard: Value =
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut expressions = Vec::new();
        collect(&dashboard["panels"], &mut expressions);
        if expressions.len() < 20 {
            return Err(format!("only {} queries were found", expressions.len()).into());
        }
        let mut names = names(&served.metrics()?);
        names.extend(of_pods());
        Self::with_prometheus(served, |prometheus| {
            let check = |expression: &str| -> Result<usize, String> {
                let unknown: Vec<String> = named(expression).difference(&names).cloned().collect();
                if !unknown.is_empty() {
                    return Err(format!(
                        "{expression} names {unknown:?}, which are not there"
                    ));
                }
                // What Grafana puts in.
                let expression = expression
                    .replace("$instance", ".*")
                    .replace("$__rate_interval", "1m");
                Ok(prometheus.query(&expression)?.len())
            };
            let mut answered = 0;
            for expression in &expressions {
                answered += usize::from(check(expression)? > 0);
            }
            // Nothing is shipped and little is lost here, so not all of them have something to show.
            if answered * 2 < expressions.len() {
                return Err(
                    format!("only {answered} of {} have a result", expressions.len()).into(),
                );
            }
            for wrong in ["rate(strata_samples_total[1m)", "strata_sample_total"] {
                must_fail(wrong, check(wrong).map(drop))?;
            }
            Ok(())
        })
    }

    fn clean(&self, served: &Served) -> Result<(), Problem> {
        let metrics = served.metrics()?;
        let found = promtool(&metrics)?;
        if !found.is_empty() {
            return Err(format!("promtool finds fault:\n{found}").into());
        }
        let spoiled = metrics.replace("# HELP strata_ready", "# strata_ready");
        let found = promtool(&spoiled)?;
        must_fail(
            "a metric without help",
            if found.is_empty() { Ok(()) } else { Err(found) },
        )
    }

    /// What it says of itself is what the kernel says.
    fn own_cost(&self, served: &Served) -> Result<(), Problem> {
        let before = served.cpu()?;
        // What it answers with was read after that.
        std::thread::sleep(FRESH + FRESH / 10);
        let totals = totals(&served.metrics()?);
        let after = served.cpu()?;
        let said = totals["process_cpu_seconds_total"];
        let check = |said: f64| {
            // /proc rounds both halves down to hundredths.
            if (before..=after + 0.02).contains(&said) {
                return Ok(());
            }
            Err(format!(
                "{said} s of CPU are not within {before} and {after}"
            ))
        };
        check(said)?;
        must_fail("twice the CPU time and a second", check(said * 2.0 + 1.0))?;
        for (name, least) in [
            ("process_open_fds", 10.0),
            ("process_threads", 2.0),
            ("strata_memory_anonymous_bytes", 1e6),
            ("strata_bpf_memory_bytes", 1e6),
        ] {
            let value = totals.get(name).copied().unwrap_or(0.0);
            if value < least {
                return Err(format!("{name} is {value}, which can't be").into());
            }
        }
        let start = totals["process_start_time_seconds"];
        let listed = std::fs::metadata(format!("/proc/{}", served.pid))
            .and_then(|folder| folder.modified())
            .map_err(|error| format!("/proc/{}: {error}", served.pid))?;
        let now = std::time::SystemTime::now();
        let seconds = |time: std::time::SystemTime| {
            time.duration_since(std::time::UNIX_EPOCH)
                .map_or(0.0, |since| since.as_secs_f64())
        };
        if start > seconds(now) || start + 3600.0 < seconds(listed) {
            return Err(format!("it says that it started at {start}").into());
        }
        Ok(())
    }

    /// Every run of the sampling program comes to be in one of the counters, and none in two. Some samples are on their way
    /// whenever a batch is closed, and are counted with the next one.
    fn add_up(&self, served: &Served) -> Result<(), Problem> {
        let until = Instant::now() + PATIENCE;
        let mut first = None;
        loop {
            let totals = totals(&served.metrics()?);
            let of = |name: &str| totals.get(name).copied().unwrap_or(0.0);
            let samples = of("strata_samples_total");
            let stacks = of("strata_samples_whole_total") + of("strata_samples_cut_total");
            if stacks != samples {
                return Err(format!("{stacks} stacks are whole or cut, of {samples}").into());
            }
            let runs = of("strata_sampling_runs_total");
            let parts =
                samples + of("strata_samples_lost_total") + of("strata_samples_left_out_total");
            if parts > runs {
                return Err(format!("{parts} things came of {runs} runs").into());
            }
            let first = *first.get_or_insert(runs);
            if first > 0.0 && parts >= first {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("of {first} runs only {parts} came to be something").into());
            }
            std::thread::sleep(FRESH);
        }
    }

    /// A browser shows it, and finds that its policy allows all that it has.
    fn shown(&self, served: &Served) -> Result<(), Problem> {
        if !on_path("chromium") {
            return Err(Problem::Skipped(
                "chromium is not installed (tests/setup.sh)".to_owned(),
            ));
        }
        let address = format!("http://127.0.0.1:{}/debug/status", served.port);
        let (page, complaints) = browse(served, &address)?;
        for word in ["Ready", "Sampling", "Store", "Budgets", "Slowest files"] {
            if !page.contains(word) {
                return Err(format!("the page does not show {word}:\n{page}").into());
            }
        }
        let check = |complaints: &str| {
            if complaints.contains("violates the following Content Security Policy") {
                return Err(format!("its own policy refuses a part of it: {complaints}"));
            }
            Ok(())
        };
        check(&complaints)?;
        let answer = served.get("/debug/status")?;
        let policy = answer
            .header("content-security-policy")
            .ok_or("it has no policy")?;
        // The same page under the same policy with another style sheet.
        let policy = policy.replace('\'', "&#39;");
        let spoiled = answer.body.replace("<style>", "<style>p{color:red}").replace(
            "<meta charset",
            &format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\"><meta charset"),
        );
        let file = served.folder.join("spoiled.html");
        std::fs::write(&file, spoiled).map_err(|error| format!("{}: {error}", file.display()))?;
        let (_, complaints) = browse(served, &format!("file://{}", file.display()))?;
        must_fail(
            "a style sheet that the policy does not know",
            check(&complaints),
        )
    }

    fn json(&self, served: &Served) -> Result<(), Problem> {
        let text = served.get("/debug/status?format=json")?.ok()?;
        let value: Value =
            serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        if value["ready"] != true || value["settings"]["interval_seconds"] != 5.0 {
            return Err(format!("it says {text}").into());
        }
        Ok(())
    }
}

/// A page as a browser has it, and what the browser said.
fn browse(served: &Served, address: &str) -> Result<(String, String), Problem> {
    let profile = served.folder.join("chromium");
    let output = Command::new("chromium")
        .args(["--headless=new", "--no-sandbox", "--no-first-run"])
        .args([
            "--disable-extensions",
            "--enable-logging=stderr",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(address)
        .env("HOME", &served.folder)
        .output()
        .map_err(|error| format!("chromium can't be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("chromium ended with {}", output.status).into());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(&output.stdout), text(&output.stderr)))
}

/// All queries in a dashboard, wherever they are.
fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("expr", Value::String(expression)) => found.push(expression.clone()),
                    _ => collect(value, found),
                }
            }
        }
        _ => {}
    }
}
