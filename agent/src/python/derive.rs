//! From a file and a live process of it to the offsets that the kernel side walks with.

use agent_common::python::{PythonOffsets, thread};

use super::detect::Binary;
use super::memory::Memory;
use super::offsets::Layout;
use super::thread_state::{self, KeySource};
use super::unfit::Unfit;
use super::validate::{self, ThreadState};

/// The process runs on while it is read, so that what is read may not fit together. A wrong layout
/// fails every time.
const ATTEMPTS: usize = 8;
/// Most threads whose frames are tried.
const MAX_TRIED: usize = 64;

/// How far it came, for people: what is set was found, and what is not was not reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Thread states in the interpreters' lists.
    pub threads: Option<usize>,
    /// Frames of the thread whose chain confirmed the layout.
    pub frames: Option<usize>,
    /// How `autoTSSkey` was found, where the thread state is kept under it.
    pub key: Option<KeySource>,
}

/// Offsets of the interpreter in `binary`, confirmed on a process where it is mapped with `bias`
/// (avma = svma + bias).
pub fn derive(binary: &Binary, memory: &dyn Memory, bias: u64) -> Result<PythonOffsets, Unfit> {
    derive_with(binary, memory, bias, &mut Findings::default())
}

/// The same, with what was found on the way.
pub fn derive_with(
    binary: &Binary,
    memory: &dyn Memory,
    bias: u64,
    findings: &mut Findings,
) -> Result<PythonOffsets, Unfit> {
    let layout = binary.layout.clone()?;
    let text_base = binary.text_base.ok_or(Unfit::TextSegments)?;
    let runtime = binary.runtime.wrapping_add(bias);
    let states = repeatedly(|| validate::threads(memory, &layout, runtime))?;
    findings.threads = Some(states.len());
    findings.frames = Some(check_frames(memory, &layout, &states)?);
    let rule = repeatedly(|| thread_state::find(memory, binary, &layout, runtime, &states))?;
    findings.key = rule.key;
    Ok(PythonOffsets {
        runtime: binary.runtime.wrapping_sub(text_base),
        thread: rule.thread,
        thread_base: rule.base,
        key_offset: rule.key_offset,
        ready: 1,
        ..layout.offsets
    })
}

/// Whether the offsets hold for every process of the file they were derived from. A library's place
/// in static TLS depends on what else its process was linked with.
pub fn hold_for_file(binary: &Binary, offsets: &PythonOffsets) -> bool {
    offsets.thread != thread::STATIC_TLS || binary.own_tls.is_some()
}

/// One thread whose whole chain is sound confirms the layout, which is the same for all; a thread
/// that runs meanwhile may present half of a change. Gives how many frames it has.
fn check_frames(
    memory: &dyn Memory,
    layout: &Layout,
    states: &[ThreadState],
) -> Result<usize, Unfit> {
    let mut unfit = Unfit::NoFrames;
    for _ in 0..ATTEMPTS {
        for thread in states.iter().take(MAX_TRIED) {
            match validate::frames(memory, layout, thread) {
                Ok(0) => {}
                Ok(frames) => return Ok(frames),
                Err(error) => unfit = error,
            }
        }
        if unfit == Unfit::NoFrames {
            break;
        }
    }
    Err(unfit)
}

fn repeatedly<T>(mut attempt: impl FnMut() -> Result<T, Unfit>) -> Result<T, Unfit> {
    let mut result = attempt();
    for _ in 1..ATTEMPTS {
        match result {
            Ok(_) | Err(Unfit::NotInitialised) => break,
            Err(_) => result = attempt(),
        }
    }
    result
}
