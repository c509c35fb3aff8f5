//! From the parts of an ELF file to its table.

use agent_common::row::RULE_NONE;
use agent_common::step::Rule;
use gimli::{BaseAddresses, DebugFrame, EhFrame};

use super::elf::Header;
use super::frames::{Frames, places};
use super::functions::Functions;
use super::segments::{Segment, Segments};
use super::sources::{self, Extent, slice};
use super::spans::{Source, Span, flatten, overlay};
use super::table::{Builder, Table};
use super::{UnwindError, stubs};

/// Bytes that the entry function has if nothing says its size: `_start` is short.
const ENTRY_SIZE: u64 = 64;
/// Compilers begin functions at multiples of this and fill the space before them, which is never
/// executed: its rows would be one in ten.
const ALIGNMENT: u64 = 16;

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

    let mut functions = Functions::new(&segments);
    let mut spans = Vec::new();
    if let Some(source) = eh_frame {
        let data = source.data;
        let mut section = EhFrame::from(slice(data));
        section.set_address_size(8);
        section.set_vendor(header.machine.vendor());
        let mut frames = Frames::new(header.machine, section, data, &source.bases);
        spans = flatten(match source.extent {
            Extent::Section => functions.read(&mut frames, places(data, false))?,
            Extent::Terminated => functions.read(&mut frames, places(data, true))?,
            Extent::Places(places) => functions.read(&mut frames, places.into_iter())?,
        });
    }
    if let Some(data) = &debug_frame {
        let mut section = DebugFrame::from(slice(data));
        section.set_address_size(8);
        section.set_vendor(header.machine.vendor());
        let absolute = BaseAddresses::default();
        let mut frames = Frames::new(header.machine, section, data, &absolute);
        let found = functions.read(&mut frames, places(data, false))?;
        spans = overlay(spans, flatten(found));
    }
    spans = overlay(spans, stubs::linkage(header, &segments));
    if vdso {
        spans = overlay(stubs::trampolines(header, &segments), spans);
    }
    if let Some(entry) = header.entry() {
        end_at(&segments, entry, &mut spans);
    }
    assemble(&spans, functions)
}

/// The sections that rows come from.
pub(super) fn sources(header: &Header) -> Vec<&'static str> {
    let segments = Segments::from_headers(header);
    let eh_frame = sources::eh_frame(header, &segments).is_some();
    let debug_frame = sources::debug_frame(header).is_some();
    let both = [(".eh_frame", eh_frame), (".debug_frame", debug_frame)];
    let there = both.into_iter().filter(|(_, there)| *there);
    there.map(|(name, _)| name).collect()
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
            let limit = later
                .map_or(u64::MAX, |span| span.start)
                .min(end_of(segment));
            let span = Span {
                start,
                end: limit.min(start + ENTRY_SIZE),
                source: end,
            };
            spans.insert(next, span);
        }
    }
}

fn end_of(segment: &Segment) -> u64 {
    segment.offset + segment.size
}

/// Writes the rows of all spans, one behind the other.
fn assemble(spans: &[Span], mut functions: Functions) -> Result<Table, UnwindError> {
    let (Some(first), Some(last)) = (spans.first(), spans.last()) else {
        return Err(UnwindError::NoFrames);
    };
    let expected = functions.len() + spans.len();
    let mut builder = Builder::new(first.start, last.end, expected)?;
    let mut end = first.start;
    for span in spans {
        let padding = span.start - end < ALIGNMENT && span.start.is_multiple_of(ALIGNMENT);
        if end < span.start && !padding {
            builder.push(end, RULE_NONE)?;
        }
        functions.write(span, &mut builder)?;
        end = span.end;
    }
    builder.finish(end, functions.rules.into_vec())
}
