//! `_Py_DebugOffsets`: what 3.13 and later publish at the start of `_PyRuntime`, in the file and in
//! memory alike. A cookie, the version, a free-threaded flag, then one u64 an offset; which offset
//! stands where differs between minor versions (CPython, Include/internal/pycore_debug_offsets.h).

use agent_common::python::{PythonOffsets, chain};

use super::Layout;
use crate::python::memory::u64_at;
use crate::python::unfit::Unfit;
use crate::python::version::Version;

pub(in crate::python) const COOKIE: [u8; 8] = *b"xdebugpy";

/// Version and free-threaded flag, if debug offsets begin here.
pub(in crate::python) fn header(image: &[u8]) -> Option<(Version, bool)> {
    if !image.starts_with(&COOKIE) {
        return None;
    }
    let version = u32::try_from(u64_at(image, 8)?).ok()?;
    Some((Version::from_hex(version), u64_at(image, 16)? != 0))
}

/// Where the offsets that the walk needs stand in the table of one minor version.
struct Places {
    interpreter_state: usize,
    thread_state: usize,
    /// `thread_id` within the thread-state part: 3.15 inserts three before it.
    thread_id: usize,
    frame: usize,
    code: usize,
    object: usize,
    type_object: usize,
    bytes: usize,
    unicode: usize,
}

fn places(version: Version) -> Places {
    match version.minor() {
        13 => Places {
            interpreter_state: 48,
            thread_state: 152,
            thread_id: 40,
            frame: 224,
            code: 272,
            object: 352,
            type_object: 368,
            bytes: 512,
            unicode: 536,
        },
        14 => Places {
            interpreter_state: 48,
            thread_state: 176,
            thread_id: 40,
            frame: 248,
            code: 312,
            object: 400,
            type_object: 416,
            bytes: 592,
            unicode: 616,
        },
        _ => Places {
            interpreter_state: 48,
            thread_state: 176,
            thread_id: 64,
            frame: 312,
            code: 376,
            object: 464,
            type_object: 480,
            bytes: 688,
            unicode: 712,
        },
    }
}

/// No structure that is read is longer, so no offset is greater. (`PyInterpreterState` is 195 to
/// 226 KB.)
const MAX_OFFSET: u64 = 1 << 20;

struct Table<'a>(&'a [u8]);

impl Table<'_> {
    /// The offset published at byte `at` of the table.
    fn get(&self, name: &'static str, at: usize) -> Result<u64, Unfit> {
        let offset = u64_at(self.0, at).ok_or(Unfit::DebugOffsets)?;
        if offset >= MAX_OFFSET {
            return Err(Unfit::FieldOutOfReach { name, offset });
        }
        Ok(offset)
    }

    fn small(&self, name: &'static str, at: usize) -> Result<u16, Unfit> {
        let offset = self.get(name, at)?;
        u16::try_from(offset).map_err(|_| Unfit::FieldOutOfReach { name, offset })
    }
}

/// The layout of a version from 3.13 to 3.15 (3.15's final layout could still change).
pub(super) fn layout(version: Version, image: &[u8]) -> Result<Layout, Unfit> {
    let (published, free_threaded) = header(image).ok_or(Unfit::DebugOffsets)?;
    if published != version {
        return Err(Unfit::DebugOffsets);
    }
    if free_threaded {
        return Err(Unfit::FreeThreaded(version));
    }
    let at = places(version);
    let table = Table(image);
    let ascii = table.small("sizeof(PyASCIIObject)", at.unicode + 24)?;
    let compact = if version.since(15) {
        table.small("sizeof(PyCompactUnicodeObject)", at.unicode + 32)?
    } else {
        // utf8_length and utf8 follow PyASCIIObject; the size is published from 3.15 on.
        ascii.saturating_add(16)
    };
    let offsets = PythonOffsets {
        chain: chain::SHIM,
        // 3.14 tags references in the low two bits (Py_TAG_BITS), frames' code among them.
        pointer_mask: if version.since(14) { !3 } else { !0 },
        instruction_scale: 1,
        tstate_interp: table.small("PyThreadState.interp", at.thread_state + 24)?,
        tstate_frame: table.small("PyThreadState.current_frame", at.thread_state + 32)?,
        tstate_thread_id: table.small("PyThreadState.thread_id", at.thread_state + at.thread_id)?,
        frame_previous: table.small("frame.previous", at.frame + 8)?,
        frame_code: table.small("frame.executable", at.frame + 16)?,
        frame_instruction: table.small("frame.instr_ptr", at.frame + 24)?,
        frame_owner: table.small("frame.owner", at.frame + 40)?,
        code_filename: table.small("PyCodeObject.co_filename", at.code + 8)?,
        code_name: table.small("PyCodeObject.co_name", at.code + 16)?,
        code_qualname: table.small("PyCodeObject.co_qualname", at.code + 24)?,
        code_linetable: table.small("PyCodeObject.co_linetable", at.code + 32)?,
        code_first_line: table.small("PyCodeObject.co_firstlineno", at.code + 40)?,
        code_instructions: table.small("PyCodeObject.co_code_adaptive", at.code + 72)?,
        bytes_size: table.small("PyBytesObject.ob_size", at.bytes + 8)?,
        bytes_data: table.small("PyBytesObject.ob_sval", at.bytes + 16)?,
        unicode_state: table.small("PyASCIIObject.state", at.unicode + 8)?,
        unicode_length: table.small("PyASCIIObject.length", at.unicode + 16)?,
        unicode_ascii: ascii,
        unicode_compact: compact,
        ..PythonOffsets::default()
    };
    Ok(Layout {
        interpreters_head: table.get("_PyRuntime.interpreters.head", 40)?,
        interpreter_next: table.get("PyInterpreterState.next", at.interpreter_state + 16)?,
        threads_head: table.get("PyInterpreterState.threads.head", at.interpreter_state + 24)?,
        tstate_next: table
            .small("PyThreadState.next", at.thread_state + 16)?
            .into(),
        object_type: table.small("PyObject.ob_type", at.object + 8)?.into(),
        // ob_size of every object of variable size, bytes and code alike.
        object_size: offsets.bytes_size.into(),
        type_name: table.get("PyTypeObject.tp_name", at.type_object + 8)?,
        code_bytes: None,
        // 3.15 keeps the thread state in thread-local storage only.
        key_offset: match version.minor() {
            13 => Some(2164),
            14 => Some(2340),
            _ => None,
        },
        offsets,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of the right version whose other words are all `word`.
    fn image(version: Version, word: u64) -> Vec<u8> {
        let mut image = COOKIE.to_vec();
        image.extend(u64::from(version.hex()).to_le_bytes());
        image.extend(0u64.to_le_bytes());
        image.extend(std::iter::repeat_n(word.to_le_bytes(), 110).flatten());
        image
    }

    #[test]
    fn offsets_out_of_reach_are_refused_by_name() {
        let version = Version::new(3, 13, 5);
        assert!(Layout::of(version, &image(version, 8)).is_ok());
        for (word, expected) in [
            (250, "field_out_of_reach"),
            (u64::MAX, "field_out_of_reach"),
        ] {
            let unfit = Layout::of(version, &image(version, word)).unwrap_err();
            assert_eq!(unfit.name(), expected, "{word}: {unfit}");
        }
    }

    #[test]
    fn cut_or_foreign_tables_are_refused() {
        let version = Version::new(3, 14, 0);
        let whole = image(version, 8);
        for length in 0..640 {
            assert_eq!(
                Layout::of(version, &whole[..length]),
                Err(Unfit::DebugOffsets)
            );
        }
        assert_eq!(
            Layout::of(Version::new(3, 14, 1), &whole),
            Err(Unfit::DebugOffsets)
        );
        let unknown = Version::new(3, 16, 0);
        assert_eq!(
            Layout::of(unknown, &whole),
            Err(Unfit::UnsupportedVersion(unknown))
        );
        let mut threaded = whole;
        threaded[16] = 1;
        assert_eq!(
            Layout::of(version, &threaded),
            Err(Unfit::FreeThreaded(version))
        );
    }
}
