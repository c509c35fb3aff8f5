//! Does a file hold a CPython runtime, and which one? By what it contains, never by its name.

use std::ops::Range;

use object::elf::{SHT_DYNSYM, SHT_SYMTAB};

use super::accessor::{self, ACCESSOR, ACCESSOR_BYTES, Hints};
use super::elf::{Elf, Kind, Symbol};
use super::eval_loop;
use super::memory::u64_at;
use super::offsets::{COOKIE, DEBUG_OFFSETS_BYTES, Layout, LayoutSource, debug_header};
use super::unfit::Unfit;
use super::version::{self, Version};

/// Longest `_PyRuntime` believed; 3.12's takes 460 KB.
const MAX_RUNTIME: u64 = 4 << 20;

/// A file that holds a CPython runtime: all that the file alone can tell.
#[derive(Clone, Debug)]
pub struct Binary {
    /// svma and size of `_PyRuntime`.
    pub runtime: u64,
    pub runtime_size: u64,
    /// None: the file does not tell.
    pub version: Option<Version>,
    pub free_threaded: bool,
    /// `p_vaddr - p_offset` of all executable segments; none if they differ.
    pub text_base: Option<u64>,
    /// File offsets of the evaluation loop in 3.8 to 3.10; empty in others, which need none.
    pub eval_loop: Vec<Range<u64>>,
    /// Where members stand, or why that is unknown.
    pub(super) layout: Result<Layout, Unfit>,
    pub(super) hints: Hints,
    pub(super) own_tls: Option<u64>,
}

impl Binary {
    /// The bias (avma - svma) of the file in a process, from one of its executable mappings.
    pub fn bias(&self, mapping_start: u64, mapping_offset: u64) -> Option<u64> {
        Some(
            mapping_start
                .wrapping_sub(mapping_offset)
                .wrapping_sub(self.text_base?),
        )
    }

    /// Whether the file offset lies in the evaluation loop (known in 3.8 to 3.10 alone).
    pub fn is_eval_loop(&self, offset: u64) -> bool {
        self.eval_loop.iter().any(|range| range.contains(&offset))
    }

    /// Where the file's offsets come from, if there are any.
    pub fn layout_source(&self) -> Option<LayoutSource> {
        let layout = self.layout.as_ref().ok()?;
        Some(layout.source())
    }

    /// Why no process of this file can be walked, if that is known already.
    pub fn unfit(&self) -> Option<&Unfit> {
        self.layout.as_ref().err()
    }
}

/// The CPython runtime in an ELF file, if there is one.
///
/// A file without one costs a look at its section names, at the object symbols of its tables and
/// at the file bytes of its writable segments.
pub fn detect(file: &[u8]) -> Option<Binary> {
    let elf = Elf::parse(file)?;
    let runtime = find_runtime(&elf)?;
    let image = elf.bytes(runtime.svma, DEBUG_OFFSETS_BYTES);
    let header = debug_header(image);
    let version = header
        .map(|(version, _)| version)
        .or_else(|| find_version(&elf));
    let layout = match version {
        _ if !elf.x86_64 => Err(Unfit::Architecture),
        None => Err(Unfit::UnknownVersion),
        Some(version) => Layout::of(version, image),
    };
    let text_base = elf.text_base();
    let by_range = version.is_some_and(|it| it.since(8) && !it.since(11));
    let loop_svmas = if by_range {
        eval_loop::ranges(&elf)
    } else {
        Vec::new()
    };
    Some(Binary {
        runtime: runtime.svma,
        runtime_size: runtime.size,
        version,
        free_threaded: header.is_some_and(|(_, free_threaded)| free_threaded),
        text_base,
        eval_loop: loop_svmas
            .iter()
            .filter_map(|range| elf.text_offsets(range))
            .collect(),
        layout: layout.and_then(|it| text_base.map(|_| it).ok_or(Unfit::TextSegments)),
        hints: find_hints(&elf, runtime),
        own_tls: elf.own_tls,
    })
}

/// `_PyRuntime`: exported by all builds from 3.7 on; a section of its own from 3.10 on; begins with
/// a cookie from 3.13 on.
fn find_runtime(elf: &Elf<'_>) -> Option<Symbol> {
    let name = "_PyRuntime";
    let section = || {
        let (svma, data) = elf.section(".PyRuntime")?;
        Some(Symbol {
            svma,
            size: data.len() as u64,
        })
    };
    let found = elf
        .symbol_in(SHT_DYNSYM, name, Kind::Object)
        .or_else(section)
        .or_else(|| elf.symbol_in(SHT_SYMTAB, name, Kind::Object))
        .or_else(|| find_cookie(elf))?;
    Some(Symbol {
        size: found.size.min(MAX_RUNTIME),
        ..found
    })
}

/// `_PyRuntime` by its first bytes, in a file without symbols and section headers.
fn find_cookie(elf: &Elf<'_>) -> Option<Symbol> {
    let data = elf
        .segments
        .iter()
        .filter(|segment| segment.writable && !segment.executable);
    data.into_iter().find_map(|segment| {
        let bytes = elf.contents(segment);
        // Aligned to 8 in memory; segments begin anywhere in a page.
        let first = segment.svma.wrapping_neg() as usize % 8;
        let words = bytes.get(first..)?.chunks_exact(8).enumerate();
        words
            .filter(|(_, word)| **word == COOKIE)
            .find_map(|(index, _)| {
                let at = first + index * 8;
                let image = &bytes[at..];
                let (version, _) = debug_header(image)?;
                let size = u64_at(image, 24)?;
                version.since(13).then_some(Symbol {
                    svma: segment.svma + at as u64,
                    size,
                })
            })
    })
}

fn find_version(elf: &Elf<'_>) -> Option<Version> {
    // An unsigned long, from 3.11 on.
    let number = |symbol: Symbol| {
        let word = u64_at(elf.bytes(symbol.svma, 8), 0)?;
        u32::try_from(word).ok().map(Version::from_hex)
    };
    elf.symbol("Py_Version", Kind::Object)
        .and_then(number)
        .or_else(|| {
            let constant = elf.segments.iter().filter(|segment| !segment.writable);
            version::find_in_literals(constant.map(|segment| elf.contents(segment)))
        })
}

fn find_hints(elf: &Elf<'_>, runtime: Symbol) -> Hints {
    let Some(function) = elf.symbol(ACCESSOR, Kind::Function).filter(|_| elf.x86_64) else {
        return Hints::default();
    };
    let length = usize::try_from(function.size)
        .unwrap_or(0)
        .min(ACCESSOR_BYTES);
    let code = elf.bytes(function.svma, length);
    accessor::hints(code, function.svma, runtime.svma, runtime.size)
}
