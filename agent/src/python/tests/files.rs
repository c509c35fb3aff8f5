//! Detection by file: the interpreters' own files, and everything else that they map.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::interpreters::{Interpreter, installed};
use super::target::{Target, map, mappings};
use crate::python::detect::detect;
use crate::python::elf::Elf;
use crate::python::eval_loop;

/// The files that an interpreter executes, with many extension modules loaded.
fn executed(interpreter: &Interpreter) -> Vec<PathBuf> {
    let program = "for name in 'asyncio ctypes decimal json sqlite3 ssl zlib'.split():\n\
        \x20   try: __import__(name)\n\
        \x20   except ImportError: pass\n\
        print('READY', flush=True)\n\
        input()";
    let target = Target::run(interpreter, program, &[]);
    let mut paths: Vec<PathBuf> = mappings(target.pid())
        .into_iter()
        .map(|mapping| mapping.path)
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

#[test]
fn one_file_of_a_process_holds_the_runtime() {
    for interpreter in installed("files") {
        let mut found = Vec::new();
        let mut slowest = (Duration::ZERO, PathBuf::new());
        let paths = executed(&interpreter);
        for path in &paths {
            let file = map(path).unwrap();
            let started = Instant::now();
            let binary = detect(&file);
            let took = started.elapsed();
            match binary {
                Some(binary) => found.push((path, binary, took)),
                None if took > slowest.0 => slowest = (took, path.clone()),
                None => {}
            }
        }
        let [(path, binary, took)] = &found[..] else {
            panic!("{}: {found:?}", interpreter.name);
        };
        assert!(
            binary
                .version
                .is_some_and(|version| version.is(interpreter.minor))
        );
        assert!(binary.unfit().is_none() && !binary.free_threaded);
        println!(
            "files: {}: {} in {took:?}; {} others rejected, the slowest in {:?}: {}",
            interpreter.name,
            path.display(),
            paths.len() - 1,
            slowest.0,
            slowest.1.display()
        );
    }
}

/// What stripping of section headers and symbols leaves: the cookie (3.13 and later).
#[test]
fn without_section_headers_the_cookie_is_found() {
    for interpreter in installed("cookie") {
        let file = map(&interpreter.runtime_file()).unwrap();
        let mut stripped = file.to_vec();
        // e_shoff; e_shnum and e_shstrndx.
        stripped[0x28..0x30].fill(0);
        stripped[0x3C..0x40].fill(0);
        let (whole, bare) = (detect(&file).unwrap(), detect(&stripped));
        if interpreter.minor < 13 {
            assert!(bare.is_none(), "{}", interpreter.name);
            continue;
        }
        let bare = bare.unwrap();
        let name = interpreter.name;
        assert_eq!(
            (bare.runtime, bare.version),
            (whole.runtime, whole.version),
            "{name}"
        );
        assert_eq!(bare.runtime_size, whole.runtime_size, "{name}");
    }
}

/// The part that profile-guided builds move away. The sizes are those of the unwind entries that
/// all program counters of a busy loop were seen in.
#[test]
fn the_cold_part_of_the_loop_is_found_without_symbols() {
    for interpreter in installed("cold part") {
        let sizes = [(13, 2384, 77_082), (14, 1184, 84_423), (15, 844, 82_341)];
        let wanted = sizes.iter().find(|(minor, ..)| *minor == interpreter.minor);
        let Some((_, hot, cold)) = wanted.filter(|_| interpreter.name.contains("sid")) else {
            continue;
        };
        let path = interpreter.inside(&interpreter.path);
        let file = map(&path).unwrap();
        let elf = Elf::parse(&file).unwrap();
        let started = Instant::now();
        let ranges = eval_loop::ranges(&elf);
        println!(
            "cold part: {}: {ranges:#x?} in {:?}",
            interpreter.name,
            started.elapsed()
        );
        let lengths: Vec<u64> = ranges.iter().map(|range| range.end - range.start).collect();
        assert_eq!(lengths, [*hot, *cold], "{}", interpreter.name);
    }
}

/// Large files that are no interpreters are rejected in no time.
#[test]
fn other_files_are_rejected() {
    let exe = std::env::current_exe().unwrap();
    let candidates = [
        exe.to_str().unwrap(),
        "/usr/bin/gdb",
        "/usr/bin/bash",
        "/usr/lib/x86_64-linux-gnu/libc.so.6",
        "/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1",
        "/usr/lib/x86_64-linux-gnu/libLLVM-15.so.1",
        "/usr/bin/perf",
        "/usr/bin/dockerd",
    ];
    for path in candidates {
        let Some(file) = map(&path.into()) else {
            println!("files: NOT TESTED, not installed: {path}");
            continue;
        };
        // The first look reads the file in.
        for _ in 0..2 {
            let started = Instant::now();
            let found = detect(&file);
            let took = started.elapsed();
            println!("files: {path} ({} bytes) rejected in {took:?}", file.len());
            assert!(found.is_none(), "{path}");
        }
    }
    for bytes in [&b""[..], b"\x7fELF", b"#!/usr/bin/python3", &[0; 4096]] {
        assert!(detect(bytes).is_none());
    }
}
