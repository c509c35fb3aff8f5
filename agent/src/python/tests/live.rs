//! Detection, derivation and the reference walk on live interpreters.

use std::collections::HashMap;
use std::time::Instant;

use agent_common::cut::PythonEnd;
use agent_common::python::{PythonOffsets, chain, thread};

use super::interpreters::{Interpreter, installed};
use super::target::{Target, derive_in, describe, find};
use crate::python::memory::{Memory, MemoryExt};
use crate::python::reader::ProcessMemory;
use crate::python::walk::{Step, walk};
use crate::python::{derive, hold_for_file};

/// The `PyThreadState` of a thread by the derived rule, as the kernel side finds it.
fn thread_state(
    memory: &dyn Memory,
    offsets: &PythonOffsets,
    runtime: u64,
    thread_pointer: u64,
) -> u64 {
    let slot = thread_pointer.wrapping_add_signed(offsets.thread_base.into());
    match offsets.thread {
        thread::GLIBC_KEY => {
            let key = memory
                .array(runtime + u64::from(offsets.key_offset))
                .unwrap();
            memory
                .u64(slot + 16 * u64::from(u32::from_le_bytes(key)) + 8)
                .unwrap()
        }
        _ => memory.u64(slot).unwrap(),
    }
}

fn expected_chain(minor: u8) -> u8 {
    match minor {
        ..=9 => chain::FRAME,
        10 => chain::FRAME_CFRAME,
        11 => chain::CFRAME_ENTRY,
        12 => chain::CFRAME_SHIM,
        _ => chain::SHIM,
    }
}

/// `autoTSSkey._key` according to the debug information of the same builds.
fn expected_key(interpreter: &Interpreter) -> u32 {
    [1396, 588, 588, 596, 1548, 2164, 2340, 0][usize::from(interpreter.minor) - 8]
}

#[test]
fn stacks_of_sleeping_threads_are_read_exactly() {
    for interpreter in installed("live") {
        let mut target = Target::spawn(&interpreter, &[]);
        let mut reports = target.lines_to("READY");
        reports.extend(target.lines_to("THREAD"));
        // The main thread sleeps right after its report.
        std::thread::sleep(std::time::Duration::from_millis(200));
        let name = interpreter.name;
        let (binary, bias, offsets) = derive_in(target.pid());
        let offsets = offsets.unwrap_or_else(|unfit| panic!("{name}: {unfit}"));
        let version = binary.version.unwrap();
        assert_eq!(
            reports[0],
            format!("VERSION {}", version.hex()),
            "{name}: {version}"
        );
        assert!(
            version.is(interpreter.minor) && offsets.version == version.hex(),
            "{name}"
        );
        assert_eq!(offsets.chain, expected_chain(interpreter.minor), "{name}");
        assert_eq!(offsets.key_offset, expected_key(&interpreter), "{name}");
        let by_key = interpreter.minor < 15;
        let kind = if by_key {
            thread::GLIBC_KEY
        } else {
            thread::STATIC_TLS
        };
        assert_eq!(offsets.thread, kind, "{name}");
        assert!(hold_for_file(&binary, &offsets), "{name}");
        assert_eq!(
            !binary.eval_loop.is_empty(),
            interpreter.minor <= 10,
            "{name}"
        );

        let memory = ProcessMemory::new(target.pid());
        let runtime = binary.runtime.wrapping_add(bias);
        let mut frames = 0;
        let mut threads = 0;
        for report in reports
            .iter()
            .filter_map(|line| line.strip_prefix("THREAD "))
        {
            let (thread_id, stack) = report.split_once(' ').unwrap();
            let thread_pointer = thread_id.parse().unwrap();
            let tstate = thread_state(&memory, &offsets, runtime, thread_pointer);
            let walked = walk(&memory, &offsets, tstate, 2000);
            assert_eq!(walked.end, PythonEnd::Root, "{name}");
            let found: Vec<String> = walked
                .frames()
                .map(|frame| describe(&memory, &offsets, frame.code, frame.instruction))
                .collect();
            let expected: Vec<String> = stack.split(';').map(shortened).collect();
            assert_eq!(found, expected, "{name}");
            check_anchors(&offsets, &walked.steps, tstate, thread_pointer);
            frames += found.len();
            threads += 1;
        }
        assert_eq!(threads, 9, "{name}");
        println!(
            "live: {name}: {version}, chain {}, thread rule {} at {} with the key at {}, \
             {threads} threads, {frames} frames with name, line and file as sys._getframe says",
            offsets.chain, offsets.thread, offsets.thread_base, offsets.key_offset
        );
    }
}

/// Names longer than a record holds are cut, and say so.
fn shortened(frame: &str) -> String {
    let (name, rest) = frame.split_once('|').unwrap();
    if name.len() <= 240 {
        frame.to_owned()
    } else {
        format!("{}…|{rest}", &name[..240])
    }
}

/// Anchors lie in the thread's stack, outer ones higher, and each frame belongs to one. The stack of
/// every thread but the first lies below its control block.
fn check_anchors(offsets: &PythonOffsets, steps: &[Step], tstate: u64, thread_pointer: u64) {
    let anchor = |step: &Step| match step {
        Step::Anchor(avma) => Some(*avma),
        Step::Frame(_) => None,
    };
    let mut anchors: Vec<u64> = steps.iter().filter_map(anchor).collect();
    if offsets.chain == chain::FRAME {
        assert!(anchors.is_empty());
        return;
    }
    assert!(steps.last().is_some_and(|step| anchor(step).is_some()));
    if offsets.chain == chain::FRAME_CFRAME {
        assert_eq!(anchors.len() * 2, steps.len());
    }
    if offsets.version >> 16 >= 0x30F {
        // 3.15's `base_frame`, a part of the thread state below all activations.
        let base = anchors.pop().unwrap();
        assert!(base.wrapping_sub(tstate) < 4096, "{base:#x}");
        assert!(
            steps[..steps.len() - 1]
                .last()
                .is_some_and(|step| anchor(step).is_some())
        );
    }
    assert!(anchors.is_sorted(), "{anchors:#x?}");
    let below = anchors
        .iter()
        .all(|anchor| thread_pointer.wrapping_sub(*anchor) < 64 << 20);
    // The first thread's stack is elsewhere.
    let first = anchors
        .iter()
        .all(|anchor| *anchor > 0x7ff0_0000_0000 && *anchor < 1 << 47);
    assert!(below || first, "{thread_pointer:#x}: {anchors:#x?}");
}

#[test]
fn a_busy_process_is_confirmed_too() {
    for interpreter in installed("busy") {
        let mut target = Target::spawn(&interpreter, &["busy"]);
        target.lines_to("READY");
        let (binary, bias) = find(target.pid()).unwrap();
        let memory = ProcessMemory::new(target.pid());
        let mut failures: HashMap<&str, u32> = HashMap::new();
        let runs = 200;
        let started = Instant::now();
        for _ in 0..runs {
            if let Err(unfit) = derive(&binary, &memory, bias) {
                *failures.entry(unfit.name()).or_default() += 1;
            }
        }
        println!(
            "busy: {}: {runs} derivations, {:?} each, failures {failures:?}",
            interpreter.name,
            started.elapsed() / runs
        );
        assert!(
            failures.values().sum::<u32>() * 20 <= runs,
            "{}: {failures:?}",
            interpreter.name
        );
    }
}

/// From exec on until the interpreter runs: every answer is "not yet" or right.
#[test]
fn a_starting_process_is_never_taken_wrongly() {
    for interpreter in installed("starting") {
        let target = Target::spawn(&interpreter, &[]);
        let mut seen: HashMap<&str, u32> = HashMap::new();
        let mut binary = None;
        for _ in 0..200_000 {
            let Some((binary, bias)) = binary.as_ref() else {
                binary = find(target.pid());
                continue;
            };
            match derive(binary, &ProcessMemory::new(target.pid()), *bias) {
                Err(unfit) => {
                    assert!(!unfit.is_final(), "{}: {unfit}", interpreter.name);
                    *seen.entry(unfit.name()).or_default() += 1;
                }
                Ok(offsets) => {
                    assert_eq!(offsets.key_offset, expected_key(&interpreter));
                    *seen.entry("ready").or_default() += 1;
                    break;
                }
            }
        }
        println!("starting: {}: {seen:?}", interpreter.name);
        assert_eq!(
            seen.get("ready"),
            Some(&1),
            "{}: {seen:?}",
            interpreter.name
        );
    }
}

fn value(reports: &[String], key: &str) -> Option<u64> {
    let found = reports.iter().find_map(|line| line.strip_prefix(key));
    found.map(|value| value.trim().parse().unwrap())
}

#[test]
fn a_forked_child_is_confirmed() {
    for interpreter in installed("child") {
        let mut target = Target::spawn(&interpreter, &["busy", "fork"]);
        let reports = target.lines_to("READY");
        let child = u32::try_from(value(&reports, "CHILD ").unwrap()).unwrap();
        let (_, _, offsets) = derive_in(child);
        // SAFETY: a signal to the child that the target made and does not reap before it ends.
        unsafe { libc::kill(child as i32, libc::SIGKILL) };
        let offsets = offsets.unwrap_or_else(|unfit| panic!("{}: {unfit}", interpreter.name));
        assert_eq!(
            offsets.key_offset,
            expected_key(&interpreter),
            "{}",
            interpreter.name
        );
    }
}

/// A thread that runs in a subinterpreter has two states. From 3.12 on its key names the one that
/// runs; before, the one that was first bound to the thread, whose frames are the outer ones.
#[test]
fn subinterpreters_do_not_disturb() {
    for interpreter in installed("interpreters") {
        let mut target = Target::spawn(&interpreter, &["busy", "interpreter"]);
        let reports = target.lines_to("READY");
        let (binary, bias, offsets) = derive_in(target.pid());
        let offsets = offsets.unwrap_or_else(|unfit| panic!("{}: {unfit}", interpreter.name));
        assert_eq!(
            offsets.key_offset,
            expected_key(&interpreter),
            "{}",
            interpreter.name
        );
        let pointer = value(&reports, "INTERPRETER ").unwrap();
        let memory = ProcessMemory::new(target.pid());
        let runtime = binary.runtime.wrapping_add(bias);
        let tstate = thread_state(&memory, &offsets, runtime, pointer);
        let walked = walk(&memory, &offsets, tstate, 100);
        assert_eq!(walked.end, PythonEnd::Root, "{}", interpreter.name);
        let names: Vec<String> = walked
            .frames()
            .map(|frame| describe(&memory, &offsets, frame.code, frame.instruction))
            .collect();
        println!("interpreters: {}: {names:?}", interpreter.name);
        let inner = if interpreter.minor < 12 {
            "in_interpreter|"
        } else {
            "<module>|3|"
        };
        assert!(
            names[0].starts_with(inner),
            "{}: {names:?}",
            interpreter.name
        );
    }
}
