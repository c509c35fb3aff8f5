//! The parts of an ELF file that unwinding needs. Read byte by byte: a file that the kernel
//! executes need not keep its headers aligned, and section headers may be missing or lie.

use std::borrow::Cow;

use object::read::{CompressedData, CompressionFormat};

use super::{Machine, UnwindError};

pub(super) const PT_LOAD: u32 = 1;
pub(super) const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PF_X: u32 = 1;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const SHT_NOBITS: u32 = 8;
const SHF_EXECINSTR: u64 = 4;
const SHF_COMPRESSED: u64 = 0x800;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DF_1_PIE: u64 = 0x0800_0000;

/// Most bytes that a compressed section may unpack to.
const LARGEST_SECTION: u64 = 512 << 20;
/// Most bytes that a compressed byte may unpack to. Unwind information shrinks to a tenth at best.
const LARGEST_RATIO: u64 = 100;
/// Most section headers that are looked at; a linked file has a few dozen.
const MOST_SECTIONS: u64 = 1 << 16;

/// A program header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program {
    pub kind: u32,
    pub executable: bool,
    pub offset: u64,
    pub svma: u64,
    pub file_size: u64,
}

/// A section header. `size` bytes of the file begin at `offset`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    pub name: &'a [u8],
    pub kind: u32,
    pub flags: u64,
    pub svma: u64,
    pub offset: u64,
    pub size: u64,
}

/// An ELF file whose headers were read.
pub(super) struct Header<'a> {
    pub file: &'a [u8],
    pub machine: Machine,
    pub programs: Vec<Program>,
    /// Empty when there are none, or when they lie outside of the file.
    pub sections: Vec<Section<'a>>,
    kind: u16,
    entry: u64,
}

impl<'a> Header<'a> {
    pub fn parse(file: &'a [u8]) -> Result<Self, UnwindError> {
        if file.get(..4) != Some(b"\x7fELF".as_slice()) {
            return Err(UnwindError::NotElf);
        }
        match (file.get(4), file.get(5)) {
            (Some(2), Some(1)) => {}
            (Some(1), _) => return Err(UnwindError::ThirtyTwoBit),
            (Some(2), Some(2)) => return Err(UnwindError::BigEndian),
            _ => return Err(UnwindError::NotElf),
        }
        let cut = UnwindError::Truncated("file header's fields");
        let header = file.get(..64).ok_or(cut)?;
        let kind = u16_at(header, 16);
        if kind != ET_EXEC && kind != ET_DYN {
            return Err(UnwindError::NotLoadable(kind));
        }
        Ok(Self {
            file,
            machine: Machine::from_elf(u16_at(header, 18))?,
            programs: programs(file, header).ok_or(UnwindError::Truncated("program headers"))?,
            sections: sections(file, header).unwrap_or_default(),
            kind,
            entry: u64_at(header, 24),
        })
    }

    pub fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections
            .iter()
            .find(|section| section.name == name.as_bytes())
    }

    /// Bytes of a section, unpacked if need be. None if they are not in the file or are broken.
    pub fn data(&self, section: &Section) -> Option<Cow<'a, [u8]>> {
        if section.kind == SHT_NOBITS {
            return None;
        }
        let data = bytes(self.file, section.offset, section.size)?;
        if section.flags & SHF_COMPRESSED == 0 {
            return Some(Cow::Borrowed(data));
        }
        let (header, data) = data.split_at_checked(24)?;
        let format = match u32_at(header, 0) {
            1 => CompressionFormat::Zlib,
            2 => CompressionFormat::Zstandard,
            _ => return None,
        };
        let uncompressed_size = u64_at(header, 8);
        // That much is taken, and may be touched, before the data proves to be worth it.
        if uncompressed_size > LARGEST_SECTION.min(data.len() as u64 * LARGEST_RATIO) {
            return None;
        }
        CompressedData {
            format,
            data,
            uncompressed_size,
        }
        .decompress()
        .ok()
    }

    /// Svma of the first instruction of a process: of a program, or of the dynamic loader.
    pub fn entry(&self) -> Option<u64> {
        let has = |kind| self.programs.iter().any(|program| program.kind == kind);
        let is_program = self.kind == ET_EXEC || has(PT_INTERP) || self.is_pie();
        // Older GNU linkers gave every library the start of its .text as its entry
        // point. A loader begins somewhere in the middle.
        let text = |section: &&Section| section.flags & SHF_EXECINSTR != 0;
        let mut texts = self.sections.iter().filter(text).peekable();
        let is_loader = texts.peek().is_some() && texts.all(|text| text.svma != self.entry);
        (self.entry != 0 && (is_program || is_loader)).then_some(self.entry)
    }

    /// Whether the dynamic section says that this is a position-independent program. A static one
    /// has no other sign of it.
    fn is_pie(&self) -> bool {
        let dynamic = self
            .programs
            .iter()
            .find(|program| program.kind == PT_DYNAMIC);
        let data = dynamic.and_then(|found| bytes(self.file, found.offset, found.file_size));
        let (entries, _) = data.unwrap_or_default().as_chunks::<16>();
        let entry = entries.iter().take_while(|entry| u64_at(*entry, 0) != 0);
        entry
            .into_iter()
            .any(|entry| u64_at(entry, 0) == DT_FLAGS_1 && u64_at(entry, 8) & DF_1_PIE != 0)
    }
}

fn programs(file: &[u8], header: &[u8]) -> Option<Vec<Program>> {
    let size = u16_at(header, 54) as usize;
    let count = u16_at(header, 56) as usize;
    if count == 0 {
        return Some(Vec::new());
    }
    if size < 56 {
        return None;
    }
    let table = bytes(file, u64_at(header, 32), (size * count) as u64)?;
    let program = |entry: &[u8]| Program {
        kind: u32_at(entry, 0),
        executable: u32_at(entry, 4) & PF_X != 0,
        offset: u64_at(entry, 8),
        svma: u64_at(entry, 16),
        file_size: u64_at(entry, 32),
    };
    Some(table.chunks_exact(size).map(program).collect())
}

fn sections<'a>(file: &'a [u8], header: &[u8]) -> Option<Vec<Section<'a>>> {
    let start = u64_at(header, 40);
    let size = u16_at(header, 58) as usize;
    if start == 0 || size < 64 {
        return None;
    }
    // With 0xff00 sections or more, the real numbers are in the first one.
    let first = bytes(file, start, size as u64)?;
    let count = match u16_at(header, 60) {
        0 => u64_at(first, 32),
        count => count as u64,
    };
    let names = match u16_at(header, 62) {
        0xffff => u32_at(first, 40) as u64,
        names => names as u64,
    };
    if count > MOST_SECTIONS {
        return None;
    }
    let table = bytes(file, start, count * size as u64)?;
    let names = table
        .get((names as usize).checked_mul(size)?..)?
        .get(..size)?;
    let names = bytes(file, u64_at(names, 24), u64_at(names, 32)).unwrap_or_default();
    let section = |entry: &[u8]| Section {
        name: name(names, u32_at(entry, 0)),
        kind: u32_at(entry, 4),
        flags: u64_at(entry, 8),
        svma: u64_at(entry, 16),
        offset: u64_at(entry, 24),
        size: u64_at(entry, 32),
    };
    Some(table.chunks_exact(size).map(section).collect())
}

/// The name at `start`. Those that are looked for are short, so a longer one may be cut.
fn name(names: &[u8], start: u32) -> &[u8] {
    let rest = names.get(start as usize..).unwrap_or_default();
    let rest = &rest[..rest.len().min(64)];
    rest.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// `size` bytes of the file from `offset` on.
pub(super) fn bytes(file: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    file.get(start..end)
}

// The fields' places are constants inside of slices whose length was checked.

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u16_at(bytes, at) as u32 | (u16_at(bytes, at + 2) as u32) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u32_at(bytes, at) as u64 | (u32_at(bytes, at + 4) as u64) << 32
}
