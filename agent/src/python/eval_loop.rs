//! The address ranges of the evaluation loop, by which frames of 3.8 to 3.10 are placed.

use std::ops::Range;

use gimli::{BaseAddresses, CieOrFde, EhFrame, LittleEndian, UnwindSection};
use object::elf::SHT_SYMTAB;

use super::elf::{Elf, Kind};
use super::memory::i32_at;

const EVAL_LOOP: &str = "_PyEval_EvalFrameDefault";

/// Fewest jumps that tell a cold part from misread bytes.
const MIN_JUMPS: usize = 3;

/// svma ranges of the evaluation loop: the function, and the part that a profile-guided build
/// moved away, of which the symbol's size tells nothing.
pub(super) fn ranges(elf: &Elf<'_>) -> Vec<Range<u64>> {
    let Some(symbol) = elf.symbol(EVAL_LOOP, Kind::Function) else {
        return Vec::new();
    };
    let hot = symbol.svma..symbol.svma.saturating_add(symbol.size);
    let named = elf.symbols(SHT_SYMTAB, Kind::Function, |name| {
        let rest = name.strip_prefix(EVAL_LOOP.as_bytes())?;
        rest.starts_with(b".cold").then_some(())
    });
    let mut ranges = vec![hot.clone()];
    if named.is_empty() {
        ranges.extend(cold_part(elf, &hot));
    }
    ranges.extend(
        named
            .iter()
            .map(|(_, it)| it.svma..it.svma.saturating_add(it.size)),
    );
    ranges.retain(|range| !range.is_empty());
    ranges
}

/// The part of a function that stands elsewhere without a symbol: direct jumps out of the hot part
/// that do not go to the start of a function (those are tail calls) land in it and nowhere else.
/// In Debian's 3.13 to 3.15 that is where nearly the whole loop is.
fn cold_part(elf: &Elf<'_>, hot: &Range<u64>) -> Option<Range<u64>> {
    let functions = functions(elf)?;
    let code = elf.bytes(hot.start, usize::try_from(hot.end - hot.start).ok()?);
    let mut hits: Vec<(usize, usize)> = Vec::new();
    // Every byte may begin a jump; what is none mostly leads nowhere.
    for at in 0..code.len() {
        let operand = match code[at..] {
            [0xE9, ..] => at + 1,
            [0x0F, 0x80..=0x8F, ..] => at + 2,
            _ => continue,
        };
        let Some(distance) = i32_at(code, operand) else {
            continue;
        };
        let next = hot.start.wrapping_add(operand as u64 + 4);
        let target = next.wrapping_add_signed(distance.into());
        let after = functions.partition_point(|range| range.start <= target);
        let Some(index) = after.checked_sub(1) else {
            continue;
        };
        let range = &functions[index];
        if hot.contains(&target) || !range.contains(&target) || range.start == target {
            continue;
        }
        match hits.iter_mut().find(|(function, _)| *function == index) {
            Some((_, count)) => *count += 1,
            None => hits.push((index, 1)),
        }
    }
    let all: usize = hits.iter().map(|(_, count)| count).sum();
    let (index, count) = hits.into_iter().max_by_key(|(_, count)| *count)?;
    (count >= MIN_JUMPS && count * 2 > all).then(|| functions[index].clone())
}

/// The ranges of all functions that `.eh_frame` describes, sorted.
fn functions(elf: &Elf<'_>) -> Option<Vec<Range<u64>>> {
    let (svma, data) = elf.section(".eh_frame")?;
    let frames = EhFrame::new(data, LittleEndian);
    let bases = BaseAddresses::default().set_eh_frame(svma);
    let mut ranges = Vec::new();
    let mut entries = frames.entries(&bases);
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else {
            continue;
        };
        let Ok(fde) = partial.parse(EhFrame::cie_from_offset) else {
            continue;
        };
        let start = fde.initial_address();
        ranges.extend(start.checked_add(fde.len()).map(|end| start..end));
    }
    ranges.sort_by_key(|range| range.start);
    Some(ranges)
}
