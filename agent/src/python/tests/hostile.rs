//! Files and tables that were damaged at random: no panic, no endless loop.

use super::interpreters::installed;
use super::random::Random;
use super::target::map;
use crate::python::detect::detect;
use crate::python::elf::Elf;
use crate::python::lines::{self, Decoder};
use crate::python::text;
use crate::python::version::Version;
use crate::python::{eval_loop, is_internal};
use agent_common::code::{TEXT_BYTES, Text};

#[test]
fn damaged_files_are_survived() {
    let mut random = Random::new(3);
    for interpreter in installed("hostile files") {
        let file = map(&interpreter.runtime_file()).unwrap();
        let mut bytes = file.to_vec();
        let headers = 0x40 + 56 * 14;
        let sections = bytes.len() - bytes.len().min(64 * 45);
        let mut found = 0;
        // Before 3.11 a look takes long: the version is searched among all literals.
        let rounds = if interpreter.minor < 11 { 8 } else { 60 };
        for _ in 0..rounds {
            let mut undo = Vec::new();
            for _ in 0..random.below(4) + 1 {
                let at = match random.below(3) {
                    0 => random.below(headers),
                    1 => sections + random.below(bytes.len() - sections),
                    _ => random.below(bytes.len()),
                };
                undo.push((at, bytes[at]));
                bytes[at] = random.next() as u8;
            }
            found += usize::from(detect(&bytes).is_some());
            let cut = random.below(bytes.len());
            detect(&bytes[..cut]);
            if let Some(elf) = Elf::parse(&bytes).filter(|_| random.below(8) == 0) {
                eval_loop::ranges(&elf);
            }
            for (at, byte) in undo.into_iter().rev() {
                bytes[at] = byte;
            }
        }
        println!(
            "hostile files: {}: still found in {found} of {rounds}",
            interpreter.name
        );
    }
}

#[test]
fn any_bytes_are_a_line_table() {
    let mut random = Random::new(5);
    for _ in 0..20_000 {
        let version = Version::new(3, 8 + random.below(8) as u8, 0);
        let table: Vec<u8> = (0..random.below(100))
            .map(|_| random.next() as u8)
            .collect();
        let first_line = random.next() as i32;
        let decoder = Decoder::new(version, &table, first_line);
        for _ in 0..20 {
            let instruction = (random.next() as i32) >> random.below(32);
            let line = lines::line(version, &table, first_line, instruction);
            assert_eq!(line, decoder.line(instruction));
        }
    }
}

#[test]
fn any_bytes_are_a_text() {
    let mut random = Random::new(9);
    for _ in 0..20_000 {
        let mut data = [0; TEXT_BYTES];
        data.fill_with(|| random.next() as u8);
        let decoded = text::decode(&Text {
            length: random.next() >> random.below(64),
            state: random.next() as u32,
            stored: random.below(300) as u32,
            data,
        });
        assert!(decoded.len() <= 10 * TEXT_BYTES);
        is_internal(&decoded);
    }
}
