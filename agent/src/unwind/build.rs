//! From the parts of an ELF file to its table.

use agent_common::step::Rule;
use gimli::{BaseAddresses, DebugFrame, EhFrame};

use super::assembly::Assembly;
use super::elf::Header;
use super::frames::{Entry, Frames};
use super::segments::{Segment, Segments};
use super::sources::{self, Extent, slice};
use super::spans::{Source, Span, flatten, overlay};
use super::table::Table;
use super::{UnwindError, stubs};

/// Bytes that the entry function has if nothing says its size: `_start` is short.
const ENTRY_SIZE: u64 = 64;

/// `vdso`: the file is the kernel's image, in which signal handlers return.
pub(super) fn build(header: &Header, vdso: bool) -> Result<Table, UnwindError> {
    let segments = Segments::from_headers(header);
    if segments.executable().next().is_none() {
        return Err(UnwindError::NoCode);
    }
    let eh_frame = sources::eh_frame(header, &segments);
    let debug_frame = sources::debug_frame(header);
    if eh_frame.is_none() && debug_frame.is_none() {
        return Err(UnwindError::NoFrames);
    }

    let mut eh_frame = eh_frame.as_ref().map(|source| {
        let mut section = EhFrame::from(slice(source.data));
        section.set_address_size(8);
        section.set_vendor(header.machine.vendor());
        (Frames::new(header.machine, section, source.data, &source.bases), &source.extent)
    });
    let absolute = BaseAddresses::default();
    let mut debug_frame = debug_frame.as_deref().map(|data| {
        let mut section = DebugFrame::from(slice(data));
        section.set_address_size(8);
        section.set_vendor(header.machine.vendor());
        Frames::new(header.machine, section, data, &absolute)
    });

    let mut spans = Vec::new();
    if let Some((frames, extent)) = &mut eh_frame {
        let entries = match extent {
            Extent::Section => frames.scan(false)?,
            Extent::Terminated => frames.scan(true)?,
            Extent::Places(places) => frames.read(places)?,
        };
        spans = place(&segments, entries, Source::EhFrame);
    }
    if let Some(frames) = &mut debug_frame {
        let entries = frames.scan(false)?;
        spans = overlay(spans, place(&segments, entries, Source::DebugFrame));
    }
    spans = overlay(spans, stubs::linkage(header, &segments));
    if vdso {
        spans = overlay(stubs::trampolines(header, &segments), spans);
    }
    if let Some(entry) = header.entry() {
        end_at(&segments, entry, &mut spans);
    }
    let eh_frame = eh_frame.map(|(frames, _)| frames);
    Assembly::new(&segments, eh_frame, debug_frame).table(&spans)
}

/// Where in the file the functions are: sorted, without overlaps, and only what is code.
fn place(segments: &Segments, entries: Vec<Entry>, source: fn(usize) -> Source) -> Vec<Span> {
    let mut spans = Vec::with_capacity(entries.len());
    for Entry { svma, size, at } in entries {
        if let Some((segment, start)) = segments.code(svma) {
            let end = start + size.min(end_of(segment) - start);
            spans.push(Span { start, end, source: source(at) });
        }
    }
    flatten(spans)
}

fn end_of(segment: &Segment) -> u64 {
    segment.offset + segment.size
}

/// Makes the function at `entry` (an svma) the outermost one.
fn end_at(segments: &Segments, entry: u64, spans: &mut Vec<Span>) {
    let Some((segment, start)) = segments.code(entry) else {
        return;
    };
    let end = Source::Fixed(&Rule::END);
    let next = spans.partition_point(|span| span.end <= start);
    match spans.get(next) {
        Some(span) if span.start <= start => {
            let function = span.source;
            for span in spans.iter_mut().filter(|span| span.source == function) {
                span.source = end;
            }
        }
        later => {
            let limit = later.map_or(u64::MAX, |span| span.start).min(end_of(segment));
            let span = Span { start, end: limit.min(start + ENTRY_SIZE), source: end };
            spans.insert(next, span);
        }
    }
}
