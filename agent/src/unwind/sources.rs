//! Where a file keeps its call frame information.

use std::borrow::Cow;

use gimli::{BaseAddresses, EhFrameHdr, EndianSlice, LittleEndian, Pointer};

use super::elf::{Header, PT_GNU_EH_FRAME, bytes};
use super::segments::Segments;

/// `.eh_frame`, with what is needed to read it.
pub(super) struct EhFrameSource<'a> {
    pub data: &'a [u8],
    pub bases: BaseAddresses,
    pub extent: Extent,
}

/// How the functions' entries are found.
pub(super) enum Extent {
    /// The data is the whole section: walk over all of it.
    Section,
    /// No section header says where it ends: its terminator does.
    Terminated,
    /// As before, but `.eh_frame_hdr` names the entries' places.
    Places(Vec<usize>),
}

/// `.eh_frame` by its section header, or else through `.eh_frame_hdr`, which the loader needs too.
pub(super) fn eh_frame<'a>(header: &Header<'a>, segments: &Segments) -> Option<EhFrameSource<'a>> {
    by_section(header).or_else(|| by_program_header(header, segments))
}

/// `.debug_frame`, unpacked.
pub(super) fn debug_frame<'a>(header: &Header<'a>) -> Option<Cow<'a, [u8]>> {
    header
        .data(header.section(".debug_frame")?)
        .filter(|data| !data.is_empty())
}

fn by_section<'a>(header: &Header<'a>) -> Option<EhFrameSource<'a>> {
    let section = header.section(".eh_frame")?;
    // It is loaded, hence never compressed.
    let Cow::Borrowed(data) = header.data(section)? else {
        return None;
    };
    let bases = bases(header).set_eh_frame(section.svma);
    (!data.is_empty()).then_some(EhFrameSource {
        data,
        bases,
        extent: Extent::Section,
    })
}

fn by_program_header<'a>(header: &Header<'a>, segments: &Segments) -> Option<EhFrameSource<'a>> {
    let program = header
        .programs
        .iter()
        .find(|program| program.kind == PT_GNU_EH_FRAME)?;
    let hdr = bytes(header.file, program.offset, program.file_size)?;
    let bases = bases(header).set_eh_frame_hdr(program.svma);
    let hdr = EhFrameHdr::new(hdr, LittleEndian).parse(&bases, 8).ok()?;
    let start = direct(hdr.eh_frame_ptr())?;
    let segment = segments
        .iter()
        .find(|segment| segment.offset_of(start).is_some())?;
    let into = start - segment.svma;
    let data = bytes(header.file, segment.offset + into, segment.size - into)?;
    let extent = match hdr.table() {
        None => Extent::Terminated,
        Some(table) => {
            let mut places = Vec::new();
            let mut rows = table.iter(&bases);
            // A broken table ends where it breaks.
            while let Ok(Some((_, place))) = rows.next() {
                let place = direct(place).and_then(|place| place.checked_sub(start));
                places.extend(
                    place
                        .filter(|place| *place < data.len() as u64)
                        .map(|at| at as usize),
                );
            }
            // In the section's order, and none twice.
            places.sort_unstable();
            places.dedup();
            Extent::Places(places)
        }
    };
    Some(EhFrameSource {
        data,
        bases: bases.set_eh_frame(start),
        extent,
    })
}

fn direct(pointer: Pointer) -> Option<u64> {
    match pointer {
        Pointer::Direct(svma) => Some(svma),
        Pointer::Indirect(_) => None,
    }
}

/// What `DW_EH_PE_textrel` and `DW_EH_PE_datarel` count from.
fn bases(header: &Header) -> BaseAddresses {
    let svma = |name| header.section(name).map(|section| section.svma);
    let mut bases = BaseAddresses::default();
    if let Some(text) = svma(".text") {
        bases = bases.set_text(text);
    }
    if let Some(got) = svma(".got") {
        bases = bases.set_got(got);
    }
    bases
}

/// A reader of little endian data.
pub(super) fn slice(data: &[u8]) -> EndianSlice<'_, LittleEndian> {
    EndianSlice::new(data, LittleEndian)
}
