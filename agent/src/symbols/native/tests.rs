use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::symbols::elf::{Elf, number};
use crate::symbols::{ExecutableFile, Options, Source, Symbolizer};

const PROGRAM: &str = r#"
    static int __attribute__((noinline)) square(int x) { return x * x; }
    static inline int twice(int x) { return square(x) + square(x + 1); }
    int __attribute__((noinline)) outer(int x) { return twice(x) * twice(x + 5); }
    int main(int argc, char **argv) { return outer(argc); }
"#;

/// A directory with a compiled program; gone when dropped.
struct Compiled {
    directory: PathBuf,
}

impl Drop for Compiled {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.directory));
    }
}

impl Compiled {
    /// None: there is no compiler.
    fn new(name: &str) -> Option<Self> {
        let name = format!("strata-native-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let compiled = Self { directory };
        fs::write(compiled.path("program.c"), PROGRAM).unwrap();
        let done = compiled.run(
            "gcc",
            &["-O2", "-g", "-Wl,--build-id", "-o", "program", "program.c"],
        );
        done.then_some(compiled)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let mut command = Command::new(program);
        let status = command
            .args(arguments)
            .current_dir(&self.directory)
            .status();
        status.is_ok_and(|status| status.success())
    }

    /// svmas of a function's bytes, by `nm` of the program before it was stripped.
    fn svmas(&self, function: &str) -> Vec<u64> {
        let output = Command::new("nm")
            .args(["-S", "program"])
            .current_dir(&self.directory)
            .output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        let line = text
            .lines()
            .find(|line| line.ends_with(&format!(" {function}")))
            .unwrap();
        let mut words = line.split(' ').map(|word| u64::from_str_radix(word, 16));
        let start = words.next().unwrap().unwrap();
        (start..start + words.next().unwrap().unwrap()).collect()
    }
}

fn executable(path: &Path) -> ExecutableFile {
    ExecutableFile::new(
        1,
        path.to_str().unwrap(),
        Arc::new(File::open(path).unwrap()),
    )
}

/// Names of the function at an svma and of what is inlined there, innermost first.
fn names(symbolizer: &mut Symbolizer, file: &ExecutableFile, svma: u64) -> Vec<String> {
    let symbols = symbolizer.native(file, svma);
    symbols
        .iter()
        .map(|symbol| symbol.name.to_string())
        .collect()
}

#[test]
fn names_outlive_the_path() {
    let Some(compiled) = Compiled::new("path") else {
        return;
    };
    let svmas = compiled.svmas("outer");
    let file = executable(&compiled.path("program"));
    fs::remove_file(compiled.path("program")).unwrap();
    let mut symbolizer = Symbolizer::new(Options::default());
    let symbols = symbolizer.native_batch(&file, &svmas);
    assert!(
        symbols
            .iter()
            .all(|symbols| &*symbols.last().unwrap().name == "outer")
    );
    let inlined = symbols.iter().find(|symbols| symbols.len() == 2).unwrap();
    assert_eq!((&*inlined[0].name, inlined[0].inlined), ("twice", true));
    assert_eq!((inlined[0].line, inlined[1].line), (Some(3), Some(4)));
    assert_eq!(
        (inlined[0].first_line, inlined[1].first_line),
        (Some(3), Some(4))
    );
    assert_eq!(inlined[1].start, Some(svmas[0]));
    assert!(inlined[0].file.as_ref().unwrap().ends_with("/program.c"));
    assert_eq!(symbolizer.take_problems().0.len(), 0);
}

#[test]
fn debug_files_are_found_by_build_id() {
    let Some(compiled) = Compiled::new("separate") else {
        return;
    };
    let svmas = compiled.svmas("outer");
    let source = Source::File(Arc::new(File::open(compiled.path("program")).unwrap()));
    let id = Elf::parse(&source).unwrap().build_id().unwrap();
    let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let folder = format!("debug/.build-id/{}", &digits[..2]);
    fs::create_dir_all(compiled.path(&folder)).unwrap();
    let separate = format!("{folder}/{}.debug", &digits[2..]);
    assert!(compiled.run("objcopy", &["--only-keep-debug", "program", &separate]));
    assert!(compiled.run("strip", &["-o", "stripped", "program"]));
    let file = executable(&compiled.path("stripped"));

    let mut without = Symbolizer::new(Options::default());
    assert!(names(&mut without, &file, svmas[1]).is_empty());
    let mut with = Symbolizer::new(Options {
        debug_directories: vec![compiled.path("debug")],
        ..Options::default()
    });
    let found = with.native_batch(&file, &svmas);
    assert!(
        found
            .iter()
            .all(|symbols| &*symbols.last().unwrap().name == "outer")
    );
    assert!(found.iter().any(|symbols| &*symbols[0].name == "twice"));

    // Another version's debug file is no help.
    let changed =
        format!("sed -i s/1/2/ program.c && gcc -g -o other program.c && cp other {separate}");
    assert!(compiled.run("sh", &["-c", &changed]));
    let mut other = Symbolizer::new(Options {
        debug_directories: vec![compiled.path("debug")],
        ..Options::default()
    });
    assert!(names(&mut other, &file, svmas[1]).is_empty());
}

#[test]
fn packed_symbols_are_read() {
    let Some(compiled) = Compiled::new("packed") else {
        return;
    };
    let svmas = compiled.svmas("square");
    let pack = "objcopy -S --keep-symbol=square program small && xz small && \
        strip -o packed program && objcopy --add-section .gnu_debugdata=small.xz packed";
    if !compiled.run("sh", &["-c", pack]) {
        return;
    }
    let mut symbolizer = Symbolizer::new(Options::default());
    let file = executable(&compiled.path("packed"));
    assert_eq!(names(&mut symbolizer, &file, svmas[1]), ["square"]);
    assert_eq!(symbolizer.take_problems().0.len(), 0);
}

#[test]
fn limits_leave_the_symbol_table() {
    let Some(compiled) = Compiled::new("limits") else {
        return;
    };
    let svmas = compiled.svmas("outer");
    let file = executable(&compiled.path("program"));
    let options = [
        Options {
            debug_information_bytes: 100,
            ..Options::default()
        },
        Options {
            debug_information_time: Duration::ZERO,
            ..Options::default()
        },
    ];
    for options in options {
        let mut symbolizer = Symbolizer::new(options);
        assert_eq!(names(&mut symbolizer, &file, svmas[1]), ["outer"]);
        assert_eq!(symbolizer.take_problems().0.len(), 1);
    }
    let mut symbolizer = Symbolizer::new(Options {
        cache_bytes: 0,
        ..Options::default()
    });
    let second = ExecutableFile {
        id: 2,
        ..file.clone()
    };
    for file in [&file, &second, &file] {
        let outermost = names(&mut symbolizer, file, svmas[1]).pop();
        assert_eq!(outermost.as_deref(), Some("outer"));
    }
}

/// Found by the fuzz target `symbols`.
#[test]
fn an_empty_name_in_the_debug_information_is_none() {
    let Some(compiled) = Compiled::new("empty") else {
        return;
    };
    let svmas = compiled.svmas("outer");
    let mut bytes = fs::read(compiled.path("program")).unwrap();
    let name = b"twice\0";
    let places: Vec<_> = (0..bytes.len() - name.len())
        .filter(|place| bytes[*place..].starts_with(name))
        .collect();
    for place in places {
        bytes[place] = 0;
    }
    let file = ExecutableFile {
        id: 1,
        path: "empty".into(),
        source: Source::Bytes(bytes.into()),
    };
    let mut symbolizer = Symbolizer::new(Options::default());
    for symbols in symbolizer.native_batch(&file, &svmas) {
        assert!(symbols.iter().all(|symbol| !symbol.name.is_empty()));
        assert_eq!(&*symbols.last().unwrap().name, "outer");
    }
}

/// Found by the fuzz target `symbols`.
#[test]
fn a_size_that_does_not_fit_behind_its_address_is_none() {
    let Some(compiled) = Compiled::new("size") else {
        return;
    };
    // Unoptimised, all code is in one piece: its unit has an address and a size.
    assert!(compiled.run("gcc", &["-O0", "-g", "-o", "program", "program.c"]));
    let svmas = compiled.svmas("square");
    let mut bytes = fs::read(compiled.path("program")).unwrap();
    let start = svmas[0].to_le_bytes();
    let places: Vec<_> = (0..bytes.len() - 16)
        .filter(|place| bytes[*place..].starts_with(&start))
        .collect();
    assert!(places.len() > 1);
    for place in places {
        bytes[place + 8..place + 16].fill(0xff);
    }
    let file = ExecutableFile {
        id: 1,
        path: "size".into(),
        source: Source::Bytes(bytes.into()),
    };
    let mut symbolizer = Symbolizer::new(Options::default());
    symbolizer.native_batch(&file, &svmas);
}

/// Whether a table is kept whole or gone through for what is asked, the answers are the same.
#[test]
fn large_tables_answer_as_small_ones() {
    let own = std::env::current_exe().unwrap();
    let with = |whole_table_bytes| {
        Symbolizer::new(Options {
            whole_table_bytes,
            debug_information: false,
            ..Options::default()
        })
    };
    let mut named = 0;
    for path in [Path::new("/usr/lib/x86_64-linux-gnu/libc.so.6"), &own] {
        if !path.is_file() {
            continue;
        }
        let file = executable(path);
        let elf = Elf::parse(&file.source).unwrap();
        let segments = elf.segments.iter().filter(|segment| segment.executable);
        let svmas: Vec<u64> = segments
            .flat_map(|segment| {
                let end = segment.svma + segment.memory_size;
                (segment.svma..end).step_by(segment.memory_size as usize / 3000 + 1)
            })
            .collect();
        let whole = with(u64::MAX).native_batch(&file, &svmas);
        assert_eq!(with(0).native_batch(&file, &svmas), whole);
        named += whole.iter().filter(|symbols| !symbols.is_empty()).count();
    }
    assert!(named > 1000, "{named}");
}

/// Overwrites random bytes of a program and asks for all addresses of a function: no panic, no
/// endless loop.
#[test]
fn damaged_files_do_no_harm() {
    let Some(compiled) = Compiled::new("damaged") else {
        return;
    };
    let rounds = std::env::var("STRATA_FUZZ_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok());
    let svmas: Vec<u64> = [compiled.svmas("outer"), compiled.svmas("main")].concat();
    let original = fs::read(compiled.path("program")).unwrap();
    let sections = {
        let source = Source::Bytes(original.clone().into());
        let elf = Elf::parse(&source).unwrap();
        let places = elf
            .sections
            .iter()
            .map(|section| (section.offset, section.size));
        places.filter(|(_, size)| *size != 0).collect::<Vec<_>>()
    };
    let table = number::<8>(&original, 40);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |limit: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 8) % limit.max(1)
    };
    for _ in 0..rounds.unwrap_or(400) {
        let mut bytes = original.clone();
        for _ in 0..=random(6) {
            // The section table, and each section alike, however small.
            let (offset, size) = match random(4) {
                0 => (table, bytes.len() as u64 - table),
                _ => sections[random(sections.len() as u64) as usize],
            };
            let position = (offset + random(size)) as usize;
            let value = [0, 0xff, 0x7f, 0x80, random(256) as u8][random(5) as usize];
            let end = (position + 1 + random(9) as usize).min(bytes.len());
            bytes[position.min(end)..end].fill(value);
        }
        if random(10) == 0 {
            bytes.truncate(random(original.len() as u64) as usize);
        }
        let file = ExecutableFile {
            id: 1,
            path: "damaged".into(),
            source: Source::Bytes(bytes.into()),
        };
        let mut symbolizer = Symbolizer::new(Options {
            debug_information_time: Duration::from_secs(2),
            debug_directories: Vec::new(),
            ..Options::default()
        });
        assert_eq!(symbolizer.native_batch(&file, &svmas).len(), svmas.len());
    }
}
