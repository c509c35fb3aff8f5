//! `co_linetable` of 3.10 (PEP 626): pairs of how far the end of the run (u8) and the line (i8)
//! advance; -128 marks instructions without a line and leaves the running line alone.

use super::Run;

const NO_LINE: i8 = -128;

pub(super) fn runs(table: &[u8], first_line: i32) -> impl Iterator<Item = Run> {
    let mut end = 0i64;
    let mut running = first_line;
    table.chunks_exact(2).map(move |pair| {
        end += i64::from(pair[0]);
        let delta = pair[1] as i8;
        if delta != NO_LINE {
            running = running.wrapping_add(delta.into());
        }
        Run {
            end,
            line: (delta != NO_LINE).then_some(running),
        }
    })
}
