//! Checks a layout on a live process: whatever is read with it must be what it is taken for.

use agent_common::cut::PythonEnd;
use agent_common::python::{CODE_BYTES, PythonOffsets, TSTATE_BYTES};

use super::memory::{Memory, MemoryExt, field, i32_at, u64_at};
use super::offsets::Layout;
use super::unfit::Unfit;
use super::walk::{self, Frame};

/// Most interpreters, and thread states of all of them, that are looked at.
const MAX_INTERPRETERS: usize = 64;
const MAX_THREADS: usize = 4096;
/// Most steps of a thread's walk, and most of its frames that are checked.
const MAX_STEPS: usize = 4096;
const MAX_CHECKED: usize = 64;
/// Largest text, table and line number that are believed.
const MAX_LENGTH: u64 = 1 << 28;
const MAX_LINE: i32 = 1 << 28;

/// A thread state in an interpreter's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ThreadState {
    pub avma: u64,
    pub interpreter: u64,
    /// `pthread_self()` of its thread; 0 while it has none.
    pub thread_id: u64,
}

/// All thread states of the runtime at `runtime` (avma).
pub(super) fn threads(
    memory: &dyn Memory,
    layout: &Layout,
    runtime: u64,
) -> Result<Vec<ThreadState>, Unfit> {
    let mut found = Vec::new();
    let mut interpreter = memory.u64(runtime.wrapping_add(layout.interpreters_head))?;
    for _ in 0..MAX_INTERPRETERS {
        if interpreter == 0 {
            break;
        }
        let head = interpreter.wrapping_add(layout.threads_head);
        let mut tstate = memory.u64(head)?;
        while tstate != 0 && found.len() < MAX_THREADS {
            let state: [u8; TSTATE_BYTES] = memory.array(tstate)?;
            let word = |at: usize| u64_at(&state, at).unwrap_or_default();
            if word(layout.offsets.tstate_interp.into()) != interpreter {
                return Err(Unfit::BackPointer);
            }
            let thread_id = word(layout.offsets.tstate_thread_id.into());
            found.push(ThreadState {
                avma: tstate,
                interpreter,
                thread_id,
            });
            tstate = word(layout.tstate_next);
        }
        interpreter = memory.u64(interpreter.wrapping_add(layout.interpreter_next))?;
    }
    if found.is_empty() {
        Err(Unfit::NotInitialised)
    } else {
        Ok(found)
    }
}

/// Checks the frames of one thread; says how many it has.
pub(super) fn frames(
    memory: &dyn Memory,
    layout: &Layout,
    thread: &ThreadState,
) -> Result<usize, Unfit> {
    let walk = walk::walk(memory, &layout.offsets, thread.avma, MAX_STEPS);
    if !matches!(walk.end, PythonEnd::Root | PythonEnd::TooDeep) {
        return Err(Unfit::FrameChain);
    }
    let frames: Vec<&Frame> = walk.frames().collect();
    let mut avmas: Vec<u64> = frames.iter().map(|frame| frame.avma).collect();
    avmas.sort_unstable();
    if avmas.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Unfit::FrameChain);
    }
    // The outermost frames change least while they are read.
    let mut objects = Objects {
        memory,
        layout,
        types: Vec::new(),
    };
    for frame in frames.iter().rev().take(MAX_CHECKED) {
        objects.check_frame(frame)?;
    }
    Ok(frames.len())
}

/// Objects of a process, and the types known so far by address.
struct Objects<'a> {
    memory: &'a dyn Memory,
    layout: &'a Layout,
    types: Vec<(u64, &'static str)>,
}

impl Objects<'_> {
    fn check_frame(&mut self, frame: &Frame) -> Result<(), Unfit> {
        let offsets = &self.layout.offsets;
        let code: [u8; CODE_BYTES] = self.memory.array(frame.code)?;
        let pointer = |at: u16| u64_at(&code, at.into()).unwrap_or_default();
        if !self.is_type(pointer(self.layout.object_type as u16), "code")? {
            return Err(Unfit::CodeType);
        }
        for text in [
            offsets.code_filename,
            offsets.code_name,
            offsets.code_qualname,
        ] {
            self.check_text(pointer(text))?;
        }
        self.bytes_length(pointer(offsets.code_linetable))?;
        let first_line = i32_at(&code, offsets.code_first_line.into()).unwrap_or(-1);
        if !(0..MAX_LINE).contains(&first_line) {
            return Err(Unfit::FirstLine);
        }
        let size = match self.layout.code_bytes {
            Some(at) => self.bytes_length(u64_at(&code, at).unwrap_or_default())?,
            // Code units of 2 bytes follow the object itself.
            None => pointer(self.layout.object_size as u16).saturating_mul(2),
        };
        // One unit before the first instruction: not started.
        let first = -i64::from(instruction_unit(offsets));
        let past = i64::try_from(size).unwrap_or(0);
        if !(first..past).contains(&frame.instruction.into()) {
            return Err(Unfit::Instruction);
        }
        Ok(())
    }

    /// A `str` whose characters follow the object.
    fn check_text(&mut self, text: u64) -> Result<(), Unfit> {
        let offsets = &self.layout.offsets;
        let object: [u8; 64] = self.memory.array(text)?;
        let word = |at: usize| u64_at(&object, at).unwrap_or_default();
        let state = field(&object, offsets.unicode_state.into()).map(u32::from_le_bytes);
        let compact = state.is_some_and(|state| state & super::text::COMPACT != 0);
        let short = word(offsets.unicode_length.into()) < MAX_LENGTH;
        if self.is_type(word(self.layout.object_type), "str")? && compact && short {
            Ok(())
        } else {
            Err(Unfit::TextType)
        }
    }

    /// Length of a `bytes` object.
    fn bytes_length(&mut self, bytes: u64) -> Result<u64, Unfit> {
        let object: [u8; 32] = self.memory.array(bytes)?;
        let length = u64_at(&object, self.layout.offsets.bytes_size.into());
        let length = length
            .filter(|length| *length < MAX_LENGTH)
            .ok_or(Unfit::BytesType)?;
        let type_object = u64_at(&object, self.layout.object_type).unwrap_or_default();
        if self.is_type(type_object, "bytes")? {
            Ok(length)
        } else {
            Err(Unfit::BytesType)
        }
    }

    /// Whether the type object at `type_object` has that name. No two types are taken for one.
    fn is_type(&mut self, type_object: u64, name: &'static str) -> Result<bool, Unfit> {
        if let Some((known, _)) = self.types.iter().find(|(_, it)| *it == name) {
            return Ok(*known == type_object);
        }
        let text = self
            .memory
            .u64(type_object.wrapping_add(self.layout.type_name))?;
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..name.len() + 1];
        self.memory.read(text, bytes)?;
        let matches = bytes.split_last() == Some((&0, name.as_bytes()));
        if matches {
            self.types.push((type_object, name));
        }
        Ok(matches)
    }
}

/// Bytes that an instruction pointer stands before the code of a frame that was not started.
fn instruction_unit(offsets: &PythonOffsets) -> i32 {
    if offsets.code_instructions == 0 {
        offsets.instruction_scale.into()
    } else {
        2
    }
}
