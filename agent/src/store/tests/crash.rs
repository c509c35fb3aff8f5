//! Agents that are killed while they write.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use super::*;

const FOLDER: &str = "STRATA_TEST_STORE";
const FIRST: &str = "STRATA_TEST_FIRST";

/// A test of this module, in a process of its own.
pub fn test_process(module: &str, test: &str, folder: &Path, first: u64) -> Child {
    let module = module.split_once("::").unwrap().1;
    Command::new(std::env::current_exe().unwrap())
        .args([&format!("{module}::{test}"), "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The folder that such a process works on, and the number of its first message.
pub fn task() -> Option<(std::path::PathBuf, u64)> {
    let folder = std::env::var_os(FOLDER)?;
    let first = std::env::var(FIRST).unwrap().parse().unwrap();
    Some((folder.into(), first))
}

/// Not a test by itself: appends until it is killed, and says what is on disk.
#[test]
fn appends_until_killed() {
    let Some((folder, first)) = task() else {
        return;
    };
    let store = open(&folder);
    store.register("collector").unwrap();
    let say = |what: &str, number: u64| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nstore {what} {number}").unwrap();
        out.flush().unwrap();
    };
    say("begins", 0);
    let mut number = first;
    loop {
        let batch: Vec<Message> = (0..1 + number % 4)
            .map(|more| {
                sized(
                    number + more,
                    1000 + 20_000 * ((number + more) % 5) as usize,
                )
            })
            .collect();
        number += batch.len() as u64;
        store.append(&batch).unwrap();
        say("has", number);
        let stored = store.next("collector").unwrap().unwrap();
        store.acknowledge("collector", stored.sequence).unwrap();
        say("sent", stored.sequence);
    }
}

/// Whatever moment it is killed at, all that it said to be on disk is there, once and in order, and
/// the destination goes on where it was.
#[test]
fn what_was_appended_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = 0;
    let mut sent = 0;
    for round in 0..12u64 {
        let mut child = test_process(module_path!(), "appends_until_killed", folder.path(), first);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut has, mut said) = (first, 0);
        // Some rounds end right at the first append.
        let most = [1, 2, 9, 30][round as usize % 4];
        let mut take = |line: &str| {
            let mut words = line.strip_prefix("store ")?.split(' ');
            let (what, number) = (words.next()?, words.next()?.parse().ok()?);
            match what {
                "has" => has = number,
                "sent" => sent = number,
                _ => {}
            }
            Some(())
        };
        while said < most {
            let line = lines.next().unwrap().unwrap();
            said += u64::from(take(&line).is_some());
        }
        // Somewhere in the middle of what it does next.
        std::thread::sleep(Duration::from_micros(round * 397 % 3000));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines {
            take(&line.unwrap());
        }

        let store = open(folder.path());
        let found = numbers(folder.path());
        let all: Vec<u64> = (0..found.len() as u64).collect();
        assert_eq!(found, all);
        assert!(found.len() as u64 >= has, "{} of {has}", found.len());
        store.register("collector").unwrap();
        if let Some(next) = store.next("collector").unwrap() {
            // What was sent may be sent again if the kill came before it was noted.
            assert!(next.sequence == sent + 1 || next.sequence == sent + 2);
            assert_eq!(number(&next.message), next.sequence - 1);
        }
        first = found.len() as u64;
    }
    assert!(first > 50);
}

/// A crash before the first acknowledgement loses nothing.
#[test]
fn a_destination_is_known_from_its_registration_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = test_process(module_path!(), "registers_and_waits", folder.path(), 0);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines
        .find(|line| line.as_ref().unwrap() == "waits")
        .unwrap()
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let store = open(folder.path());
    store.append(&messages(2..3)).unwrap();
    store.register("collector").unwrap();
    assert_eq!(drain(&store, "collector"), [1, 2]);
}

/// Not a test by itself.
#[test]
fn registers_and_waits() {
    let Some((folder, _)) = task() else {
        return;
    };
    let store = open(&folder);
    store.append(&messages(0..1)).unwrap();
    store.register("collector").unwrap();
    store.append(&messages(1..2)).unwrap();
    println!("\nwaits");
    loop {
        std::thread::park();
    }
}
