//! Where `PyGILState_GetThisThreadState` finds the thread state: the function is exported by every
//! build, stripped or not, and does nothing but that. Its code names `_PyRuntime.autoTSSkey` (to
//! 3.14) or an offset from fs (3.15). Nothing is disassembled: every number in the first bytes
//! that could be such a place is a hint, and hints are tried on the live process.

use super::memory::i32_at;

pub(super) const ACCESSOR: &str = "PyGILState_GetThisThreadState";

/// Bytes looked at: the longest one known takes 44.
pub(super) const ACCESSOR_BYTES: usize = 64;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Possible offsets of `autoTSSkey._key` in `_PyRuntime`.
    pub key_offsets: Vec<u32>,
    /// Offset of the thread state from the thread pointer.
    pub tls: Option<i32>,
}

/// `mov %fs:disp32, %rax`
const MOV_FS_RAX: [u8; 5] = [0x64, 0x48, 0x8B, 0x04, 0x25];

/// Hints in the x86-64 code of the accessor at `svma`, for a runtime at `runtime` of `size` bytes.
pub(super) fn hints(code: &[u8], svma: u64, runtime: u64, size: u64) -> Hints {
    let in_runtime = |target: u64| target.checked_sub(runtime).filter(|offset| *offset < size);
    let mut found = Vec::new();
    for at in 2..code.len().saturating_sub(3) {
        let Some(number) = i32_at(code, at) else {
            break;
        };
        // Relative to the next instruction, which begins after this number or after an immediate
        // of 1 or 4 bytes behind it.
        let relative = [4, 5, 8].map(|length| {
            let next = svma.wrapping_add(at as u64 + length);
            in_runtime(next.wrapping_add_signed(number.into()))
        });
        // `mov $_PyRuntime + offset, %edi` in an executable that cannot be moved.
        let absolute = in_runtime(u64::from(number as u32));
        found.extend(relative.into_iter().flatten().chain(absolute));
        // `lea offset(%rax), %rdi` after the address of `_PyRuntime` was loaded: lea, mov or
        // an instruction with an immediate, whose ModRM says register + 32 bits.
        let operand = code[at - 1] >> 6 == 2 && [0x8D, 0x8B, 0x81, 0x83].contains(&code[at - 2]);
        found.extend(
            u64::try_from(number)
                .ok()
                .filter(|it| operand && *it < size),
        );
    }
    let mut key_offsets = Vec::new();
    for offset in found {
        // Named may be the key, or `_is_initialized` before it.
        for key in [offset + 4, offset] {
            let key = u32::try_from(key).unwrap_or(u32::MAX);
            if key.is_multiple_of(4) && key >= 4 && !key_offsets.contains(&key) {
                key_offsets.push(key);
            }
        }
    }
    let tls = code
        .windows(MOV_FS_RAX.len())
        .position(|window| window == MOV_FS_RAX)
        .and_then(|at| i32_at(code, at + MOV_FS_RAX.len()));
    Hints { key_offsets, tls }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints_of(code: &str, svma: u64, runtime: u64) -> Hints {
        let bytes: Vec<u8> = code
            .split(' ')
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        hints(&bytes, svma, runtime, 0x45310)
    }

    #[test]
    fn debian_3_13_names_the_key_relative_to_the_instruction() {
        let code = "f3 0f 1e fa 83 3d 55 b7 5a 00 00 0f 84 db a4 eb ff 8b 3d 4d b7 5a 00";
        let hints = hints_of(code, 0x56_c7b0, 0xb1_76a0);
        assert!(hints.key_offsets.contains(&2164), "{hints:?}");
        assert!(hints.key_offsets.len() < 6, "{hints:?}");
    }

    #[test]
    fn debian_3_14_names_it_absolutely() {
        let hints = hints_of(
            "f3 0f 1e fa bf e0 10 ba 00 e9 7f 2e 11 00",
            0x42_c79a,
            0xba_07c0,
        );
        assert!(hints.key_offsets.contains(&2340), "{hints:?}");
    }

    #[test]
    fn a_shared_3_8_names_it_relative_to_the_runtime() {
        let code = "48 8b 05 c1 86 16 00 48 83 b8 68 05 00 00 00 74 0f 48 8d b8 70 05 00 00 e9";
        let hints = hints_of(code, 0x1b_25b0, 0x37_2e00);
        assert!(hints.key_offsets.contains(&1396), "{hints:?}");
    }

    #[test]
    fn debian_3_15_names_thread_local_storage() {
        let hints = hints_of(
            "f3 0f 1e fa 64 48 8b 04 25 d8 ff ff ff c3",
            0x42_fa7d,
            0xc4_08a0,
        );
        assert_eq!(hints.tls, Some(-0x28));
    }
}
