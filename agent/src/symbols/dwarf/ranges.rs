//! Which code an entry describes. gimli's own `die_ranges` adds without looking whether the sum fits.

use gimli::AttributeValue;

use super::watch::Halt;
use super::{Dwarf, Slice, Unit};

/// Calls `visit` with the begin and the end of each range that an entry's `DW_AT_low_pc`,
/// `DW_AT_high_pc` and `DW_AT_ranges` give.
pub fn for_each<'a>(
    dwarf: &Dwarf<'a>,
    unit: &Unit<'a>,
    [low, high, ranges]: [Option<AttributeValue<Slice<'a>>>; 3],
    mut visit: impl FnMut(u64, u64) -> Result<(), Halt>,
) -> Result<(), Halt> {
    if let Some(ranges) = ranges {
        // A list that ends in rubbish ends there.
        if let Ok(Some(mut ranges)) = dwarf.attr_ranges(unit, ranges) {
            while let Ok(Some(range)) = ranges.next() {
                if range.begin < range.end {
                    visit(range.begin, range.end)?;
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
        Some(end) if low < end => visit(low, end),
        _ => Ok(()),
    }
}
