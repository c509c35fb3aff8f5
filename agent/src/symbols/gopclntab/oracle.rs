//! Compares names, lines and inlined functions of stripped Go programs with what `nm` and
//! `addr2line` say of the same program before it was stripped.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::symbols::oracle::{levels, listed, random};
use crate::symbols::{ExecutableFile, Options, Symbol, Symbolizer};

const PROGRAM: &str = r#"
package main

import (
	"os"
	"sort"
	"strings"
)

type bySize []string

func (s bySize) Len() int           { return len(s) }
func (s bySize) Less(i, j int) bool { return size(s[i]) < size(s[j]) }
func (s bySize) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

func size(s string) int { return len(strings.TrimSpace(s)) }

//go:noinline
func generic[T any](some []T) []T { return append(some, some...) }

func main() {
	words := bySize(os.Args)
	sort.Sort(words)
	counts := map[string]int{}
	for _, word := range words {
		func() { counts[word]++ }()
	}
	println(len(words), len(counts), len(generic(words)), generic([]int{1})[0])
}
"#;

/// How the program is linked. Each is also linked stripped, which moves no code.
const LINKED: [&[&str]; 3] = [
    &[],
    &["-buildmode=pie"],
    &["-buildmode=pie", "-ldflags=-linkmode=external"],
];

/// Builds a program; None where there is no Go or it can't link like this.
fn build(folder: &Path, flags: &[&str]) -> Option<(PathBuf, PathBuf)> {
    let (whole, stripped) = (folder.join("whole"), folder.join("stripped"));
    let run = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    // binutils before 2.42 can't read what Go writes as DWARF 5, and Go before 1.25 does not know
    // that word.
    let built = ["nodwarf5", ""].iter().any(|experiment| {
        let mut go = Command::new("go");
        // Flags that this machine has set may be for another Go.
        go.env("GOFLAGS", "")
            .env("GOENV", "off")
            .env("CGO_ENABLED", "1");
        go.env("GOEXPERIMENT", experiment).arg("build").args(flags);
        go.arg("-o").arg(&whole).arg("program.go");
        run(go.current_dir(folder))
    });
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(&stripped).arg(&whole);
    (built && run(&mut strip)).then_some((whole, stripped))
}

/// The line of an svma by Go's own tool, which reads the same table. DWARF errs sometimes.
fn line(whole: &str, svma: u64) -> Option<u32> {
    let mut tool = Command::new("go");
    tool.args(["tool", "addr2line", whole]).env("GOENV", "off");
    let mut child = tool
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    writeln!(child.stdin.take()?, "{svma:#x}").ok()?;
    let output = child.wait_with_output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.trim_end().rsplit(':').next()?.parse().ok()
}

fn symbols(path: &Path, svmas: &[u64]) -> Vec<Vec<Symbol>> {
    let file = Arc::new(File::open(path).unwrap());
    let file = ExecutableFile::new(1, path.to_str().unwrap(), file);
    let mut symbolizer = Symbolizer::new(Options::default());
    let symbols = symbolizer.native_batch(&file, svmas);
    assert_eq!(symbolizer.take_problems().0.len(), 0);
    symbols
}

/// As the table and the symbol table both have it: without what tells assembly's way of calling,
/// and with a plain point. `[...]` stands for the types that a generic function was made for in
/// DWARF, and in the tables of some versions.
fn plain(name: &str) -> String {
    generic(&name.strip_suffix(".abi0").unwrap_or(name).replace('·', "."))
}

fn generic(name: &str) -> String {
    match (name.find('['), name.rfind(']')) {
        (Some(start), Some(end)) if start < end => {
            format!("{}[...]{}", &name[..start], &name[end + 1..])
        }
        _ => name.to_owned(),
    }
}

/// Not C, of which linking with C brings some in.
fn is_go(name: &str) -> bool {
    name.contains('.') && !name.ends_with(".cold")
}

/// What came of a comparison.
#[derive(Debug, Default)]
struct Outcome {
    inlined: usize,
    lines: usize,
    /// Places of which the name alone is known.
    bare: usize,
    wrong: Vec<String>,
}

/// Compares at `count` random places of the functions that `whole` has.
fn compare(whole: &Path, stripped: &Path, count: usize) -> Outcome {
    let whole = whole.to_str().unwrap();
    let listed = listed(whole);
    let go: Vec<_> = listed
        .iter()
        .filter(|symbol| is_go(&symbol.name) && symbol.start < symbol.end)
        .collect();
    assert!(go.len() > 500, "{whole}");
    let mut names = BTreeMap::<u64, Vec<&str>>::new();
    for symbol in &go {
        names.entry(symbol.start).or_default().push(&symbol.name);
    }
    let mut random = random();
    let svmas: Vec<u64> = (0..count)
        .map(|_| {
            let symbol = go[random() as usize % go.len()];
            symbol.start + random() % (symbol.end - symbol.start)
        })
        .collect();
    let expected = levels("addr2line", whole, &svmas).unwrap();
    let witnesses = levels("llvm-addr2line", whole, &svmas);
    let found = symbols(stripped, &svmas);
    let mut outcome = Outcome::default();
    for (position, (svma, found)) in svmas.iter().zip(&found).enumerate() {
        let there = names.range(..=svma).next_back().unwrap().1;
        let outer = found.last().map_or("", |symbol| &*symbol.system_name);
        if !there.iter().any(|name| plain(name) == plain(outer)) {
            outcome
                .wrong
                .push(format!("{svma:#x}: {outer} is {there:?}"));
            continue;
        }
        if found[0].line.is_none() {
            outcome.bare += 1;
            continue;
        }
        // DWARF leaves out functions that the compiler made up.
        if expected[position].iter().all(|level| level.line.is_none()) {
            continue;
        }
        outcome.inlined += found.len() - 1;
        outcome.lines += found.len();
        let witness = witnesses.as_ref().and_then(|all| all.get(position));
        for (levels, is_witness) in [(Some(&expected[position]), false), (witness, true)] {
            let Some(levels) = levels else { continue };
            let own = found
                .iter()
                .map(|symbol| (generic(&symbol.name), symbol.line));
            let mut own: Vec<_> = own.collect();
            let their = levels
                .iter()
                .map(|level| (generic(&level.function), level.line));
            let mut their: Vec<_> = their.collect();
            // binutils gives the innermost function the name of the symbol around it.
            if !is_witness && let (Some(own), Some(their)) = (own.first_mut(), their.first_mut()) {
                own.0.clone_from(&their.0);
            }
            // Compared with the symbol's above.
            own.last_mut().unwrap().0.clear();
            their.last_mut().unwrap().0.clear();
            let by_go = || found.len() == 1 && line(whole, *svma) == found[0].line;
            if own != their && !by_go() {
                outcome
                    .wrong
                    .push(format!("{svma:#x}: {own:?} is {their:?}"));
            }
        }
    }
    outcome
}

#[test]
fn given_go_program() {
    if let Ok(path) = std::env::var("STRATA_ORACLE_GO") {
        let (whole, stripped) = path.split_once(':').unwrap();
        let outcome = compare(Path::new(whole), Path::new(stripped), 20000);
        let Outcome {
            inlined,
            lines,
            bare,
            wrong,
        } = outcome;
        println!(
            "{path}: {inlined} inlined, {lines} lines, {bare} bare, {} wrong",
            wrong.len()
        );
        for line in wrong.iter().take(12) {
            println!("  {line}");
        }
    }
}

#[test]
fn stripped_programs_of_each_kind() {
    let folder = std::env::temp_dir().join(format!("strata-go-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("program.go"), PROGRAM).unwrap();
    for flags in LINKED {
        if let Some((whole, stripped)) = build(&folder, flags) {
            let outcome = compare(&whole, &stripped, 2000);
            println!(
                "{flags:?}: {} inlined, {} lines",
                outcome.inlined, outcome.lines
            );
            assert_eq!(outcome.wrong, [""; 0], "go build {flags:?}");
            assert!(outcome.lines > 1000, "{outcome:?}");
            // From 1.26 on, what is inlined is known everywhere.
            assert!(outcome.inlined == 0 || outcome.bare == 0, "{outcome:?}");
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
