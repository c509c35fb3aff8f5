//! Where one version of CPython keeps what the walk and its validation read.

mod debug;
mod table;

use agent_common::python::{CODE_BYTES, FRAME_BYTES, PythonOffsets, TSTATE_BYTES, chain};

use super::unfit::Unfit;
use super::version::Version;

pub(super) use debug::{COOKIE, header as debug_header};

/// Bytes of the longest `_Py_DebugOffsets` known (888 in 3.15), rounded up.
pub(super) const DEBUG_OFFSETS_BYTES: usize = 1024;

/// Offsets of one version: those that the kernel side uses, and those that only the validation
/// needs. How a thread finds its state and where the runtime lies is added on a live process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub offsets: PythonOffsets,
    /// `_PyRuntime.interpreters.head`
    pub interpreters_head: u64,
    /// `PyInterpreterState.next`, `.threads.head`
    pub interpreter_next: u64,
    pub threads_head: u64,
    /// `PyThreadState.next`
    pub tstate_next: usize,
    /// `PyObject.ob_type`, `PyVarObject.ob_size`, `PyTypeObject.tp_name`
    pub object_type: usize,
    pub object_size: usize,
    pub type_name: u64,
    /// `PyCodeObject.co_code`, a bytes object of its own before 3.11.
    pub code_bytes: Option<usize>,
    /// Where `autoTSSkey._key` stood in the builds that were looked at. It drifts within a minor
    /// version, thus is the last of several hints.
    pub key_offset: Option<u32>,
}

/// Where the offsets of a layout come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutSource {
    /// The interpreter's own `_Py_DebugOffsets`.
    DebugOffsets,
    /// A table of ours: the version publishes none.
    Table,
}

/// The offsets that the kernel side walks with, by name: `object.member`, as far as the version
/// has such a member.
pub fn named(offsets: &PythonOffsets) -> Vec<(&'static str, u16)> {
    let it = offsets;
    let all = [
        ("tstate.interp", it.tstate_interp),
        ("tstate.frame", it.tstate_frame),
        ("tstate.cframe", it.tstate_cframe),
        ("tstate.thread_id", it.tstate_thread_id),
        ("cframe.current", it.cframe_current),
        ("cframe.previous", it.cframe_previous),
        ("frame.code", it.frame_code),
        ("frame.previous", it.frame_previous),
        ("frame.instruction", it.frame_instruction),
        ("frame.owner", it.frame_owner),
        ("frame.is_entry", it.frame_is_entry),
        ("code.first_line", it.code_first_line),
        ("code.filename", it.code_filename),
        ("code.name", it.code_name),
        ("code.qualname", it.code_qualname),
        ("code.linetable", it.code_linetable),
        ("code.instructions", it.code_instructions),
        ("unicode.length", it.unicode_length),
        ("unicode.state", it.unicode_state),
        ("unicode.ascii", it.unicode_ascii),
        ("unicode.compact", it.unicode_compact),
        ("bytes.size", it.bytes_size),
        ("bytes.data", it.bytes_data),
    ];
    // 0 stands for a member that a version does not have, but for the first one of an object.
    let first = |name: &str| match name {
        "cframe.current" | "frame.code" => it.chain == chain::CFRAME_SHIM,
        "frame.previous" => it.chain == chain::SHIM,
        _ => false,
    };
    all.into_iter()
        .filter(|(name, offset)| *offset != 0 || first(name))
        .collect()
}

impl Layout {
    pub fn source(&self) -> LayoutSource {
        if self.offsets.chain == chain::SHIM {
            LayoutSource::DebugOffsets
        } else {
            LayoutSource::Table
        }
    }

    /// The layout of a build with the GIL. `image` is what the file holds at `_PyRuntime`, empty
    /// where it holds nothing.
    pub fn of(version: Version, image: &[u8]) -> Result<Self, Unfit> {
        let mut layout = match version.minor() {
            _ if version.major() != 3 => return Err(Unfit::UnsupportedVersion(version)),
            8..=12 => table::layout(version),
            13..=15 => debug::layout(version, image)?,
            _ => return Err(Unfit::UnsupportedVersion(version)),
        };
        layout.offsets.version = version.hex();
        check_reach(&layout)?;
        Ok(layout)
    }
}

/// Every member must lie in the part of its object that the kernel side reads.
fn check_reach(layout: &Layout) -> Result<(), Unfit> {
    let it = &layout.offsets;
    let members = [
        ("PyThreadState.interp", it.tstate_interp, 8, TSTATE_BYTES),
        ("PyThreadState.frame", it.tstate_frame, 8, TSTATE_BYTES),
        ("PyThreadState.cframe", it.tstate_cframe, 8, TSTATE_BYTES),
        (
            "PyThreadState.thread_id",
            it.tstate_thread_id,
            8,
            TSTATE_BYTES,
        ),
        ("frame.code", it.frame_code, 8, FRAME_BYTES),
        ("frame.previous", it.frame_previous, 8, FRAME_BYTES),
        ("frame.instruction", it.frame_instruction, 8, FRAME_BYTES),
        ("frame.owner", it.frame_owner, 1, FRAME_BYTES),
        ("frame.is_entry", it.frame_is_entry, 1, FRAME_BYTES),
        (
            "PyCodeObject.co_firstlineno",
            it.code_first_line,
            4,
            CODE_BYTES,
        ),
        ("PyCodeObject.co_filename", it.code_filename, 8, CODE_BYTES),
        ("PyCodeObject.co_name", it.code_name, 8, CODE_BYTES),
        ("PyCodeObject.co_qualname", it.code_qualname, 8, CODE_BYTES),
        (
            "PyCodeObject.co_linetable",
            it.code_linetable,
            8,
            CODE_BYTES,
        ),
    ];
    for (name, offset, size, reach) in members {
        if usize::from(offset) + size > reach {
            return Err(Unfit::FieldOutOfReach {
                name,
                offset: offset.into(),
            });
        }
    }
    Ok(())
}
