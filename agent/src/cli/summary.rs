//! What came of a recording, for people: what is in it, what is missing and why, where it is.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use agent_common::counter::Counter;

use super::args::FormatArg;
use super::output::{Output, Place};
use crate::format::grouped;
use crate::profile::{ExecutableId, Frame, FrameKind, Profile};
use crate::session::Statistics;

/// Functions that are named.
const TOP: usize = 5;
/// Causes that are named of one kind of trouble.
const CAUSES: usize = 3;
/// Less than this of the sampling events that were due is worth a word.
const REACHED: f64 = 0.95;
/// As is no smaller number of them: for how long CPUs were idle is known to the tick.
const MISSING: u64 = 100;

/// The lines of the summary.
pub fn lines(outputs: &[Output], profile: &Profile, statistics: &Statistics) -> Vec<String> {
    let total = &statistics.total;
    let seconds = profile.span.duration().as_secs_f64();
    let mut lines = vec![format!("{} in {seconds:.1} s.", samples(total.samples))];
    if total.entries == 0 {
        lines.push(nothing(statistics.paused_ns).to_owned());
    }
    let lost: u64 = statistics.lost.values().sum();
    if lost > 0 {
        let causes = causes(&statistics.lost, lost_by);
        lines.push(format!("  lost {}: {causes}", part(lost, total.entries)));
    }
    let cut = total.samples.saturating_sub(total.whole);
    if cut > 0 {
        let causes = causes(&total.cut, cut_by);
        lines.push(format!("  cut {}: {causes}", part(cut, total.samples)));
    }
    if statistics.unnamed > 0 {
        let part = percent(statistics.unnamed, statistics.frames);
        lines.push(format!(
            "  frames without a name {part}{}",
            nameless(profile)
        ));
    }
    lines.extend(rate(statistics));
    let top = top(profile);
    if !top.is_empty() {
        lines.push("Most time was spent in".to_owned());
    }
    for (name, count) in top {
        lines.push(format!("{:>8}  {name}", percent(count, total.samples)));
    }
    for output in outputs {
        if let Place::File(path) = &output.place {
            lines.push(written(path, output.format));
        }
    }
    lines
}

fn nothing(paused: u64) -> &'static str {
    if paused > 0 {
        "The target did not use the CPU while the recording was not paused."
    } else {
        "The target did not use the CPU. Record for longer, or while it works."
    }
}

/// `1 sample`, `1,234 samples`
pub fn samples(count: u64) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} sample{ending}", grouped(count))
}

/// `12 (0.3 %)`
fn part(count: u64, of: u64) -> String {
    format!("{} ({})", grouped(count), percent(count, of))
}

/// Nothing is only what is nothing, and all only what is all.
fn percent(count: u64, of: u64) -> String {
    let percent = count as f64 * 100.0 / of.max(1) as f64;
    match percent {
        _ if count > 0 && percent < 0.05 => "< 0.1 %".to_owned(),
        _ if count < of && percent >= 99.95 => "> 99.9 %".to_owned(),
        _ => format!("{percent:.1} %"),
    }
}

/// The most frequent causes, in words.
fn causes(counts: &BTreeMap<String, u64>, words: fn(&str) -> Option<&'static str>) -> String {
    let mut counts: Vec<(&str, u64)> = counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| (words(name).unwrap_or(name), *count))
        .collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let others: u64 = counts.iter().skip(CAUSES).map(|(_, count)| count).sum();
    let shown = counts.iter().take(CAUSES);
    let mut shown: Vec<String> = shown
        .map(|(words, count)| format!("{words} ({})", grouped(*count)))
        .collect();
    if others > 0 {
        shown.push(format!("other causes ({})", grouped(others)));
    }
    shown.join(", ")
}

/// Causes of a loss.
fn lost_by(name: &str) -> Option<&'static str> {
    Some(match name {
        "lost_ring_full" => "buffer to the kernel full, lower the rate",
        "lost_stage" => "unwinder not entered by the kernel",
        "stack_body" => "stacks that did not arrive",
        "agent_tables_full" => "too many different stacks, record for less long",
        _ => return None,
    })
}

/// Causes of a cut; `docs/reading.md` has more on each.
fn cut_by(name: &str) -> Option<&'static str> {
    Some(match name {
        "unknown_executable" => "files that could not be read, or not yet",
        "no_row" => "code without unwind tables",
        "unsupported_rule" => "unwind rules that are not followed",
        "stack_unreadable" => "stack pages not in memory",
        "not_executable" => "return addresses outside of code",
        "frame_pointer_end" => "ends of frame pointer chains, maybe whole",
        "frame_pointer_invalid" => "code without tables and frame pointers",
        "too_deep" => "deeper than --depth",
        "stage_limit" => "more work than the kernel allows",
        "backwards" => "stacks switched by hand or damaged",
        "thirty_two_bit" => "32-bit processes, which are not walked",
        "process_gone" => "processes that ended early",
        "python_not_ready" => "interpreters not checked yet",
        "python_unreadable" | "python_bad_chain" => "Python frames unreadable at that moment",
        "python_too_deep" | "python_stage_limit" => "more Python frames than fit",
        _ => return None,
    })
}

/// Where most frames without a name are.
fn nameless(profile: &Profile) -> String {
    let mut counts: HashMap<(FrameKind, Option<ExecutableId>), u64> = HashMap::new();
    for (key, totals) in profile.samples() {
        for id in profile.frames_of(key.stack) {
            let frame = &profile[*id];
            if frame.function.is_none() {
                let place = (frame.kind, frame.executable);
                *counts.entry(place).or_default() += totals.weight;
            }
        }
    }
    let most = counts
        .iter()
        .max_by_key(|(place, count)| (**count, place.1.map(|id| &profile[profile[id].path])));
    match most {
        Some(((FrameKind::Kernel, _), _)) => {
            ", most in the kernel: /proc/kallsyms hides its addresses (CAP_SYSLOG)".to_owned()
        }
        Some(((_, Some(executable)), _)) => {
            let path = &profile[profile[*executable].path];
            format!(", most in {path}: it has no symbols there; install its debug symbols")
        }
        Some(((_, None), _)) => ", most in code that was made at run time".to_owned(),
        None => String::new(),
    }
}

/// A word where fewer sampling events came than were due.
fn rate(statistics: &Statistics) -> Option<String> {
    let due = statistics.due?;
    let idle = statistics.left_out.get(Counter::Idle.name());
    let runs = statistics.runs - idle.copied().unwrap_or(0).min(statistics.runs);
    let missing = due.saturating_sub(runs);
    if missing < MISSING || runs as f64 >= due as f64 * REACHED {
        return None;
    }
    Some(format!(
        "  The machine reached {} of the rate: the kernel slowed sampling down, or the CPUs were \
         given to other machines meanwhile. Shares are right all the same; lower the rate by -r.",
        percent(runs, due)
    ))
}

/// The functions that most samples were in themselves.
fn top(profile: &Profile) -> Vec<(String, u64)> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    for (key, totals) in profile.samples() {
        let mut frames = profile.frames_of(key.stack).iter().map(|id| &profile[*id]);
        let Some(leaf) = frames.find(|frame| frame.kind != FrameKind::Marker) else {
            continue;
        };
        *counts.entry(named(profile, leaf)).or_default() += totals.weight;
    }
    let mut top: Vec<(String, u64)> = counts.into_iter().collect();
    top.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    top.truncate(TOP);
    top
}

/// `json.loads (Python)`, `memcpy (libc.so.6)`, `do_idle (kernel)`
fn named(profile: &Profile, frame: &Frame) -> String {
    let file = frame.executable.map(|id| {
        let path = &profile[profile[id].path];
        path.rsplit('/').next().unwrap_or(path)
    });
    let place = match frame.kind {
        FrameKind::Kernel => "kernel",
        FrameKind::Python => "Python",
        FrameKind::Jit => "JIT",
        FrameKind::Native | FrameKind::Marker => file.unwrap_or("unknown file"),
    };
    let name = match frame.function {
        Some(function) => &profile[profile[function].name],
        None => "[no name]",
    };
    crate::format::plain(&format!("{name} ({place})"))
}

/// Where a file is and what opens it.
pub fn written(path: &Path, format: FormatArg) -> String {
    let shown = path.display();
    format!("{shown}: {}", format.opened_by(&shown.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Function, Measurement, SampleKey, StringId};
    use crate::session::Tally;

    fn profile(leaves: &[(&str, u32)]) -> Profile {
        let mut profile = Profile::new();
        let process = profile.process(Default::default());
        let thread = profile.thread(process, 1);
        let value = crate::profile::ValueType {
            name: StringId::EMPTY,
            unit: StringId::EMPTY,
        };
        let event = profile.event(crate::profile::Event {
            name: StringId::EMPTY,
            value,
            period: None,
        });
        for (name, weight) in leaves {
            let name = profile.string(name);
            let function = profile.function(Function {
                name,
                system_name: name,
                file: StringId::EMPTY,
                first_line: None,
            });
            let frame = Frame {
                kind: FrameKind::Python,
                ..Frame::marker(function)
            };
            let marker = profile.marker("[cut: no_row]");
            let frames = [profile.frame(frame), marker];
            let key = SampleKey {
                stack: profile.stack(&frames),
                context: crate::profile::ContextId::NONE,
                process,
                thread,
                cpu: 0,
                event,
            };
            let measured = Measurement {
                time: 0,
                value: 1,
                weight: *weight,
            };
            profile.add(key, measured);
        }
        profile
    }

    fn tally(entries: u64, samples: u64, whole: u64) -> Statistics {
        let total = Tally {
            entries,
            samples,
            whole,
            ..Tally::default()
        };
        Statistics {
            total,
            ..Statistics::default()
        }
    }

    #[test]
    fn numbers_read_as_people_say_them() {
        assert_eq!(samples(0), "0 samples");
        assert_eq!(samples(1), "1 sample");
        assert_eq!(samples(1234), "1,234 samples");
        assert_eq!(percent(0, 0), "0.0 %");
        assert_eq!(percent(1, 1_000_000), "< 0.1 %");
        assert_eq!(percent(999_999, 1_000_000), "> 99.9 %");
        assert_eq!(percent(3, 3), "100.0 %");
    }

    #[test]
    fn nothing_wrong_is_nothing_said() {
        let lines = lines(&[], &profile(&[("f", 3), ("g", 1)]), &tally(4, 4, 4));
        let expected = [
            "4 samples in 0.0 s.",
            "Most time was spent in",
            "  75.0 %  f (Python)",
            "  25.0 %  g (Python)",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_is_missing_is_said_with_its_cause() {
        let mut statistics = tally(1000, 990, 940);
        let lost = [("lost_ring_full", 10), ("lost_stage", 0)];
        let cut = [("no_row", 30), ("new_cause", 10), ("backwards", 6)];
        let cut = cut.iter().chain(&[("too_deep", 3), ("stage_limit", 1)]);
        let owned = |(name, count): &(&str, u64)| ((*name).to_owned(), *count);
        statistics.lost = lost.iter().map(owned).collect();
        statistics.total.cut = cut.map(owned).collect();
        let lines = lines(&[], &Profile::new(), &statistics);
        assert_eq!(
            lines[1],
            "  lost 10 (1.0 %): buffer to the kernel full, lower the rate (10)"
        );
        assert_eq!(
            lines[2],
            "  cut 50 (5.1 %): code without unwind tables (30), new_cause (10), stacks switched by \
             hand or damaged (6), other causes (4)"
        );
    }

    #[test]
    fn an_idle_target_is_told_from_a_paused_recording() {
        let mut statistics = tally(0, 0, 0);
        let said = |statistics: &Statistics| lines(&[], &Profile::new(), statistics)[1].clone();
        assert!(said(&statistics).contains("did not use the CPU"));
        statistics.paused_ns = 7;
        assert!(said(&statistics).contains("paused"));
    }

    #[test]
    fn a_rate_that_was_not_reached() {
        let with = |runs, due| Statistics {
            runs,
            due,
            cpus: 2,
            ..Statistics::default()
        };
        assert_eq!(rate(&with(100, None)), None);
        assert_eq!(rate(&with(995, Some(1000))), None);
        assert_eq!(rate(&with(1001, Some(1000))), None);
        assert_eq!(rate(&with(7, Some(10))), None, "the ends of a short one");
        let mut idle = with(5000, Some(1000));
        idle.left_out.insert(Counter::Idle.name().to_owned(), 4010);
        assert_eq!(rate(&idle), None);
        idle.left_out.insert(Counter::Idle.name().to_owned(), 4500);
        assert!(
            rate(&idle).is_some(),
            "idle CPUs don't make up for busy ones"
        );
        let said = rate(&with(800, Some(1000))).unwrap();
        assert!(said.contains("reached 80.0 % of the rate"), "{said}");
    }
}
