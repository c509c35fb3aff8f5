//! Judges one run from what the guest printed.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail};

use super::console::Console;
use super::folded::{self, Between};
use super::kernel::Kernel;
use super::qemu::End;

/// Fewer samples of a program that burns a CPU for seconds mean that the clock does not fire.
const MIN_SAMPLES: u64 = 20;
/// Below 100: the first samples come before the agent knows the executable, and each is then an honest short stack.
const MIN_WHOLE_PERCENT: u64 = 80;

/// What a reader of the run's output sees, and what was wrong.
#[derive(Debug, Default)]
pub struct Verdict {
    notes: Vec<String>,
    faults: Vec<String>,
}

pub fn judge(console: &Console, kernel: &Kernel, boot_only: bool, end: &End) -> Verdict {
    let mut verdict = Verdict::default();
    verdict.ended(console, end);
    if console.section("facts").is_some() {
        verdict.environment(console, kernel);
    }
    verdict.truth(console, "C", "c-truth");
    verdict.truth(console, "Python", "python-truth");
    if !boot_only {
        verdict.profile(console);
        verdict.refusal(console);
        verdict.choice(console);
    }
    verdict
}

impl Verdict {
    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    fn fault(&mut self, text: impl Into<String>) {
        self.faults.push(text.into());
    }

    fn ended(&mut self, console: &Console, end: &End) {
        match end {
            End::PoweredOff(time) => self.note(format!("ran for {} s", seconds(*time))),
            End::TimedOut(limit) => self.fault(format!(
                "the guest was still running after {} s and was stopped{}; give it more with --timeout",
                seconds(*limit),
                console.open.as_ref().map(|name| format!(" while it printed {name}")).unwrap_or_default()
            )),
        }
        if let Some(panic) = &console.panic {
            self.fault(format!(
                "the kernel died: {panic}; more memory (--memory) helps if it ran out"
            ));
        }
        if !console.done && console.tail.is_empty() {
            self.fault("the guest said nothing at all; the image may not suit this machine, or --memory is too small");
        } else if !console.done {
            self.fault(format!(
                "the guest never finished; its last words:{}",
                indented(&console.tail.join("\n"))
            ));
        }
    }

    fn environment(&mut self, console: &Console, kernel: &Kernel) {
        let running = console.fact("kernel").unwrap_or("an unknown kernel");
        self.note(format!("kernel {running}"));
        if kernel
            .release
            .as_deref()
            .is_some_and(|wanted| wanted != running)
        {
            self.fault(format!("the guest runs {running}, not {}", kernel.label()));
        }
        match console
            .fact("btf-bytes")
            .and_then(|bytes| bytes.parse().ok())
        {
            None | Some(0u64) => self.fault("the guest's kernel has no /sys/kernel/btf/vmlinux"),
            Some(bytes) => self.note(format!("kernel BTF of {bytes} bytes")),
        }
        for program in ["c", "python"] {
            if console.fact(&format!("{program}-alive")) != Some("yes") {
                let errors = console.section("workload-errors").unwrap_or_default();
                self.fault(format!(
                    "the {program} program did not live to the end: {errors}"
                ));
            }
        }
        if let Some(log) = console.section("kernel.log").filter(|log| !log.is_empty()) {
            self.note(format!("the kernel's log says:{}", indented(log)));
        }
    }

    fn truth(&mut self, console: &Console, language: &str, section: &str) {
        match console.section(section) {
            Some(truth) if truth.contains(';') => self.note(format!("{language} runs {truth}")),
            // A guest that died before is told of already.
            _ if !console.done => {}
            _ => self.fault(format!(
                "the {language} program did not start: it never told its own chain"
            )),
        }
    }

    fn profile(&mut self, console: &Console) {
        for line in console.verifier() {
            self.note(line);
        }
        if let Some(stats) = console.section("stats.json") {
            self.note(format!("stats {stats}"));
        }
        let log = console
            .section("record.log")
            .unwrap_or("it printed nothing");
        match console.fact("record-exit") {
            Some("0") => self.note(format!("strata record:{}", indented(log))),
            // A guest that died during it is told of already.
            None if !console.done => return,
            exit => {
                let exit = exit.unwrap_or("no status");
                self.fault(format!("strata record ended with {exit}:{}", indented(log)));
                return;
            }
        }
        let folded = console.section("out.folded").unwrap_or_default();
        self.chain(console, folded, "C", "c-truth", Between::Nothing);
        self.chain(
            console,
            folded,
            "Python",
            "python-truth",
            Between::OtherFrames,
        );
    }

    /// An agent without CAP_SYS_ADMIN, where the setting is at a level that only some kernels know.
    fn refusal(&mut self, console: &Console) {
        let log = console.section("refused.log").unwrap_or_default();
        let told = log.contains("kernel.perf_event_paranoid is 3");
        match console.fact("refused-exit") {
            Some("1") if told => {
                self.note("an agent with CAP_PERFMON alone is refused, and says why")
            }
            // It sampled until its time was over.
            Some("0") if log.contains("sampling all processes") => {
                self.note("an agent with CAP_PERFMON alone may sample");
            }
            None if !console.done => {}
            exit => {
                let exit = exit.unwrap_or("no status");
                self.fault(format!(
                    "strata agent with CAP_PERFMON alone ended with {exit}:{}",
                    indented(log)
                ));
            }
        }
    }

    /// An agent that was told to sample nothing but pods, of which the C program is one.
    fn choice(&mut self, console: &Console) {
        let log = console.section("agent.log").unwrap_or_default();
        match console.fact("agent-exit") {
            Some("0") => {}
            None if !console.done => return,
            exit => {
                let exit = exit.unwrap_or("no status");
                self.fault(format!("strata agent ended with {exit}:{}", indented(log)));
                return;
            }
        }
        let folded = console.section("chosen.folded").unwrap_or_default();
        let samples = |name: &str| {
            let stacks = folded.lines().filter(|line| line.starts_with(name));
            let counts = stacks.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
            counts.sum::<u64>()
        };
        let line = format!(
            "of what was chosen there are {} samples, of what was not {}",
            samples("chain"),
            samples("python")
        );
        if samples("chain") < MIN_SAMPLES || samples("python") != 0 {
            self.fault(format!("{line}:{}", indented(log)));
        } else {
            self.note(line);
        }
    }

    fn chain(
        &mut self,
        console: &Console,
        folded: &str,
        language: &str,
        section: &str,
        between: Between,
    ) {
        let chain: Vec<&str> = console
            .section(section)
            .unwrap_or_default()
            .split(';')
            .collect();
        let share = folded::share(folded, &chain, between);
        let line = format!(
            "{language}: {} of {} samples have the whole chain",
            share.whole, share.leaf
        );
        let worst = share
            .worst
            .map(|(stack, count)| format!("; {count} times {stack}"))
            .unwrap_or_default();
        if share.leaf < MIN_SAMPLES {
            self.fault(format!(
                "{line}; at least {MIN_SAMPLES} samples in {} were expected{worst}",
                chain.join(";")
            ));
        } else if share.whole * 100 < share.leaf * MIN_WHOLE_PERCENT {
            self.fault(format!("{line}, less than {MIN_WHOLE_PERCENT} %{worst}"));
        } else {
            self.note(format!("{line}{worst}"));
        }
    }

    pub fn into_result(self) -> Result<()> {
        match self.faults.len() {
            0 => Ok(()),
            1 => bail!("{}", self.faults[0]),
            n => bail!("{n} things are wrong, the first: {}", self.faults[0]),
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}

/// A log below a line of ours.
fn indented(log: &str) -> String {
    log.lines().flat_map(|line| ["\n    ", line]).collect()
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        for fault in &self.faults {
            writeln!(f, "  FAILED: {fault}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: &str = "@@begin facts\nkernel 5.10.0\nbtf-bytes 4000000\nc-alive yes\npython-alive yes\nrecord-exit 0\nrefused-exit 1\nagent-exit 0\n\n\
        @@end facts\n@@begin refused.log\nkernel.perf_event_paranoid is 3\n@@end refused.log\n@@begin c-truth\nmain;leaf\n\n@@end c-truth\n@@begin python-truth\n<module>;inner\n\n\
        @@end python-truth\n";

    fn faults(text: &str, boot_only: bool, end: End) -> Vec<String> {
        let kernel = Kernel {
            image: "/k/vmlinuz".into(),
            release: Some("5.10.0".into()),
        };
        judge(&Console::parse(text), &kernel, boot_only, &end).faults
    }

    fn ran(folded: &str) -> Vec<String> {
        chose(folded, "chain 7;main;leaf 20\n")
    }

    fn chose(folded: &str, chosen: &str) -> Vec<String> {
        let text = format!(
            "{FACTS}@@begin out.folded\n{folded}\n@@end out.folded\n\
             @@begin chosen.folded\n{chosen}\n@@end chosen.folded\n@@done\n"
        );
        faults(&text, false, End::PoweredOff(Duration::from_secs(9)))
    }

    #[test]
    fn a_good_run() {
        assert_eq!(
            ran("chain;main;leaf 90\npython;<module>;_PyEval;inner 80\n"),
            [""; 0]
        );
    }

    #[test]
    fn what_was_not_chosen_is_not_there() {
        let good = "chain;main;leaf 90\npython;<module>;_PyEval;inner 80\n";
        assert_eq!(chose(good, "chain 7;leaf 19\n").len(), 1);
        let other = chose(good, "chain 7;leaf 90\npython3.11 8;inner 1\n");
        assert!(other[0].contains("of what was not 1"), "{other:?}");
    }

    #[test]
    fn broken_chains_and_missing_samples() {
        let faults = ran("chain;[cut];leaf 90\nchain;main;leaf 10\npython;<module>;inner 3\n");
        assert_eq!(faults.len(), 2);
        assert!(
            faults[0].contains("10 of 100") && faults[0].contains("chain;[cut];leaf"),
            "{faults:?}"
        );
        assert!(faults[1].contains("3 of 3"), "{faults:?}");
    }

    #[test]
    fn a_refusal_says_why() {
        let good = "chain;main;leaf 90\npython;<module>;inner 80\n";
        let text = |log: &str| {
            let facts = FACTS.replace("kernel.perf_event_paranoid is 3", log);
            format!(
                "{facts}@@begin out.folded\n{good}@@end out.folded\n\
                 @@begin chosen.folded\nchain 7;leaf 90\n@@end chosen.folded\n@@done\n"
            )
        };
        let end = || End::PoweredOff(Duration::ZERO);
        assert_eq!(
            faults(&text("kernel.perf_event_paranoid is 3"), false, end()),
            [""; 0]
        );
        assert_eq!(faults(&text("permission denied"), false, end()).len(), 1);
    }

    #[test]
    fn boot_only_asks_for_no_profile() {
        let text = format!("{FACTS}@@done\n");
        assert_eq!(
            faults(&text, true, End::PoweredOff(Duration::ZERO)),
            [""; 0]
        );
    }

    #[test]
    fn a_hung_guest_names_the_limit_and_the_place() {
        let faults = faults(
            "@@begin record.log\nloading\n",
            false,
            End::TimedOut(Duration::from_secs(300)),
        );
        assert!(
            faults[0].contains("300.0 s") && faults[0].contains("record.log"),
            "{faults:?}"
        );
        assert!(
            faults.iter().any(|fault| fault.contains("loading")),
            "{faults:?}"
        );
    }

    #[test]
    fn the_wrong_kernel_and_a_failed_load_are_told() {
        let text = FACTS
            .replace("5.10.0", "6.1.0")
            .replace("record-exit 0", "record-exit 1")
            + "@@begin record.log\nthe kernel refused the program\n@@end record.log\n@@done\n";
        let faults = faults(&text, false, End::PoweredOff(Duration::ZERO));
        assert!(faults[0].contains("6.1.0, not 5.10.0"), "{faults:?}");
        assert!(
            faults[1].contains("ended with 1") && faults[1].contains("refused"),
            "{faults:?}"
        );
    }
}
