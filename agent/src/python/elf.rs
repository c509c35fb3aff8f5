//! What detection reads of an ELF file. Every access is checked; a broken part reads as absent.

use std::ops::Range;

use object::LittleEndian;
use object::elf::{self, FileHeader64, SectionType};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable, Sym};

type Header = FileHeader64<LittleEndian>;
const LE: LittleEndian = LittleEndian;

/// A segment that is mapped.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub svma: u64,
    pub offset: u64,
    /// Bytes that come from the file.
    pub size: u64,
    pub executable: bool,
    pub writable: bool,
}

/// A defined symbol: svma and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Symbol {
    pub svma: u64,
    pub size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Function,
}

pub(super) struct Elf<'a> {
    file: &'a [u8],
    sections: SectionTable<'a, Header>,
    pub segments: Vec<Segment>,
    /// Size of the thread-local storage of an executable, which lies right below the thread
    /// pointer; a library's may lie anywhere.
    pub own_tls: Option<u64>,
    pub x86_64: bool,
}

impl<'a> Elf<'a> {
    /// 64-bit little-endian files alone.
    pub fn parse(file: &'a [u8]) -> Option<Self> {
        let header = Header::parse(file).ok()?;
        if !header.is_class_64() || !header.is_little_endian() {
            return None;
        }
        let mut segments = Vec::new();
        let mut tls = None;
        let mut interpreted = header.e_type(LE) == elf::ET_EXEC;
        for program in header.program_headers(LE, file).ok()? {
            match program.p_type(LE) {
                elf::PT_LOAD => segments.push(Segment {
                    svma: program.p_vaddr(LE),
                    offset: program.p_offset(LE),
                    size: program.p_filesz(LE),
                    executable: program.p_flags(LE).contains(elf::PF_X),
                    writable: program.p_flags(LE).contains(elf::PF_W),
                }),
                elf::PT_TLS => {
                    let align = program.p_align(LE).max(1);
                    tls = program.p_memsz(LE).checked_next_multiple_of(align);
                }
                elf::PT_INTERP => interpreted = true,
                _ => {}
            }
        }
        Some(Self {
            file,
            sections: header.sections(LE, file).unwrap_or_default(),
            segments,
            own_tls: tls.filter(|_| interpreted),
            x86_64: header.e_machine(LE) == elf::EM_X86_64,
        })
    }

    /// svma and file bytes of a section. Sections without file bytes read as absent.
    pub fn section(&self, name: &str) -> Option<(u64, &'a [u8])> {
        let (_, section) = self.sections.section_by_name(LE, name.as_bytes())?;
        let data = section.data(LE, self.file).ok()?;
        (!data.is_empty()).then(|| (section.sh_addr(LE), data))
    }

    /// The defined symbols of one table that `wanted` picks by name, with what it made of them.
    pub fn symbols<T>(
        &self,
        table: SectionType,
        kind: Kind,
        mut wanted: impl FnMut(&[u8]) -> Option<T>,
    ) -> Vec<(T, Symbol)> {
        let Ok(symbols) = self.sections.symbols(LE, self.file, table) else {
            return Vec::new();
        };
        let strings = symbols.strings();
        let kind = match kind {
            Kind::Object => elf::STT_OBJECT,
            Kind::Function => elf::STT_FUNC,
        };
        let defined = symbols
            .iter()
            // The type is compared first: names are scattered over the file.
            .filter(|symbol| symbol.st_type() == kind && !symbol.is_undefined(LE));
        defined
            .filter_map(|symbol| {
                let found = wanted(symbol.name(LE, strings).ok()?)?;
                Some((
                    found,
                    Symbol {
                        svma: symbol.st_value(LE),
                        size: symbol.st_size(LE),
                    },
                ))
            })
            .collect()
    }

    /// A symbol of that very name, in the dynamic table or in the other one.
    pub fn symbol(&self, name: &str, kind: Kind) -> Option<Symbol> {
        [elf::SHT_DYNSYM, elf::SHT_SYMTAB]
            .into_iter()
            .find_map(|table| self.symbol_in(table, name, kind))
    }

    pub fn symbol_in(&self, table: SectionType, name: &str, kind: Kind) -> Option<Symbol> {
        let found = self.symbols(table, kind, |it| (it == name.as_bytes()).then_some(()));
        found.first().map(|(_, symbol)| *symbol)
    }

    /// Up to `length` file bytes from `svma` on.
    pub fn bytes(&self, svma: u64, length: usize) -> &'a [u8] {
        let found = self.segments.iter().find_map(|segment| {
            let within = svma
                .checked_sub(segment.svma)
                .filter(|it| *it < segment.size)?;
            let start = usize::try_from(segment.offset.checked_add(within)?).ok()?;
            let size = usize::try_from(segment.size - within)
                .unwrap_or(usize::MAX)
                .min(length);
            let rest = self.file.get(start..)?;
            Some(&rest[..size.min(rest.len())])
        });
        found.unwrap_or_default()
    }

    /// A segment's file bytes.
    pub fn contents(&self, segment: &Segment) -> &'a [u8] {
        self.bytes(
            segment.svma,
            usize::try_from(segment.size).unwrap_or(usize::MAX),
        )
    }

    /// The file offsets of a range of svmas, if they are file bytes of one executable segment.
    pub fn text_offsets(&self, svmas: &Range<u64>) -> Option<Range<u64>> {
        self.segments
            .iter()
            .filter(|segment| segment.executable)
            .find_map(|segment| {
                let first = svmas.start.checked_sub(segment.svma)?;
                let last = svmas.end.checked_sub(segment.svma)?;
                let inside = first < last && last <= segment.size;
                let start = segment.offset.checked_add(first).filter(|_| inside)?;
                Some(start..segment.offset.checked_add(last)?)
            })
    }

    /// svma of what file offset 0 would be if it were mapped as the executable segments are:
    /// `p_vaddr - p_offset`, one value for all of them or none.
    pub fn text_base(&self) -> Option<u64> {
        let mut bases = self
            .segments
            .iter()
            .filter(|segment| segment.executable)
            .map(|segment| segment.svma.wrapping_sub(segment.offset));
        let base = bases.next()?;
        bases.all(|other| other == base).then_some(base)
    }
}
