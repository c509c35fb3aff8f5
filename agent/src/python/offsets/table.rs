//! Layouts of 3.8 to 3.12, which publish none themselves. x86-64 release builds; each number was
//! read off the debug information of the builds named in `tests/live.rs`, and is confirmed on every
//! process before use.

use agent_common::python::{PythonOffsets, chain};

use super::Layout;
use crate::python::version::Version;

/// The layout of a version from 3.8 to 3.12.
pub(super) fn layout(version: Version) -> Layout {
    let offsets = match version.minor() {
        ..=10 => frame_objects(version),
        11 => python_3_11(),
        _ => python_3_12(),
    };
    let minor = version.minor();
    Layout {
        offsets,
        interpreters_head: if minor >= 11 { 40 } else { 32 },
        interpreter_next: 0,
        threads_head: match minor {
            ..=10 => 8,
            11 => 16,
            _ => 72,
        },
        tstate_next: 8,
        object_type: 8,
        object_size: 16,
        type_name: 24,
        code_bytes: (minor < 11).then_some(48),
        key_offset: Some(match minor {
            8 => 1396,
            9 | 10 => 588,
            11 => 596,
            _ => 1548,
        }),
    }
}

/// `str` and `bytes`, the same from 3.8 to 3.11.
fn objects() -> PythonOffsets {
    PythonOffsets {
        pointer_mask: !0,
        instruction_scale: 1,
        tstate_interp: 16,
        unicode_length: 16,
        unicode_state: 32,
        unicode_ascii: 48,
        unicode_compact: 72,
        bytes_size: 16,
        bytes_data: 32,
        ..PythonOffsets::default()
    }
}

/// 3.8 to 3.10: a `PyFrameObject` for every call.
fn frame_objects(version: Version) -> PythonOffsets {
    let new = version.is(10);
    PythonOffsets {
        chain: if new {
            chain::FRAME_CFRAME
        } else {
            chain::FRAME
        },
        // f_lasti counts units of two bytes in 3.10, bytes before.
        instruction_scale: if new { 2 } else { 1 },
        tstate_frame: 24,
        tstate_cframe: if new { 48 } else { 0 },
        tstate_thread_id: 176,
        cframe_previous: 8,
        frame_previous: 24,
        frame_code: 32,
        frame_instruction: if new { 96 } else { 104 },
        code_first_line: 40,
        code_filename: 104,
        code_name: 112,
        code_qualname: 112,
        code_linetable: 120,
        ..objects()
    }
}

fn python_3_11() -> PythonOffsets {
    PythonOffsets {
        chain: chain::CFRAME_ENTRY,
        tstate_frame: 56,
        tstate_thread_id: 152,
        cframe_current: 8,
        cframe_previous: 16,
        frame_code: 32,
        frame_previous: 48,
        frame_instruction: 56,
        frame_is_entry: 68,
        frame_owner: 69,
        code_first_line: 72,
        code_filename: 112,
        code_name: 120,
        code_qualname: 128,
        code_linetable: 136,
        code_instructions: 184,
        ..objects()
    }
}

fn python_3_12() -> PythonOffsets {
    PythonOffsets {
        chain: chain::CFRAME_SHIM,
        tstate_frame: 56,
        tstate_thread_id: 136,
        cframe_current: 0,
        cframe_previous: 8,
        frame_code: 0,
        frame_previous: 8,
        frame_instruction: 56,
        frame_owner: 70,
        code_first_line: 68,
        code_filename: 112,
        code_name: 120,
        code_qualname: 128,
        code_linetable: 136,
        code_instructions: 192,
        unicode_ascii: 40,
        unicode_compact: 56,
        ..objects()
    }
}
