//! Reading of the table: fixed numbers, texts, and the deltas in which values for ranges of code
//! are packed.

/// Most bytes of a name or path.
const TEXT_LIMIT: usize = 4096;

pub fn word(data: &[u8], offset: usize) -> Option<u32> {
    let bytes = data.get(offset..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes))
}

pub fn long(data: &[u8], offset: usize) -> Option<u64> {
    let bytes = data.get(offset..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*bytes))
}

/// The text that a 0 byte ends.
pub fn text(data: &[u8], offset: usize) -> Option<&str> {
    let rest = data.get(offset..)?;
    let rest = &rest[..rest.len().min(TEXT_LIMIT)];
    let end = rest.iter().position(|byte| *byte == 0)?;
    let text = std::str::from_utf8(&rest[..end]).ok()?;
    (!text.is_empty()).then_some(text)
}

/// The value that holds at `distance` bytes behind the function's beginning: pairs of how the value
/// changes and how far it holds (`runtime.pcvalue`). Each pair takes a step of `work`.
pub fn at(table: &[u8], distance: u64, quantum: u64, work: &mut u64) -> Option<i32> {
    let mut rest = table;
    let mut value = -1_i32;
    let mut end = 0_u64;
    loop {
        *work = work.checked_sub(1)?;
        let change = variable(&mut rest)?;
        // The first pair may begin with 0, any other ends the table.
        if change == 0 && end != 0 {
            return None;
        }
        let change = (change >> 1) as i32 ^ -((change & 1) as i32);
        value = value.wrapping_add(change);
        end = end.checked_add(u64::from(variable(&mut rest)?).checked_mul(quantum)?)?;
        if distance < end {
            return Some(value);
        }
    }
}

/// A number of seven bits a byte, lowest first.
fn variable(rest: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u32;
    for shift in (0..35).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
