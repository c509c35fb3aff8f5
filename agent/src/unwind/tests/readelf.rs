//! readelf as a second judge: it decodes call frame information with code of its own.

use agent_common::step::{Rule, cfa, fp, ra};

use super::super::{Machine, Segments, Table, build, machine};
use super::files::{Random, real_files};
use super::fixture::{read, run, text};

/// A line of readelf's table.
struct Line {
    svma: u64,
    /// Columns by the names of the header line.
    cfa: String,
    fp: Option<String>,
    ra: Option<String>,
    /// Whether the function is a signal trampoline, which readelf shows by its common entry only.
    signal: bool,
}

/// Lines of `readelf --debug-dump=frames-interp`, functions only.
fn lines(output: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    let mut signals = Vec::new();
    let (mut in_function, mut signal) = (false, false);
    for line in output.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.contains(&"CIE") && words.len() > 4 {
            in_function = false;
            if words[4].trim_matches('"').contains('S') {
                signals.push(words[0].to_owned());
            }
        } else if words.contains(&"FDE") {
            in_function = true;
            let common = words
                .iter()
                .find_map(|word| word.strip_prefix("cie="))
                .unwrap();
            signal = signals.iter().any(|place| place.ends_with(common));
        } else if words.first() == Some(&"LOC") {
            names = words;
        } else if in_function && words.len() == names.len() && words.len() >= 2 {
            let column = |wanted: &[&str]| {
                let place = names.iter().position(|name| wanted.contains(name))?;
                Some(words[place].to_owned())
            };
            lines.push(Line {
                svma: u64::from_str_radix(words[0], 16).unwrap(),
                cfa: words[1].to_owned(),
                fp: column(&["rbp", "x29"]),
                ra: column(&["ra"]),
                signal,
            });
        }
    }
    lines
}

/// `c-16` → -16
fn from_cfa(column: &str) -> Option<i32> {
    column
        .strip_prefix('c')
        .and_then(|offset| offset.parse().ok())
}

/// What of `rule` contradicts the line; `None`: nothing.
fn contradiction(line: &Line, rule: &Rule, machine: Machine) -> Option<&'static str> {
    let ra = line.ra.as_deref();
    if rule.ra == ra::END {
        return (ra != Some("u")).then_some("end of the stack");
    }
    if ra == Some("u") && machine == Machine::X86_64 {
        return Some("end of the stack not seen");
    }
    if rule.cfa == cfa::UNKNOWN {
        let register = !line.cfa.contains("sp") && !line.cfa.contains("rbp");
        let odd = line.cfa == "exp" || ra == Some("exp") || register;
        return (!odd).then_some("unsupported");
    }
    let register = line.cfa.trim_end_matches(|c: char| c.is_ascii_digit());
    let offset = line.cfa[register.len()..].parse::<i32>();
    let (register, sign) = match register.chars().last() {
        Some('-') => (&register[..register.len() - 1], -1),
        _ => (register.trim_end_matches('+'), 1),
    };
    let kind = match register {
        "rsp" | "sp" => cfa::SP,
        "rbp" | "x29" => cfa::FP,
        "exp" => {
            let known = matches!(rule.cfa, cfa::PLT | cfa::FP_DEREF | cfa::SP_DEREF);
            return (!known).then_some("expression of the CFA");
        }
        _ => cfa::REGISTER,
    };
    if rule.cfa != kind || offset != Ok(sign * rule.cfa_offset) {
        return Some("CFA");
    }
    let frame_pointer = match line.fp.as_deref() {
        None | Some("u" | "s") => rule.fp == fp::SAME || rule.fp == fp::UNDEFINED,
        Some("exp") => matches!(rule.fp, fp::FP | fp::SP | fp::UNDEFINED),
        Some(column) => match from_cfa(column) {
            Some(offset) => rule.fp == fp::CFA && rule.fp_offset == offset,
            None => rule.fp == fp::UNDEFINED,
        },
    };
    if !frame_pointer {
        return Some("frame pointer");
    }
    let return_address = match ra {
        _ if line.signal => rule.ra == ra::SIGNAL,
        None | Some("u" | "s") => rule.ra == ra::REGISTER,
        Some(column) => match from_cfa(column) {
            Some(offset) => rule.ra == ra::CFA && rule.ra_offset == offset,
            None => rule.ra == ra::REGISTER,
        },
    };
    (!return_address).then_some("return address")
}

#[test]
fn columns_are_those_of_readelf() {
    for path in real_files() {
        let file = read(&path);
        // N: this file only, no separate debug file.
        let arguments = ["-wFN", text(&path)];
        let Some(output) = run("readelf", &arguments) else {
            return;
        };
        let table = build(&file).unwrap();
        let segments = Segments::of(&file).unwrap();
        let entry = object::Object::entry(&object::File::parse(&*file).unwrap());
        let lines = lines(&output);
        assert!(lines.len() > 300, "{} lines about {path:?}", lines.len());
        let mut random = Random(3);
        for _ in 0..1_000 {
            let line = &lines[random.below(lines.len() as u64) as usize];
            check(line, &table, &segments, entry, machine(&file).unwrap());
        }
    }
}

fn check(line: &Line, table: &Table, segments: &Segments, entry: u64, machine: Machine) {
    let offset = segments.offset_of(line.svma).unwrap();
    let rule = table
        .rule(offset)
        .unwrap_or_else(|| panic!("no row at {:#x}", line.svma));
    let wrong = contradiction(line, rule, machine);
    let starts = rule.ra == ra::END && entry.abs_diff(line.svma) < 64;
    assert!(
        wrong.is_none() || starts,
        "{} at {:#x}: {rule:?}, but CFA {} fp {:?} ra {:?}",
        wrong.unwrap(),
        line.svma,
        line.cfa,
        line.fp,
        line.ra,
    );
}
