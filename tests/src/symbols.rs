//! Names of native frames against the symbol table and DWARF, as `nm` and `addr2line` read them.

use std::collections::{BTreeMap, HashMap};

use crate::folded::{Frame, Place, Sample};
use crate::names::{same, unversioned};
use crate::verdict::Verdict;

/// The functions of one file.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// By address; several names may share one.
    by_address: BTreeMap<u64, Vec<Symbol>>,
    longest: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Symbol {
    size: u64,
    /// As in the table, and demangled.
    names: [String; 2],
}

impl Symbols {
    /// Adds what `nm --print-size` printed. `demangled` has a line for each of its names, in order.
    pub fn add(&mut self, nm: &str, demangled: &str) {
        for ((address, size, name), demangled) in nm_lines(nm).zip(demangled.lines()) {
            let (name, demangled) = (unversioned(name), unversioned(demangled));
            let symbol = Symbol {
                size,
                names: [name.to_owned(), demangled.to_owned()],
            };
            self.longest = self.longest.max(size);
            let there = self.by_address.entry(address).or_default();
            if !there.contains(&symbol) {
                there.push(symbol);
            }
        }
    }

    /// What may be said of an address.
    fn at(&self, svma: u64) -> Answer<'_> {
        let mut covering = Vec::new();
        for (address, symbols) in self
            .by_address
            .range(svma.saturating_sub(self.longest)..=svma)
            .rev()
        {
            covering.extend(symbols.iter().filter(|symbol| svma - address < symbol.size));
        }
        if !covering.is_empty() {
            return Answer::Named(covering);
        }
        // Assembly may have no sizes: the nearest symbol before may be right, and no name is right as well.
        match self.by_address.range(..=svma).next_back() {
            Some((_, symbols)) => {
                Answer::Perhaps(symbols.iter().filter(|symbol| symbol.size == 0).collect())
            }
            None => Answer::Perhaps(Vec::new()),
        }
    }
}

enum Answer<'a> {
    Named(Vec<&'a Symbol>),
    Perhaps(Vec<&'a Symbol>),
}

/// The names in `nm`'s output, for the demangler.
pub fn nm_names(nm: &str) -> String {
    nm_lines(nm)
        .map(|(_, _, name)| format!("{name}\n"))
        .collect()
}

/// Address, size, name of each function in `nm --print-size --defined-only`.
fn nm_lines(nm: &str) -> impl Iterator<Item = (u64, u64, &str)> {
    nm.lines().filter_map(|line| {
        let mut words = line.splitn(4, ' ');
        let address = u64::from_str_radix(words.next()?, 16).ok()?;
        let second = words.next()?;
        let (size, kind, name) = if second.len() == 1 {
            (0, second, line.splitn(3, ' ').nth(2)?)
        } else {
            (
                u64::from_str_radix(second, 16).ok()?,
                words.next()?,
                words.next()?,
            )
        };
        "tTwWiu".contains(kind).then_some((address, size, name))
    })
}

/// What is inlined at an address: functions from the outermost (the one with a frame) to the
/// innermost, each as the debug information has it and demangled.
pub type Inlines = HashMap<u64, Vec<[String; 2]>>;

/// Reads `addr2line --addresses --functions --inlines`, and the same text demangled.
pub fn parse_inlines(text: &str, demangled: &str) -> Inlines {
    let mut found = Inlines::new();
    let mut current = None;
    let mut lines = text.lines().zip(demangled.lines());
    while let Some((line, demangled)) = lines.next() {
        if let Some(address) = line
            .strip_prefix("0x")
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        {
            current = Some(address);
            found.insert(address, Vec::new());
        } else if let Some(chain) = current.and_then(|address| found.get_mut(&address)) {
            chain.insert(0, [line.to_owned(), demangled.to_owned()]);
            lines.next();
        }
    }
    found
}

/// What is known of all files that a program has mapped, by the last part of their paths.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    pub files: HashMap<String, Symbols>,
    pub inlines: HashMap<String, Inlines>,
}

/// All places in a recording, for asking the tools once a file.
pub fn places(samples: &[Sample]) -> BTreeMap<String, Vec<u64>> {
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for frame in samples.iter().flat_map(|sample| &sample.frames) {
        if let Frame::Native {
            at: Some(Place { file, svma }),
            ..
        } = frame
        {
            found.entry(file.clone()).or_default().push(*svma);
        }
    }
    for addresses in found.values_mut() {
        addresses.sort_unstable();
        addresses.dedup();
    }
    found
}

impl Oracle {
    /// Judges each native frame of each sample. A frame is wrong if it has another name than the table gives it, a name
    /// where the table has none, or none where it has one. Frames inlined into one another share a place.
    pub fn judge(&self, samples: &[Sample]) -> Verdict {
        let frames: u64 = samples
            .iter()
            .map(|s| s.count * s.frames.iter().filter(|f| f.is_native()).count() as u64)
            .sum();
        let mut verdict = Verdict::of(frames);
        for sample in samples {
            let user: Vec<&Frame> = sample
                .frames
                .iter()
                .filter(|frame| !frame.is_kernel())
                .collect();
            let mut at = 0;
            while at < user.len() {
                let Frame::Native { at: place, name } = user[at] else {
                    at += 1;
                    continue;
                };
                let Some(place) = place else {
                    verdict.wrong(
                        format!("without its place: {}", name.as_deref().unwrap_or("?")),
                        sample.count,
                    );
                    at += 1;
                    continue;
                };
                let group = user[at..]
                    .iter()
                    .take_while(|frame| is_at(frame, place))
                    .count();
                let names: Vec<Option<&str>> = user[at..at + group]
                    .iter()
                    .map(|frame| frame.name())
                    .collect();
                at += group;
                match self.fault(place, &names, at == user.len()) {
                    None => verdict.good(sample.count * group as u64),
                    Some(why) => verdict.wrong(why, sample.count * group as u64),
                }
            }
        }
        verdict
    }

    /// The frames at one place: one with what is inlined into it, or a recursion of that.
    fn fault(&self, place: &Place, names: &[Option<&str>], is_leaf: bool) -> Option<String> {
        let Some(symbols) = self.files.get(&place.file) else {
            return Some(format!(
                "in a file that the process does not have: {}+0x{:x}",
                place.file, place.svma
            ));
        };
        // A caller's place may be its return address, which belongs to the call before it.
        let addresses = if is_leaf {
            vec![place.svma]
        } else {
            vec![place.svma, place.svma.saturating_sub(1)]
        };
        let mut reasons = Vec::new();
        for address in addresses {
            let chain = self
                .inlines
                .get(&place.file)
                .and_then(|inlines| inlines.get(&address));
            let chain: &[[String; 2]] = chain.map_or(&[], Vec::as_slice);
            let repeats = chain.len() > 1 && names.len().is_multiple_of(chain.len());
            let length = if repeats { chain.len() } else { 1 };
            let fault = names.iter().enumerate().find_map(|(number, name)| {
                let inlined = number % length;
                if inlined == 0 {
                    symbol_fault(symbols, address, *name)
                } else {
                    inline_fault(&chain[0], &chain[inlined], *name)
                }
            });
            reasons.push(fault?);
        }
        Some(format!(
            "{}+0x{:x} shown as {}",
            place.file,
            place.svma,
            reasons.swap_remove(0)
        ))
    }
}

fn inline_fault(outer: &[String; 2], inlined: &[String; 2], shown: Option<&str>) -> Option<String> {
    let Some(name) = shown else {
        return Some(format!("no name, inlined is {}", inlined[1]));
    };
    // For a function whose debug information lacks the mangled name, addr2line gives the symbol at
    // that address, which is the outer function's. Something is inlined then, but what is unsure.
    let unsure = inlined == outer;
    let right = unsure || inlined.iter().any(|known| same(name, known));
    (!right).then(|| format!("{name}, inlined is {}", inlined[1]))
}

fn is_at(frame: &Frame, wanted: &Place) -> bool {
    matches!(frame, Frame::Native { at: Some(place), .. } if place == wanted)
}

fn symbol_fault(symbols: &Symbols, address: u64, shown: Option<&str>) -> Option<String> {
    let is_one_of = |name: &str, symbols: &[&Symbol]| {
        symbols
            .iter()
            .flat_map(|symbol| &symbol.names)
            .any(|known| same(name, known))
    };
    match (symbols.at(address), shown) {
        (Answer::Named(known), Some(name)) if is_one_of(name, &known) => None,
        (Answer::Named(known), shown) => Some(format!(
            "{}, the symbol is {}",
            shown.unwrap_or("no name"),
            known[0].names[1]
        )),
        (Answer::Perhaps(_), None) => None,
        (Answer::Perhaps(known), Some(name)) if is_one_of(name, &known) => None,
        (Answer::Perhaps(_), Some(name)) => Some(format!("{name}, there is no symbol")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults;
    use crate::folded::parse;

    const NM: &str = "0000000000001000 0000000000000020 T outer\n0000000000001020 0000000000000010 t _ZN1n4leafEv\n\
        0000000000001020 0000000000000010 W alias@@V1\n0000000000002000 T assembly\n0000000000003000 0000000000000008 D data\n";

    fn oracle() -> Oracle {
        let mut symbols = Symbols::default();
        symbols.add(NM, "outer\nn::leaf()\nalias@@V1\nassembly\n");
        let text =
            "0x0000000000001008\ninner\n/a.c:3\nouter\n/a.c:9\n0x0000000000001004\nouter\n/a.c:8\n";
        let inlines = parse_inlines(text, text);
        Oracle {
            files: HashMap::from([("lib.so".to_owned(), symbols)]),
            inlines: HashMap::from([("lib.so".to_owned(), inlines)]),
        }
    }

    fn wrong(stack: &str) -> u64 {
        oracle()
            .judge(&parse(&format!("x 1;{stack} 1\n")).expect("the text is right"))
            .wrong_count()
    }

    #[test]
    fn names_are_what_the_table_says() {
        for right in [
            "outer [lib.so+0x1004];n::leaf() [lib.so+0x1021]",
            "outer [lib.so+0x1004];alias [lib.so+0x102f]",
            "outer [lib.so+0x1020];n::leaf() [lib.so+0x1021]", // a return address behind the last call
            "outer [lib.so+0x1008];inner [lib.so+0x1008]",
            "outer [lib.so+0x1008];inner [lib.so+0x1008];outer [lib.so+0x1008];inner [lib.so+0x1008]",
            "outer [lib.so+0x1004];outer [lib.so+0x1004];outer [lib.so+0x1004]",
            "assembly [lib.so+0x2010]",
            "lib.so+0x2010",
            "lib.so+0x1030;alias [lib.so+0x1020]",
        ] {
            assert_eq!(wrong(right), 0, "{right}");
        }
        for false_name in [
            "n::leaf() [lib.so+0x1004]",
            "lib.so+0x1004",
            "outer [lib.so+0x1040]",
            "outer [lib.so+0x1008];other [lib.so+0x1008]",
            "outer [lib.so+0x1020]", // the leaf is where it is
            "outer [other.so+0x1004]",
            "outer",
        ] {
            assert!(wrong(false_name) > 0, "{false_name}");
        }
    }

    #[test]
    fn faults_are_found() {
        let samples = parse("x 1;outer [lib.so+0x1004];n::leaf() [lib.so+0x1021] 1000\n")
            .expect("the text is right");
        assert!(oracle().judge(&samples).none_wrong().is_ok());
        assert!(
            oracle()
                .judge(&faults::names_exchanged(&samples))
                .none_wrong()
                .is_err()
        );
    }
}
