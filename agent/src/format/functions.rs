//! A profile by function: how much of it each function was running itself, and how much of it each
//! was on the stack.

use std::collections::{HashMap, HashSet};

use crate::profile::{EventId, Frame, FrameId, FrameKind, Profile, Totals};

use super::Options;
use super::label::{NO_FRAMES, plain};

/// Stands for functions that have no name.
const NO_NAME: &str = "[no name]";

/// A function, told from others of its name by where it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Function {
    pub name: String,
    /// The module of native code, the source file of Python's.
    pub place: String,
    pub kind: FrameKind,
}

/// What its samples amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Of samples in which it was innermost, and how many these are.
    pub own: u64,
    pub own_samples: u64,
    /// Of all that have it on their stack, each counted once.
    pub total: u64,
    pub total_samples: u64,
}

/// What is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// CPU time and the like.
    Nanoseconds,
    Bytes,
    /// Nothing else is known, or events differ in what they measure.
    Samples,
}

pub struct Functions {
    pub measure: Measure,
    pub total: u64,
    pub samples: u64,
    pub sums: HashMap<Function, Sums>,
}

impl Functions {
    pub fn of(profile: &Profile, options: &Options) -> Self {
        let measure = Measure::of(profile);
        let mut names = Names::new(profile, options);
        let mut numbers = Vec::<Sums>::new();
        let (mut total, mut samples) = (0_u64, 0_u64);
        let mut seen = HashSet::new();
        for (key, totals) in profile.samples() {
            let amount = measure.amount(totals);
            total = total.saturating_add(amount);
            samples = samples.saturating_add(totals.weight);
            let frames = profile.frames_of(key.stack).iter();
            let frames = frames.filter(|frame| options.inlines || !profile[**frame].inlined);
            seen.clear();
            for (position, frame) in frames.enumerate() {
                let number = names.number(*frame);
                add(
                    &mut numbers,
                    number,
                    amount,
                    totals.weight,
                    position == 0,
                    &mut seen,
                );
            }
            if seen.is_empty() {
                let number = names.empty();
                add(&mut numbers, number, amount, totals.weight, true, &mut seen);
            }
        }
        let functions = names.functions.into_iter();
        let sums = functions.map(|(function, number)| (function, numbers[number]));
        Self {
            measure,
            total,
            samples,
            sums: sums.collect(),
        }
    }

    /// Those with the most of their own first.
    pub fn ranked(&self) -> Vec<(&Function, &Sums)> {
        let mut ranked: Vec<_> = self.sums.iter().collect();
        ranked.sort_by(|(a, left), (b, right)| {
            let own = right.own.cmp(&left.own);
            own.then(right.total.cmp(&left.total)).then(a.cmp(b))
        });
        ranked
    }
}

fn add(
    numbers: &mut Vec<Sums>,
    number: usize,
    amount: u64,
    weight: u64,
    innermost: bool,
    seen: &mut HashSet<usize>,
) {
    if numbers.len() <= number {
        numbers.resize(number + 1, Sums::default());
    }
    let sums = &mut numbers[number];
    let more = |sum: &mut u64, part: u64| *sum = sum.saturating_add(part);
    if innermost {
        more(&mut sums.own, amount);
        more(&mut sums.own_samples, weight);
    }
    if seen.insert(number) {
        more(&mut sums.total, amount);
        more(&mut sums.total_samples, weight);
    }
}

impl Measure {
    fn of(profile: &Profile) -> Self {
        let used: HashSet<EventId> = profile.samples().map(|(key, _)| key.event).collect();
        let units: HashSet<&str> = used
            .iter()
            .map(|event| &profile[profile[*event].value.unit])
            .collect();
        let units: Vec<&str> = units.into_iter().collect();
        match *units {
            ["nanoseconds"] => Self::Nanoseconds,
            ["bytes"] => Self::Bytes,
            _ => Self::Samples,
        }
    }

    fn amount(self, totals: &Totals) -> u64 {
        match self {
            Self::Nanoseconds | Self::Bytes => totals.value,
            Self::Samples => totals.weight,
        }
    }

    /// `1.23 s`, `4.5 MiB`, `1,234`
    pub fn text(self, amount: u64) -> String {
        let scaled = |units: &[(f64, &str)], least: &str| {
            // What would be rounded to a thousand of a unit is one of the next.
            let found = units
                .iter()
                .find(|(size, _)| amount as f64 >= *size * 0.999_995);
            match found {
                Some((size, unit)) => format!("{:.2} {unit}", amount as f64 / size),
                None => format!("{amount} {least}"),
            }
        };
        match self {
            Self::Nanoseconds => scaled(&[(1e9, "s"), (1e6, "ms"), (1e3, "µs")], "ns"),
            Self::Bytes => {
                let mib = f64::from(1 << 20);
                scaled(&[(mib * 1024.0, "GiB"), (mib, "MiB"), (1024.0, "KiB")], "B")
            }
            Self::Samples => super::grouped(amount),
        }
    }
}

/// Functions in the order in which they came, each made once.
struct Names<'a> {
    profile: &'a Profile,
    lines: bool,
    functions: HashMap<Function, usize>,
    frames: HashMap<FrameId, usize>,
}

impl<'a> Names<'a> {
    fn new(profile: &'a Profile, options: &Options) -> Self {
        Self {
            profile,
            lines: options.lines,
            functions: HashMap::new(),
            frames: HashMap::new(),
        }
    }

    fn number(&mut self, id: FrameId) -> usize {
        if let Some(known) = self.frames.get(&id) {
            return *known;
        }
        let function = function(self.profile, &self.profile[id], self.lines);
        let number = self.insert(function);
        self.frames.insert(id, number);
        number
    }

    fn empty(&mut self) -> usize {
        self.insert(Function {
            name: NO_FRAMES.to_owned(),
            place: String::new(),
            kind: FrameKind::Marker,
        })
    }

    fn insert(&mut self, function: Function) -> usize {
        let next = self.functions.len();
        *self.functions.entry(function).or_insert(next)
    }
}

fn function(profile: &Profile, frame: &Frame, lines: bool) -> Function {
    let (mut name, mut file) = ("", "");
    if let Some(function) = frame.function {
        let function = &profile[function];
        (name, file) = (&profile[function.name], &profile[function.file]);
    }
    let module = frame.executable.map_or("", |it| &profile[profile[it].path]);
    let place = match frame.kind {
        FrameKind::Python => shortened(file),
        FrameKind::Kernel => "kernel",
        FrameKind::Jit => "JIT",
        FrameKind::Marker => "",
        FrameKind::Native if module.is_empty() => shortened(file),
        FrameKind::Native => module.rsplit('/').next().unwrap_or(module),
    };
    let place = match frame.line {
        Some(line) if lines && !file.is_empty() => format!("{}:{line}", shortened(file)),
        _ => place.to_owned(),
    };
    Function {
        name: match plain(name) {
            none if none.is_empty() => NO_NAME.to_owned(),
            name => name,
        },
        place: plain(&place),
        kind: frame.kind,
    }
}

/// The file and its folder: many files are `__init__.py`.
fn shortened(path: &str) -> &str {
    match path.rmatch_indices('/').nth(1) {
        Some((place, _)) => &path[place + 1..],
        None => path.trim_start_matches('/'),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample_profile;
    use super::*;

    fn sums(functions: &Functions, name: &str) -> (u64, u64) {
        let mut found = functions.sums.iter().filter(|(it, _)| it.name == name);
        let (_, sums) = found.next().unwrap();
        assert!(found.next().is_none(), "{name} twice");
        (sums.own_samples, sums.total_samples)
    }

    #[test]
    fn own_and_total_are_told_apart_and_recursion_counts_once() {
        let profile = sample_profile::stacks(&[
            (&["main", "f"], 5),
            (&["main", "f", "g", "f"], 3),
            (&["main", "g"], 2),
            (&["main"], 1),
        ]);
        let functions = Functions::of(&profile, &Options::default());
        assert_eq!(sums(&functions, "main"), (1, 11));
        assert_eq!(sums(&functions, "f"), (8, 8));
        assert_eq!(sums(&functions, "g"), (2, 5));
        assert_eq!(functions.samples, 11);
        assert_eq!(functions.measure, Measure::Nanoseconds);
        assert_eq!(functions.total, 11 * 10_101_010);
        let own: u64 = functions.sums.values().map(|sums| sums.own).sum();
        assert_eq!(own, functions.total);
        let ranked: Vec<&str> = functions
            .ranked()
            .iter()
            .map(|it| it.0.name.as_str())
            .collect();
        assert_eq!(ranked, ["f", "g", "main"]);
    }

    #[test]
    fn amounts_read_as_people_say_them() {
        let time = |ns| Measure::Nanoseconds.text(ns);
        assert_eq!(time(12_345_678_901), "12.35 s");
        assert_eq!(time(10_101_010), "10.10 ms");
        assert_eq!(time(999_999_990), "1.00 s");
        assert_eq!(time(7), "7 ns");
        assert_eq!(Measure::Bytes.text(3 << 20), "3.00 MiB");
        assert_eq!(Measure::Samples.text(1234), "1,234");
    }

    #[test]
    fn places_keep_their_folder() {
        assert_eq!(
            shortened("/usr/lib/python3.11/json/__init__.py"),
            "json/__init__.py"
        );
        assert_eq!(shortened("app.py"), "app.py");
        assert_eq!(shortened("/app.py"), "app.py");
    }
}
