//! Compares names, inlined functions and lines with what binutils says: `nm` for symbols and PLT
//! entries, `addr2line` for the rest.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::*;

/// A code symbol as `nm` lists it.
pub struct Listed {
    pub start: u64,
    /// Equal to `start` where it has no size.
    pub end: u64,
    pub name: String,
}

/// What came out of a comparison.
#[derive(Debug, Default)]
struct Outcome {
    checked: usize,
    named: usize,
    inlined: usize,
    plt: usize,
    lines: usize,
    /// Where binutils is known to err.
    disputed: usize,
    wrong: Vec<String>,
    missing: Vec<String>,
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The code symbols of a file.
pub fn listed(path: &str) -> Vec<Listed> {
    let mut symbols = Vec::new();
    for option in [&["-S"][..], &["-S", "-D"]] {
        let arguments = [option, &["--defined-only", path]].concat();
        for line in output("nm", &arguments).unwrap_or_default().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (start, size, kind, name) = match words[..] {
                [start, size, kind, name] => (start, size, kind, name),
                [start, kind, name] => (start, "0", kind, name),
                _ => continue,
            };
            if !matches!(kind, "t" | "T" | "w" | "W" | "i") {
                continue;
            }
            let number = |word| u64::from_str_radix(word, 16).unwrap();
            symbols.push(Listed {
                start: number(start),
                end: number(start) + number(size),
                name: name.split('@').next().unwrap_or(name).to_owned(),
            });
        }
    }
    symbols
}

/// The names at an svma: those of the symbols whose sizes cover it and that begin last.
fn names_at(symbols: &[Listed], svma: u64) -> Vec<&str> {
    let covers = |symbol: &&Listed| symbol.start <= svma && svma < symbol.end;
    let covering: Vec<&Listed> = symbols.iter().filter(covers).collect();
    let start = covering.iter().map(|symbol| symbol.start).max();
    let innermost = covering
        .into_iter()
        .filter(|symbol| Some(symbol.start) == start);
    innermost.map(|symbol| symbol.name.as_str()).collect()
}

/// All names of symbols that begin at an svma.
fn starting_at(symbols: &[Listed], svma: u64) -> Vec<&str> {
    let there = symbols.iter().filter(|symbol| symbol.start == svma);
    there.map(|symbol| symbol.name.as_str()).collect()
}

/// PLT entries by their start.
fn plt(path: &str) -> BTreeMap<u64, String> {
    let listed = output("nm", &["-D", "--synthetic", path]).unwrap_or_default();
    let entries = listed.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = words.last()?.strip_suffix("@plt")?;
        let start = u64::from_str_radix(words.first()?, 16).ok()?;
        Some((start, name.split('@').next()?.to_owned()))
    });
    entries.collect()
}

/// A function and its place in the source, as binutils or elfutils print them.
pub struct Level {
    pub function: String,
    pub file: PathBuf,
    pub line: Option<u32>,
}

/// The levels at each svma, innermost first. None: the program is not installed.
pub fn levels(program: &str, path: &str, svmas: &[u64]) -> Option<Vec<Vec<Level>>> {
    let mut all = Vec::new();
    for svmas in svmas.chunks(500) {
        let numbers: Vec<String> = svmas.iter().map(|svma| format!("{svma:#x}")).collect();
        let mut arguments = vec!["-a", "-f", "-i", "-e", path];
        arguments.extend(numbers.iter().map(String::as_str));
        let text = output(program, &arguments)?;
        let mut lines = text.lines().peekable();
        while lines.next().is_some() {
            let mut levels = Vec::new();
            while let Some(function) = lines.next_if(|line| !line.starts_with("0x")) {
                levels.push(level(function, lines.next().unwrap_or_default()));
            }
            all.push(levels);
        }
    }
    Some(all)
}

fn level(function: &str, place: &str) -> Level {
    // binutils: `file:line (discriminator 2)`; elfutils: `file:line:column`.
    let place = place.split(" (discriminator").next().unwrap_or_default();
    let mut parts = place.split(':');
    let file = parts.next().unwrap_or_default();
    let line = parts.next().and_then(|line| line.parse().ok());
    // elfutils: `inner inlined at file:line:column in outer`.
    let function = function.split(" inlined at ").next().unwrap_or_default();
    Level {
        function: function.to_owned(),
        file: normal(file),
        line: line.filter(|line| *line != 0),
    }
}

/// Numbers without order, the same in each run.
pub fn random() -> impl FnMut() -> u64 {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// Random addresses of a file's executable sections.
fn svmas(file: &ExecutableFile, count: usize) -> Vec<u64> {
    let elf = elf::Elf::parse(&file.source).unwrap();
    let executable = |section: &&elf::Section| section.flags & 4 != 0 && section.size > 0;
    let sections: Vec<_> = elf.sections.iter().filter(executable).collect();
    let total: u64 = sections.iter().map(|section| section.size).sum();
    let mut random = random();
    let mut svmas = Vec::new();
    for number in 0..count {
        let mut offset = random() % total;
        // Some in each section, however small.
        let section = if number % 8 == 0 {
            sections[random() as usize % sections.len()]
        } else {
            let holds = |section: &&&elf::Section| {
                let inside = offset < section.size;
                offset -= if inside { 0 } else { section.size };
                inside
            };
            sections.iter().find(holds).unwrap()
        };
        svmas.push(section.address + offset % section.size);
    }
    svmas
}

fn compare(path: &str, count: usize) -> Option<Outcome> {
    let file = File::open(path).ok()?;
    output("nm", &["--version"])?;
    let file = ExecutableFile::new(1, path, Arc::new(file));
    let svmas = svmas(&file, count);
    let elf = elf::Elf::parse(&file.source).unwrap();
    let options = Options::default();
    let separate = separate(&elf, path, &options.debug_directories);

    let mut symbols = listed(path);
    if let Some(separate) = &separate {
        symbols.extend(listed(separate));
    }
    let plt = plt(path);
    let all_levels = levels("addr2line", path, &svmas)?;
    let witnesses = levels("eu-addr2line", path, &svmas);
    let mut symbolizer = Symbolizer::new(options);
    let began = std::time::Instant::now();
    let found = symbolizer.native_batch(&file, &svmas);
    let took = began.elapsed();
    assert_eq!(all_levels.len(), svmas.len());

    let mut outcome = Outcome::default();
    for (position, ((svma, found), levels)) in svmas.iter().zip(&found).zip(&all_levels).enumerate()
    {
        outcome.checked += 1;
        let names = names_at(&symbols, *svma);
        let entry = plt
            .range(..=svma)
            .next_back()
            .filter(|(start, _)| svma - *start < 16);
        match (found.last(), entry) {
            (Some(last), Some((_, name))) => {
                outcome.plt += 1;
                let ifunc = name.strip_prefix("*ABS*+0x");
                let ifunc = ifunc.and_then(|svma| u64::from_str_radix(svma, 16).ok());
                let names = match ifunc {
                    Some(svma) => starting_at(&symbols, svma),
                    None => vec![name.as_str()],
                };
                let own = last.system_name.strip_suffix("@plt").unwrap_or_default();
                if !names.contains(&own) {
                    outcome
                        .wrong
                        .push(format!("{svma:#x}: {} is {name}@plt", last.name));
                }
            }
            (Some(last), None) => {
                outcome.named += 1;
                let from_lines = names.is_empty() && last.start.is_none();
                let expected = levels.last().map_or("", |level| &level.function);
                let unsized_there = last.start == Some(*svma)
                    && names.is_empty()
                    && starting_at(&symbols, *svma).contains(&&*last.system_name);
                let right = names.contains(&&*last.system_name)
                    || unsized_there
                    || (from_lines && expected == &*last.system_name);
                if !right {
                    outcome
                        .wrong
                        .push(format!("{svma:#x}: {} is {names:?}", last.system_name));
                }
            }
            // Hidden ifuncs of a stripped file have no name.
            (None, Some((_, name))) if name.starts_with("*ABS*") && separate.is_none() => {}
            (None, Some((_, name))) => outcome.missing.push(format!("{svma:#x}: {name}@plt")),
            (None, None) if names.is_empty() => {}
            (None, None) => outcome.missing.push(format!("{svma:#x}: {names:?}")),
        }
        let witness = witnesses.as_ref().and_then(|all| all.get(position));
        compare_levels(*svma, found, levels, witness, &mut outcome);
    }
    println!(
        "{path}: {} svmas in {took:?}, {} named, {} PLT, {} inlined frames, {} lines ({} disputed), \
         {} wrong, {} missing, {} MiB, {:?}",
        outcome.checked,
        outcome.named,
        outcome.plt,
        outcome.inlined,
        outcome.lines,
        outcome.disputed,
        outcome.wrong.len(),
        outcome.missing.len(),
        symbolizer.bytes() >> 20,
        symbolizer.take_problems(),
    );
    for line in outcome
        .wrong
        .iter()
        .take(20)
        .chain(outcome.missing.iter().take(20))
    {
        println!("  {line}");
    }
    Some(outcome)
}

/// Inlined functions, and lines of all levels. binutils 2.40 errs in two ways, in which elfutils
/// decides where it is installed: lines of an included file are given to the function's own file,
/// and an innermost function without a linkage name gets the name of the symbol around it.
fn compare_levels(
    svma: u64,
    found: &[Symbol],
    levels: &[Level],
    witness: Option<&Vec<Level>>,
    outcome: &mut Outcome,
) {
    let Some((outer, inner)) = found.split_last() else {
        return;
    };
    outcome.inlined += inner.len();
    if inner.len() != levels.len().saturating_sub(1) {
        let (own, count) = (found.len(), levels.len());
        outcome
            .wrong
            .push(format!("{svma:#x}: {own} levels are {count}"));
        return;
    }
    for (depth, (symbol, level)) in found.iter().zip(levels).enumerate() {
        let witness = witness.and_then(|levels| levels.get(depth));
        let name = &*symbol.system_name;
        if depth < inner.len() && name != level.function {
            let same = witness.map(|witness| witness.function == name);
            let quirk = depth == 0 && level.function.starts_with(&*outer.system_name);
            if same.unwrap_or(quirk) {
                outcome.disputed += 1;
            } else {
                outcome
                    .wrong
                    .push(format!("{svma:#x}: {name} is {}", level.function));
            }
        }
        outcome.lines += usize::from(level.line.is_some());
        let file = symbol.file.as_deref().map(normal).unwrap_or_default();
        let same_file = symbol.line.is_none() || file == level.file;
        let agreed = witness.is_none_or(|witness| witness.file == file);
        if symbol.line == level.line && (same_file || agreed) {
            outcome.disputed += usize::from(!same_file);
        } else {
            let (own, expected) = (symbol.line, level.line);
            let place = level.file.display();
            let text = format!("{svma:#x}: {name} at {file:?}:{own:?} is {place}:{expected:?}");
            outcome.wrong.push(text);
        }
    }
}

/// A path without `.` and `..`, which binutils leaves in or takes out as it likes.
fn normal(path: &str) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            std::path::Component::ParentDir => drop(normal.pop()),
            std::path::Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

/// Path of the separate debug file by build id.
fn separate(elf: &elf::Elf<'_>, path: &str, directories: &[PathBuf]) -> Option<String> {
    debug_file::find(elf, path, directories)?;
    let id = elf.build_id()?;
    let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let (first, rest) = digits.split_at(2);
    let file = directories[0].join(format!(".build-id/{first}/{rest}.debug"));
    file.exists().then(|| file.to_str().unwrap().to_owned())
}

/// Nothing wrong, and nothing missing.
fn check(path: &str, count: usize) {
    if let Some(outcome) = compare(path, count) {
        assert_eq!(outcome.wrong, [""; 0], "wrong in {path}");
        assert_eq!(outcome.missing, [""; 0], "missing in {path}");
        assert!(
            outcome.checked == 0 || outcome.named > 0,
            "nothing named in {path}"
        );
    }
}

#[test]
fn libc() {
    check("/lib/x86_64-linux-gnu/libc.so.6", 2000);
}

#[test]
fn libstdcpp() {
    check("/usr/lib/x86_64-linux-gnu/libstdc++.so.6", 2000);
}

#[test]
fn libpython() {
    // pyenv's has debug information, Debian's has not.
    check(
        "/root/.pyenv/versions/3.11.7/lib/libpython3.11.so.1.0",
        2000,
    );
    check("/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", 2000);
}

#[test]
fn libcrypto() {
    check("/usr/lib/x86_64-linux-gnu/libcrypto.so.3", 2000);
}

#[test]
fn own_executable() {
    check(std::env::current_exe().unwrap().to_str().unwrap(), 2000);
}

/// `STRATA_ORACLE_FILE=/path cargo test given_file -- --nocapture`
#[test]
fn given_file() {
    if let Ok(path) = std::env::var("STRATA_ORACLE_FILE") {
        check(&path, 2000);
    }
}

/// Kinds of debug information that compilers and linkers make.
#[test]
fn compiled_programs() {
    const SOURCE: &str = r#"
        #include <algorithm>
        #include <cstdio>
        #include <map>
        #include <string>
        #include <vector>
        namespace shapes {
        struct Shape { virtual ~Shape() {} virtual double area() const = 0; };
        struct Square : Shape { double side; double area() const override { return side * side; } };
        struct Circle : Shape { double r; double area() const override { return 3.14 * r * r; } };
        }
        static int unused(int x) { return x * 3; }
        int dropped(int x) { return unused(x) + 1; }
        template <typename T> T sum(const std::vector<T> &v) {
            T total{};
            for (const T &x : v) total = total + x;
            return total;
        }
        static bool by_size(const std::string &a, const std::string &b) { return a.size() < b.size(); }
        int main(int argc, char **argv) {
            std::map<std::string, int> counts;
            std::vector<std::string> words(argv, argv + argc);
            std::sort(words.begin(), words.end(), by_size);
            for (auto &w : words) counts[w + "!"]++;
            shapes::Square square; square.side = argc;
            shapes::Circle circle; circle.r = argc;
            shapes::Shape *all[] = { &square, &circle };
            double area = 0;
            for (auto *shape : all) area += shape->area();
            std::vector<int> numbers(argc, 7);
            printf("%zu %f %d\n", counts.size(), area, sum(numbers));
        }"#;
    let variants: [&[&str]; 8] = [
        &["-O2", "-gdwarf-5"],
        &["-O2", "-gdwarf-4"],
        &["-O0", "-gdwarf-3", "-no-pie"],
        &["-O3", "-g", "-ffunction-sections", "-Wl,--gc-sections"],
        &["-O2", "-g", "-flto"],
        &["-O2", "-g", "-Wl,--compress-debug-sections=zlib"],
        &["-O2", "-g", "-static"],
        &["-O2"],
    ];
    let directory = std::env::temp_dir().join(format!("strata-oracle-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let source = directory.join("program.cc");
    std::fs::write(&source, SOURCE).unwrap();
    for (number, flags) in variants.iter().enumerate() {
        let program = directory.join(format!("program-{number}"));
        let mut compiler = Command::new("g++");
        compiler.args(*flags).arg("-o").arg(&program).arg(&source);
        match compiler.status() {
            Ok(status) => assert!(status.success(), "g++ {flags:?}"),
            Err(_) => break,
        }
        check(program.to_str().unwrap(), 600);
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
