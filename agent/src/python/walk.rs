//! The walk over a thread's Python frames as the kernel side does it, here over any [`Memory`]:
//! the reference that the kernel side is compared with, and what validation runs.

use agent_common::cut::PythonEnd;
use agent_common::python::{FRAME_BYTES, OWNER_C, PythonOffsets, TSTATE_BYTES, chain};

use super::memory::{Memory, MemoryExt, ReadError, i32_at, u64_at};

/// No `PyThreadState` of 3.10 is longer (280 bytes there), and no native stack begins so near to one.
const TSTATE_REACH: u64 = 512;

/// One step of the walk, innermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Frame(Frame),
    /// avma of an object that an activation of the evaluation loop keeps in its native frame. In
    /// 3.10 (`FRAME_CFRAME`) all anchors follow all frames; else an activation's anchor follows its
    /// frames.
    Anchor(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub avma: u64,
    /// avma of the code object.
    pub code: u64,
    /// Byte offset of the instruction in the code; -1 or -2: not started; lower: not in this code.
    pub instruction: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    pub steps: Vec<Step>,
    pub end: PythonEnd,
}

impl Walk {
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.steps.iter().filter_map(|step| match step {
            Step::Frame(frame) => Some(frame),
            Step::Anchor(_) => None,
        })
    }

    pub fn anchors(&self) -> impl Iterator<Item = u64> {
        self.steps.iter().filter_map(|step| match step {
            Step::Frame(_) => None,
            Step::Anchor(avma) => Some(*avma),
        })
    }
}

/// Walks the frames of the thread state at `tstate`, at most `limit` steps.
pub fn walk(memory: &dyn Memory, offsets: &PythonOffsets, tstate: u64, limit: usize) -> Walk {
    let mut walker = Walker {
        memory,
        offsets,
        steps: Vec::new(),
        limit,
    };
    let end = match walker.run(tstate) {
        Ok(end) => end,
        Err(ReadError { .. }) => PythonEnd::Unreadable,
    };
    Walk {
        steps: walker.steps,
        end,
    }
}

struct Walker<'a> {
    memory: &'a dyn Memory,
    offsets: &'a PythonOffsets,
    steps: Vec<Step>,
    limit: usize,
}

impl Walker<'_> {
    fn run(&mut self, tstate: u64) -> Result<PythonEnd, ReadError> {
        let state: [u8; TSTATE_BYTES] = self.memory.array(tstate)?;
        let pointer = |at: u16| u64_at(&state, at.into()).unwrap_or_default();
        let first = pointer(self.offsets.tstate_frame);
        match self.offsets.chain {
            chain::FRAME => self.frames(first),
            chain::FRAME_CFRAME => match self.frames(first)? {
                PythonEnd::Root => self.cframes(tstate, pointer(self.offsets.tstate_cframe)),
                end => Ok(end),
            },
            chain::CFRAME_ENTRY => self.entries(first),
            chain::CFRAME_SHIM => {
                let current = u64::from(self.offsets.cframe_current);
                let frame = self.memory.u64(first.wrapping_add(current))?;
                self.frames(frame)
            }
            chain::SHIM => self.frames(first),
            _ => Ok(PythonEnd::None),
        }
    }

    /// Frames from `frame` on to the end of the chain.
    fn frames(&mut self, mut frame: u64) -> Result<PythonEnd, ReadError> {
        let shims = matches!(self.offsets.chain, chain::CFRAME_SHIM | chain::SHIM);
        while frame != 0 {
            if self.steps.len() >= self.limit {
                return Ok(PythonEnd::TooDeep);
            }
            let bytes: [u8; FRAME_BYTES] = self.memory.array(frame)?;
            if shims && bytes[usize::from(self.offsets.frame_owner) % FRAME_BYTES] >= OWNER_C {
                self.steps.push(Step::Anchor(frame));
            } else if !self.push(frame, &bytes) {
                return Ok(PythonEnd::BadChain);
            }
            frame = self.previous(&bytes);
        }
        Ok(PythonEnd::Root)
    }

    /// 3.10: one `CFrame` an activation. The outermost is `root_cframe`, a part of the thread state
    /// that belongs to no activation and whose `previous` is never set (`new_threadstate` of 3.10).
    fn cframes(&mut self, tstate: u64, mut cframe: u64) -> Result<PythonEnd, ReadError> {
        while cframe.wrapping_sub(tstate) >= TSTATE_REACH {
            if self.steps.len() >= self.limit {
                return Ok(PythonEnd::TooDeep);
            }
            self.steps.push(Step::Anchor(cframe));
            let previous = u64::from(self.offsets.cframe_previous);
            cframe = self.memory.u64(cframe.wrapping_add(previous))?;
        }
        Ok(PythonEnd::Root)
    }

    /// 3.11: the frames of an activation end with one that says so; the next `CFrame` is its
    /// anchor.
    fn entries(&mut self, mut cframe: u64) -> Result<PythonEnd, ReadError> {
        let current = u64::from(self.offsets.cframe_current);
        let mut frame = self.memory.u64(cframe.wrapping_add(current))?;
        while frame != 0 {
            if self.steps.len() >= self.limit {
                return Ok(PythonEnd::TooDeep);
            }
            let bytes: [u8; FRAME_BYTES] = self.memory.array(frame)?;
            if !self.push(frame, &bytes) {
                return Ok(PythonEnd::BadChain);
            }
            if bytes[usize::from(self.offsets.frame_is_entry) % FRAME_BYTES] != 0 {
                self.steps.push(Step::Anchor(cframe));
                let previous = u64::from(self.offsets.cframe_previous);
                cframe = self.memory.u64(cframe.wrapping_add(previous))?;
            }
            frame = self.previous(&bytes);
        }
        Ok(PythonEnd::Root)
    }

    fn previous(&self, bytes: &[u8; FRAME_BYTES]) -> u64 {
        u64_at(bytes, self.offsets.frame_previous.into()).unwrap_or_default()
    }

    /// Adds a frame; false if it has no code.
    fn push(&mut self, avma: u64, bytes: &[u8; FRAME_BYTES]) -> bool {
        let offsets = self.offsets;
        let code = u64_at(bytes, offsets.frame_code.into()).unwrap_or_default();
        let code = code & offsets.pointer_mask;
        let at = usize::from(offsets.frame_instruction);
        let instruction = if offsets.code_instructions == 0 {
            // f_lasti, -1 before the first instruction.
            let index = i32_at(bytes, at).unwrap_or_default();
            index.saturating_mul(offsets.instruction_scale.into())
        } else {
            let start = code.wrapping_add(offsets.code_instructions.into());
            let distance = u64_at(bytes, at).unwrap_or_default().wrapping_sub(start);
            // Far off: not this code's.
            i32::try_from(distance as i64).unwrap_or(i32::MIN)
        };
        if code != 0 {
            self.steps.push(Step::Frame(Frame {
                avma,
                code,
                instruction,
            }));
        }
        code != 0
    }
}
