//! Which code an entry describes. gimli's own `die_ranges` adds without looking whether the sum fits.

use gimli::AttributeValue;

use super::watch::{Halt, Watch};
use super::{Dwarf, Slice, Unit};

/// Calls `visit` with the begin and the end of each range that an entry's `DW_AT_low_pc`,
/// `DW_AT_high_pc` and `DW_AT_ranges` give.
pub fn for_each<'a>(
    dwarf: &Dwarf<'a>,
    unit: &Unit<'a>,
    [low, high, ranges]: [Option<AttributeValue<Slice<'a>>>; 3],
    watch: &mut Watch,
    mut visit: impl FnMut(u64, u64, &mut Watch) -> Result<(), Halt>,
) -> Result<(), Halt> {
    if let Some(ranges) = ranges {
        // A list that ends in rubbish ends there.
        if let Ok(Some(mut ranges)) = dwarf.attr_ranges(unit, ranges) {
            // `next` would skip any number of empty ranges, uncounted; many entries may share a list.
            while let Ok(Some(raw)) = ranges.next_raw() {
                watch.step()?;
                match ranges.convert_raw(raw) {
                    Ok(Some(range)) if range.begin < range.end => {
                        visit(range.begin, range.end, watch)?;
                    }
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
        return Ok(());
    }
    let Some(low) = low.and_then(|low| dwarf.attr_address(unit, low).ok()?) else {
        return Ok(());
    };
    let end = match high {
        None => return Ok(()),
        Some(high) => match dwarf.attr_address(unit, high) {
            Ok(Some(address)) => Some(address),
            _ => high.udata_value().and_then(|size| low.checked_add(size)),
        },
    };
    match end {
        Some(end) if low < end => visit(low, end, watch),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gimli::{EndianSlice, LittleEndian};

    use super::*;

    /// A unit of DWARF 4 that says of itself only that its ranges are the list at 0.
    const ABBREVIATIONS: [u8; 8] = [1, 0x11, 0, 0x55, 0x17, 0, 0, 0];
    const UNIT: [u8; 16] = [12, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0, 0];

    #[test]
    fn empty_ranges_count_as_work() {
        let list: Vec<u8> = [8_u64.to_le_bytes(); 2 * 10_000].concat();
        let dwarf = Dwarf::load(|section| {
            let bytes: &[u8] = match section {
                gimli::SectionId::DebugAbbrev => &ABBREVIATIONS,
                gimli::SectionId::DebugInfo => &UNIT,
                gimli::SectionId::DebugRanges => &list,
                _ => &[],
            };
            Ok::<_, gimli::Error>(EndianSlice::new(bytes, LittleEndian))
        })
        .unwrap();
        let header = dwarf.units().next().unwrap().unwrap();
        let unit = dwarf.unit(header).unwrap();
        let ranges = Some(AttributeValue::RangeListsRef(gimli::RawRangeListsOffset(0)));
        let mut watch = Watch::new(Duration::ZERO);
        let done = for_each(
            &dwarf,
            &unit,
            [None, None, ranges],
            &mut watch,
            |_, _, _| Ok(()),
        );
        assert!(matches!(done, Err(Halt::TooCostly(_))));
    }
}
