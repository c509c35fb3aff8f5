//! Location table of 3.11 and later (Objects/locations.md, PEP 657). An entry begins with a byte
//! that has the top bit set, then a code (4 bits) and how many code units it covers less one
//! (3 bits); the following bytes, without the top bit, depend on the code.

use super::{Part, Run};

/// How an entry tells its line.
const NO_COLUMNS: u8 = 13;
const LONG: u8 = 14;
const NONE: u8 = 15;

pub(super) fn runs(table: &[u8], first_line: i32, part: Part) -> impl Iterator<Item = Run> {
    let mut rest = table;
    let mut end = 0i64;
    let mut running = first_line;
    std::iter::from_fn(move || {
        let (&first, following) = rest.split_first()?;
        let length = following.iter().take_while(|byte| **byte < 0x80).count();
        let (operands, next) = following.split_at(length);
        if next.is_empty() && part == Part::Beginning {
            // Operands may be missing.
            return None;
        }
        rest = next;
        let code = first >> 3 & 15;
        running = running.wrapping_add(delta(code, operands));
        end += 2 * (i64::from(first & 7) + 1);
        Some(Run {
            end,
            line: (code != NONE).then_some(running),
        })
    })
}

/// How far an entry moves the running line. One without a line (15) does not.
fn delta(code: u8, operands: &[u8]) -> i32 {
    match code {
        11 => 1,
        12 => 2,
        NO_COLUMNS | LONG => signed(operands),
        _ => 0,
    }
}

/// A signed number: 6 bits a byte, lowest first, bit 6 says that more follow; bit 0 of the whole is
/// the sign.
fn signed(operands: &[u8]) -> i32 {
    let mut number = 0u32;
    for (index, byte) in operands.iter().enumerate() {
        let shift = 6 * index as u32;
        number |= u32::from(byte & 0x3F).checked_shl(shift).unwrap_or(0);
        if byte & 0x40 == 0 {
            break;
        }
    }
    let half = (number >> 1) as i32;
    if number & 1 == 1 { -half } else { half }
}
