//! As much of an ELF file as names need: sections, loaded segments, build id. 64-bit little-endian.

use super::decompress;
use super::error::SymbolError;
use super::source::Source;

const SECTION_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 56;
/// Most bytes of section names.
const NAMES_LIMIT: u64 = 1 << 20;
/// Entries of a section that are read at a time.
const PIECES: usize = 4096;
/// Most section headers. Files with more are relocatable ones.
const SECTIONS_LIMIT: u64 = 1 << 16;
/// Most bytes of a note section that is searched for a build id.
const NOTE_LIMIT: u64 = 1 << 16;

pub const NOBITS: u32 = 8;
const NOTE: u32 = 7;
const COMPRESSED: u64 = 1 << 11;
const LOAD: u32 = 1;
const EXECUTABLE: u32 = 1;
const BUILD_ID: u32 = 3;

pub const X86_64: u16 = 62;
const AARCH64: u16 = 183;

/// Relocations with a value of their own (`SHT_RELA`), and the flag of what is in memory.
const RELA: u32 = 4;
const ALLOC: u64 = 2;
const RELOCATION_BYTES: usize = 24;
const RELOCATIONS_LIMIT: u64 = 256 << 20;

#[derive(Clone, Debug)]
pub struct Section {
    pub name: String,
    pub kind: u32,
    pub flags: u64,
    pub address: u64,
    pub offset: u64,
    pub size: u64,
    pub link: u32,
}

/// A loaded segment (`PT_LOAD`).
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub executable: bool,
    pub offset: u64,
    pub file_size: u64,
    pub svma: u64,
    pub memory_size: u64,
}

impl Section {
    pub fn is_compressed(&self) -> bool {
        self.flags & COMPRESSED != 0
    }
}

pub struct Elf<'a> {
    source: &'a Source,
    pub machine: u16,
    pub sections: Vec<Section>,
    pub segments: Vec<Segment>,
}

/// The little-endian number of `N` bytes at `offset`; 0 where there is nothing.
pub fn number<const N: usize>(bytes: &[u8], offset: usize) -> u64 {
    let mut value = [0; 8];
    if let Some(found) = bytes.get(offset..).and_then(|rest| rest.get(..N)) {
        value[..N].copy_from_slice(found);
    }
    u64::from_le_bytes(value)
}

impl<'a> Elf<'a> {
    pub fn parse(source: &'a Source) -> Result<Self, SymbolError> {
        let header = source.read("the ELF header", 0, 64);
        let header = header.map_err(|error| match error {
            SymbolError::OutOfBounds { .. } => SymbolError::NotElf,
            other => other,
        })?;
        if !header.starts_with(b"\x7fELF\x02\x01") {
            return Err(SymbolError::NotElf);
        }
        Ok(Self {
            source,
            machine: number::<2>(&header, 18) as u16,
            sections: sections(source, &header)?,
            segments: segments(source, &header)?,
        })
    }

    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// A section's bytes, decompressed. `limit` holds for both forms.
    pub fn data(&self, section: &Section, limit: u64) -> Result<Vec<u8>, SymbolError> {
        if section.kind == NOBITS {
            return Ok(Vec::new());
        }
        if section.size > limit {
            return Err(SymbolError::TooLarge {
                what: section.name.clone(),
                size: section.size,
                limit,
            });
        }
        let data = self
            .source
            .read("a section", section.offset, section.size)?;
        if !section.is_compressed() {
            return Ok(data);
        }
        decompress::section(&section.name, &data, limit)
    }

    /// A section's bytes in pieces of `entry` bytes each, few of them in memory at a time.
    pub fn pieces(
        &self,
        section: &Section,
        limit: u64,
        entry: usize,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), SymbolError> {
        if section.kind == NOBITS || section.is_compressed() || section.size > limit {
            let data = self.data(section, limit)?;
            data.chunks_exact(entry).for_each(take);
            return Ok(());
        }
        let step = (PIECES * entry) as u64;
        let mut done = 0;
        while done < section.size {
            let size = step.min(section.size - done);
            self.part(section, done, size)?
                .chunks_exact(entry)
                .for_each(&mut take);
            done += size;
        }
        Ok(())
    }

    /// As many as `size` bytes of an uncompressed section, fewer at its end.
    pub fn part(&self, section: &Section, offset: u64, size: u64) -> Result<Vec<u8>, SymbolError> {
        let outside = SymbolError::OutOfBounds { what: "a section" };
        let left = section.size.checked_sub(offset);
        match (left, section.offset.checked_add(offset)) {
            (Some(left), Some(start)) if section.kind != NOBITS => {
                self.source.read("a section", start, size.min(left))
            }
            _ => Err(outside),
        }
    }

    /// Same as [`Self::data`]; nothing where there is no such section.
    pub fn data_of(&self, name: &str, limit: u64) -> Result<Vec<u8>, SymbolError> {
        match self.section(name) {
            Some(section) => self.data(section, limit),
            None => Ok(Vec::new()),
        }
    }

    /// A section's bytes as the loader leaves them, but for the base address: position-independent
    /// files keep addresses in their relocations only.
    pub fn relocated(&self, section: &Section, limit: u64) -> Result<Vec<u8>, SymbolError> {
        let mut data = self.data(section, limit)?;
        let relative = match self.machine {
            X86_64 => 8,
            AARCH64 => 1027,
            _ => return Ok(data),
        };
        let lists = self.sections.iter();
        let lists = lists.filter(|list| list.kind == RELA && list.flags & ALLOC != 0);
        // Of all lists together: many may stand for the same bytes.
        let mut left = RELOCATIONS_LIMIT;
        for list in lists {
            let list = self.data(list, left)?;
            left = left.saturating_sub(list.len() as u64);
            for raw in list.chunks_exact(RELOCATION_BYTES) {
                let offset = number::<8>(raw, 0).wrapping_sub(section.address);
                if number::<4>(raw, 8) == relative
                    && let Ok(offset) = usize::try_from(offset)
                    && let Some(place) = data.get_mut(offset..)
                    && let Some(place) = place.first_chunk_mut::<8>()
                {
                    place.copy_from_slice(&raw[16..24]);
                }
            }
        }
        Ok(data)
    }

    /// The GNU build id.
    pub fn build_id(&self) -> Option<Vec<u8>> {
        let notes = self.sections.iter().filter(|section| section.kind == NOTE);
        notes
            .filter_map(|section| self.data(section, NOTE_LIMIT).ok())
            .find_map(|notes| build_id(&notes))
    }
}

/// The svma at a file offset. Of segments that share it, an executable one holds.
pub fn svma(segments: &[Segment], offset: u64) -> Option<u64> {
    let holds = |segment: &&Segment| {
        let distance = offset.checked_sub(segment.offset);
        distance.is_some_and(|distance| distance < segment.file_size)
    };
    let mut found = segments.iter().filter(holds);
    let executable = found.clone().find(|segment| segment.executable);
    let segment = executable.or_else(|| found.next())?;
    segment.svma.checked_add(offset - segment.offset)
}

/// The build id among the notes of a section.
pub fn build_id(mut notes: &[u8]) -> Option<Vec<u8>> {
    while notes.len() >= 12 {
        let name_size = number::<4>(notes, 0) as usize;
        let size = number::<4>(notes, 4) as usize;
        let kind = number::<4>(notes, 8) as u32;
        let start = 12 + name_size.next_multiple_of(4);
        let content = notes.get(start..start + size)?;
        if kind == BUILD_ID && notes.get(12..16) == Some(b"GNU\0") && !content.is_empty() {
            return Some(content.to_vec());
        }
        notes = notes.get(start + size.next_multiple_of(4)..)?;
    }
    None
}

fn sections(source: &Source, header: &[u8]) -> Result<Vec<Section>, SymbolError> {
    let offset = number::<8>(header, 40);
    let mut count = number::<2>(header, 60);
    let mut names = number::<2>(header, 62);
    if offset == 0 || number::<2>(header, 58) != SECTION_BYTES as u64 {
        return Ok(Vec::new());
    }
    // Numbers that do not fit stand in the first section header.
    if count == 0 || names == 0xffff {
        let first = source.read("the first section header", offset, SECTION_BYTES as u64)?;
        if count == 0 {
            count = number::<8>(&first, 32);
        }
        if names == 0xffff {
            names = number::<4>(&first, 40);
        }
    }
    if count > SECTIONS_LIMIT {
        return Err(SymbolError::TooLarge {
            what: "section table".into(),
            size: count.saturating_mul(SECTION_BYTES as u64),
            limit: SECTIONS_LIMIT * SECTION_BYTES as u64,
        });
    }
    let table = source.read("the section table", offset, count * SECTION_BYTES as u64)?;
    let raw: Vec<&[u8]> = table.chunks_exact(SECTION_BYTES).collect();
    let names = match raw.get(names as usize) {
        Some(section) => source.read(
            "the section names",
            number::<8>(section, 24),
            number::<8>(section, 32).min(NAMES_LIMIT),
        )?,
        None => Vec::new(),
    };
    Ok(raw
        .into_iter()
        .map(|raw| Section {
            name: section_name(&names, number::<4>(raw, 0) as usize),
            kind: number::<4>(raw, 4) as u32,
            flags: number::<8>(raw, 8),
            address: number::<8>(raw, 16),
            offset: number::<8>(raw, 24),
            size: number::<8>(raw, 32),
            link: number::<4>(raw, 40) as u32,
        })
        .collect())
}

fn section_name(names: &[u8], offset: usize) -> String {
    let name = names.get(offset..).unwrap_or_default();
    let name = &name[..name.len().min(64)];
    let end = name.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&name[..end.unwrap_or(name.len())]).into_owned()
}

fn segments(source: &Source, header: &[u8]) -> Result<Vec<Segment>, SymbolError> {
    let offset = number::<8>(header, 32);
    let count = number::<2>(header, 56);
    if offset == 0 || number::<2>(header, 54) != SEGMENT_BYTES as u64 {
        return Ok(Vec::new());
    }
    let table = source.read("the program headers", offset, count * SEGMENT_BYTES as u64)?;
    Ok(table
        .chunks_exact(SEGMENT_BYTES)
        .filter(|raw| number::<4>(raw, 0) as u32 == LOAD)
        .map(|raw| Segment {
            executable: number::<4>(raw, 4) as u32 & EXECUTABLE != 0,
            offset: number::<8>(raw, 8),
            svma: number::<8>(raw, 16),
            file_size: number::<8>(raw, 32),
            memory_size: number::<8>(raw, 40),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Source {
        Source::File(std::sync::Arc::new(
            std::fs::File::open("/proc/self/exe").unwrap(),
        ))
    }

    #[test]
    fn own_executable_has_sections_and_segments() {
        let source = own();
        let elf = Elf::parse(&source).unwrap();
        let text = elf.section(".text").unwrap();
        assert_eq!(svma(&elf.segments, text.offset), Some(text.address));
        assert!(elf.segments.iter().any(|segment| segment.executable));
        assert_eq!(elf.data(text, u64::MAX).unwrap().len() as u64, text.size);
        assert!(matches!(
            elf.data(text, 1),
            Err(SymbolError::TooLarge { .. })
        ));
    }

    #[test]
    fn what_is_no_elf_file_is_refused() {
        for bytes in [&b""[..], b"\x7fELF", &[0; 100], b"\x7fELF\x01\x01"] {
            let source = Source::Bytes(bytes.into());
            assert!(matches!(Elf::parse(&source), Err(SymbolError::NotElf)));
        }
    }

    #[test]
    fn cut_and_overwritten_headers_are_refused_or_harmless() {
        let source = own();
        let head = source.read("the file", 0, 4096).unwrap();
        for cut in 0..256 {
            let source = Source::Bytes(head[..cut].into());
            drop(Elf::parse(&source));
        }
        for position in 0..64 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = head.clone();
                bytes[position] = value;
                let source = Source::Bytes(bytes.into());
                if let Ok(elf) = Elf::parse(&source) {
                    elf.build_id();
                    svma(&elf.segments, u64::MAX);
                }
            }
        }
    }

    #[test]
    fn build_id_is_found_behind_other_notes() {
        let note = |name: &[u8], kind: u32, content: &[u8]| {
            let mut bytes = Vec::new();
            bytes.extend((name.len() as u32).to_le_bytes());
            bytes.extend((content.len() as u32).to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend(name);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend(content);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let mut notes = note(b"GNU\0", 1, &[1; 16]);
        notes.extend(note(b"stapsdt\0", 3, &[2; 5]));
        notes.extend(note(b"GNU\0", 3, &[3; 20]));
        assert_eq!(build_id(&notes), Some(vec![3; 20]));
        for cut in 0..notes.len() {
            assert_eq!(build_id(&notes[..cut]), None);
        }
        assert_eq!(build_id(&[0xff; 64]), None);
    }
}
