//! Seeds: small real inputs, made on the machine that fuzzes, so that the repository holds no
//! binaries. Written when a target starts and `STRATA_FUZZ_SEEDS` names a folder.

use std::io::Read as _;
use std::path::Path;
use std::process::Command;

const FOLDER: &str = "STRATA_FUZZ_SEEDS";

/// Writes what `make` gives, if a folder is asked to be filled.
pub fn write(make: fn() -> Vec<Vec<u8>>) {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    for (number, seed) in make().into_iter().enumerate() {
        let path = Path::new(&folder).join(format!("seed-{number}"));
        if let Err(error) = std::fs::write(&path, seed) {
            eprintln!("The seed {} can't be written: {error}.", path.display());
        }
    }
}

/// What a gzip file holds.
pub fn unzipped(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut unzipped = Vec::new();
    flate2::read::GzDecoder::new(bytes)
        .read_to_end(&mut unzipped)
        .ok()?;
    Some(unzipped)
}

/// The files that a shell script leaves in its folder under these names. What it can't make is
/// left out.
fn made(script: &str, names: &[&str]) -> Vec<Vec<u8>> {
    let folder = std::env::temp_dir().join(format!("strata-seeds-{}", std::process::id()));
    if std::fs::create_dir(&folder).is_err() {
        return Vec::new();
    }
    let mut shell = Command::new("sh");
    let output = shell.args(["-c", script]).current_dir(&folder).output();
    if let Ok(output) = output {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let files = names.iter();
    let files = files.filter_map(|name| std::fs::read(folder.join(name)).ok());
    let files = files.collect();
    drop(std::fs::remove_dir_all(&folder));
    files
}

/// Programs and libraries of a few KB: with debug information, stripped, with compressed symbols,
/// with an ifunc and a PLT, of C++.
pub fn elf_files() -> Vec<Vec<u8>> {
    const SCRIPT: &str = r#"
        cat >a.c <<'END'
static int __attribute__((noinline)) square(int x) { return x * x; }
static inline int twice(int x) { return square(x) + square(x + 1); }
int __attribute__((noinline)) outer(int x) { return twice(x) * twice(x + 5); }
void *room(int n) { char *p = __builtin_alloca(n); p[n / 2] = outer(n); return p; }
void _start(void) { outer((int)(long)room(7)); for (;;); }
END
        cat >b.c <<'END'
extern int other(int);
int called(int x) { return other(x) + 1; }
static int chosen(int x) { return x; }
static void *choose(void) { return chosen; }
int picked(int) __attribute__((ifunc("choose")));
int user(int x) { return picked(x) + called(x); }
END
        cat >c.cc <<'END'
namespace shapes { template <typename T> struct Square { T side; T area() const; }; }
template <typename T> T shapes::Square<T>::area() const { return side * side; }
template struct shapes::Square<int>;
extern "C" void _start() { for (;;); }
END
        small="-O2 -nostdlib -Wl,-z,max-page-size=512,-z,noseparate-code,--build-id"
        gcc $small -g -static -o debug a.c
        gcc $small -gdwarf-4 -static -o debug4 a.c
        gcc $small -static -o plain a.c
        gcc $small -g -gz -static -o packed a.c
        gcc $small -shared -fPIC -o shared b.c
        g++ $small -static -fno-exceptions -o classes c.cc
        gcc $small -static -g -fno-asynchronous-unwind-tables -o frames a.c
        strip -o bare plain
        objcopy --only-keep-debug plain symbols && xz -k symbols &&
            objcopy --add-section .gnu_debugdata=symbols.xz bare hidden
    "#;
    let names = [
        "debug", "debug4", "plain", "packed", "shared", "classes", "frames", "bare", "hidden",
    ];
    made(SCRIPT, &names)
}

/// Line tables of the interpreters of this machine: 3.x less 8, first line, table.
pub fn line_tables() -> Vec<Vec<u8>> {
    const SCRIPT: &str = r#"
        number=0
        for python in "$(command -v python3)" "$HOME"/.pyenv/versions/*/bin/python3; do
            "$python" - $number <<'END' || continue
import argparse, struct, sys, textwrap
number = int(sys.argv[1])
parser = argparse.ArgumentParser
for function in (parser._parse_known_args, textwrap.TextWrapper._wrap_chunks, textwrap.dedent):
    code = function.__code__
    table = code.co_linetable if hasattr(code, "co_linetable") else code.co_lnotab
    with open("table-%d" % number, "wb") as out:
        out.write(struct.pack("<Bi", sys.version_info[1] - 8, code.co_firstlineno) + table)
    number += 1
END
            number=$((number + 3))
        done
    "#;
    let names: Vec<String> = (0..21).map(|number| format!("table-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut seeds = made(SCRIPT, &names);
    // Without any interpreter: simple tables of each format.
    let tables: [(u8, &[u8]); 3] = [
        (0, &[2, 1, 4, 0xff]),
        (2, &[4, 1, 2, 0x80]),
        (4, &[0x80, 0, 0xf0, 3]),
    ];
    for (version, table) in tables {
        seeds.push([&[version, 1, 0, 0, 0], table].concat());
    }
    seeds
}
