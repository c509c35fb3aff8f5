//! Which function a PLT entry jumps to, read from its own jump: the slot of the GOT that it loads
//! has a relocation, and that names the symbol, or the function that chooses an implementation
//! (ifunc). Holds for `.plt`, `.plt.got` and `.plt.sec` alike. x86_64 only; an entry of another
//! machine has no name.

use std::collections::HashMap;

use super::elf::{Elf, X86_64, number};
use super::error::SymbolError;

const RELOCATION_BYTES: usize = 24;
const GLOB_DAT: u64 = 6;
const JUMP_SLOT: u64 = 7;
const IRELATIVE: u64 = 37;
/// Most bytes of relocations and of PLT code.
const RELOCATIONS_LIMIT: u64 = 64 << 20;
const CODE_LIMIT: u64 = 16 << 20;

/// `jmp *…(%rip)`, `bnd jmp *…(%rip)`, and both behind `endbr64`.
const JUMPS: [&[u8]; 4] = [
    b"\xff\x25",
    b"\xf2\xff\x25",
    b"\xf3\x0f\x1e\xfa\xff\x25",
    b"\xf3\x0f\x1e\xfa\xf2\xff\x25",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PltEntry {
    pub start: u64,
    pub size: u64,
    pub target: Target,
}

/// What a slot of the GOT is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The address of a symbol, by its number in `.dynsym`.
    Symbol(u32),
    /// What the ifunc at this svma returns.
    Ifunc(u64),
}

pub fn entries(elf: &Elf<'_>) -> Result<Vec<PltEntry>, SymbolError> {
    if elf.machine != X86_64 {
        return Ok(Vec::new());
    }
    let mut slots = HashMap::new();
    for name in [".rela.plt", ".rela.dyn"] {
        let relocations = elf.data_of(name, RELOCATIONS_LIMIT)?;
        slots.extend(relocations.chunks_exact(RELOCATION_BYTES).filter_map(slot));
    }
    let mut entries = Vec::new();
    for (name, size) in [
        (".plt", 16),
        (".plt.sec", 16),
        (".plt.got", 8),
        (".plt.got", 16),
    ] {
        let Some(section) = elf.section(name) else {
            continue;
        };
        let code = elf.data(section, CODE_LIMIT)?;
        for (number, code) in code.chunks_exact(size).enumerate() {
            let start = section.address.wrapping_add((number * size) as u64);
            if let Some(target) = jump(code, start).and_then(|slot| slots.get(&slot)) {
                entries.push(PltEntry {
                    start,
                    size: size as u64,
                    target: *target,
                });
            }
        }
    }
    Ok(entries)
}

/// Address of a slot and what the loader puts there.
fn slot(relocation: &[u8]) -> Option<(u64, Target)> {
    let info = number::<8>(relocation, 8);
    let symbol = (info >> 32) as u32;
    let target = match info & 0xffff_ffff {
        GLOB_DAT | JUMP_SLOT if symbol != 0 => Target::Symbol(symbol),
        IRELATIVE => Target::Ifunc(number::<8>(relocation, 16)),
        _ => return None,
    };
    Some((number::<8>(relocation, 0), target))
}

/// Address of the slot that an entry's code at `start` jumps through.
fn jump(code: &[u8], start: u64) -> Option<u64> {
    let prefix = JUMPS.iter().find(|prefix| code.starts_with(prefix))?;
    let end = prefix.len() + 4;
    let displacement = code.get(prefix.len()..end)?;
    let displacement = number::<4>(displacement, 0) as u32 as i32;
    Some(
        start
            .wrapping_add(end as u64)
            .wrapping_add_signed(displacement as i64),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_is_relative_to_the_next_instruction() {
        let plain = b"\xff\x25\x10\x00\x00\x00\x68\0\0\0\0\xe9\0\0\0\0";
        assert_eq!(jump(plain, 0x1000), Some(0x1016));
        let protected = b"\xf3\x0f\x1e\xfa\xf2\xff\x25\xf0\xff\xff\xff\x0f\x1f\x44\0\0";
        assert_eq!(jump(protected, 0x1000), Some(0xffb));
    }

    #[test]
    fn the_first_entry_and_lazy_stubs_name_nothing() {
        let first = b"\xff\x35\x02\x30\0\0\xff\x25\x04\x30\0\0\x0f\x1f\x40\0";
        assert_eq!(jump(first, 0x1020), None);
        let stub = b"\xf3\x0f\x1e\xfa\x68\0\0\0\0\xf2\xe9\xe1\xff\xff\xff\x90";
        assert_eq!(jump(stub, 0x1030), None);
        assert_eq!(jump(b"\xff\x25\x01", 0), None);
    }
}
