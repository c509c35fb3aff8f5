//! Every instruction of some forty standard modules, of a file of odd shapes and of random
//! well-formed tables, against what the interpreter itself says.

use std::io::Write;
use std::process::Stdio;

use super::interpreters::{Interpreter, installed};
use crate::python::lines::{self, Decoder};
use crate::python::version::Version;

#[test]
fn every_instruction_has_the_line_that_cpython_gives_it() {
    for interpreter in installed("lines") {
        let output = run(&interpreter);
        let mut rows = output.lines();
        let version = rows.next().unwrap().parse().map(Version::from_hex).unwrap();
        assert!(
            version.is(interpreter.minor),
            "{} is {version}",
            interpreter.name
        );
        let (mut codes, mut instructions, mut without) = (0, 0, 0);
        for row in rows {
            let (units, lineless) = check(version, row);
            codes += 1;
            instructions += units;
            without += lineless;
        }
        assert!(
            instructions > 100_000,
            "{}: only {instructions}",
            interpreter.name
        );
        println!(
            "lines: {}: {version}, {codes} code objects, {instructions} instructions, \
             {without} without a line, 0 mismatches",
            interpreter.name
        );
    }
}

fn run(interpreter: &Interpreter) -> String {
    let mut child = interpreter
        .command()
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(include_bytes!("oracle.py"))
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", interpreter.name);
    String::from_utf8(output.stdout).unwrap()
}

/// Compares one code object; gives its instructions, and those without a line.
fn check(version: Version, row: &str) -> (i32, i32) {
    let mut fields = row.split(' ');
    let table = unhex(fields.next().unwrap());
    let first_line = fields.next().unwrap().parse().unwrap();
    let decoder = Decoder::new(version, &table, first_line);
    let (mut unit, mut lineless) = (0, 0);
    for run in fields.filter(|run| !run.is_empty()) {
        let (expected, units) = run.split_once(':').unwrap();
        let expected = expected.parse().ok();
        for _ in 0..units.parse::<i32>().unwrap() {
            let line = decoder.line(unit * 2);
            assert_eq!(line, expected, "{version}, unit {unit} of {row}");
            // The other form reads the table from its start each time.
            if unit % 16 == 0 || table.len() < 256 {
                assert_eq!(lines::line(version, &table, first_line, unit * 2), expected);
            }
            unit += 1;
            lineless += i32::from(expected.is_none());
        }
    }
    for started in [-1, -2] {
        let line = lines::line(version, &table, first_line, started);
        assert_eq!(line, Some(first_line));
    }
    assert_eq!(lines::line(version, &table, first_line, i32::MIN), None);
    check_parts(version, &table, first_line, &decoder, unit);
    (unit, lineless)
}

/// Of a table that was cut, every line told is the right one.
fn check_parts(version: Version, table: &[u8], first_line: i32, whole: &Decoder, units: i32) {
    let mut told = 0;
    for cut in [
        table.len() / 3,
        table.len() / 2,
        table.len().saturating_sub(1),
        table.len(),
    ] {
        let part = Decoder::of_beginning(version, &table[..cut], first_line);
        for unit in (0..units).step_by(1 + units as usize / 64) {
            let line = part.line(unit * 2);
            assert!(
                line.is_none() || line == whole.line(unit * 2),
                "{version}: {table:x?}"
            );
            told += i32::from(line.is_some());
        }
    }
    assert!(told > 0 || table.len() < 40, "{version}: {table:x?}");
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks_exact(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
