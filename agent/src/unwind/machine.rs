//! The two machines whose code can be unwound, and their DWARF register numbers.

use gimli::{Register, Vendor};

use super::UnwindError;

/// Instruction set of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Machine {
    X86_64,
    Aarch64,
}

impl Machine {
    /// From the ELF header's `e_machine`.
    pub fn from_elf(number: u16) -> Result<Self, UnwindError> {
        match number {
            62 => Ok(Self::X86_64),
            183 => Ok(Self::Aarch64),
            other => Err(UnwindError::Machine(other)),
        }
    }

    /// Stack pointer: rsp, sp.
    pub(super) fn sp(self) -> Register {
        match self {
            Self::X86_64 => Register(7),
            Self::Aarch64 => Register(31),
        }
    }

    /// Frame pointer: rbp, x29.
    pub(super) fn fp(self) -> Register {
        match self {
            Self::X86_64 => Register(6),
            Self::Aarch64 => Register(29),
        }
    }

    /// Whose extensions of the call frame instructions apply.
    pub(super) fn vendor(self) -> Vendor {
        match self {
            Self::X86_64 => Vendor::Default,
            Self::Aarch64 => Vendor::AArch64,
        }
    }

    /// Whether the instruction that `code` ends with is a call, so that the address behind it can
    /// be a return address. `code` is the 8 bytes before that address. The kernel side asks the
    /// same of an address that a frame pointer led to.
    pub fn ends_with_call(self, code: [u8; 8]) -> bool {
        let byte = |back: usize| code[8 - back];
        match self {
            // call rel32, or call r/m64 (opcode ff, /2 in the next byte) with its lengths.
            Self::X86_64 => {
                byte(5) == 0xe8
                    || [2, 3, 4, 6, 7]
                        .iter()
                        .any(|&back| byte(back) == 0xff && byte(back - 1) & 0x38 == 0x10)
            }
            // bl, blr; blraa and its kin sign addresses and carry other opcodes.
            Self::Aarch64 => {
                let word = u32::from_le_bytes([code[4], code[5], code[6], code[7]]);
                word >> 26 == 0b10_0101 || word & 0xffff_fc1f == 0xd63f_0000
            }
        }
    }
}
