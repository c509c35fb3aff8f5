//! `co_lnotab` of 3.6 to 3.9 (Objects/lnotab_notes.txt of those versions): pairs of how far the
//! offset (u8) and the line (i8) advance. The last line holds to the end of the code.

use super::{Part, Run};

pub(super) fn runs(table: &[u8], first_line: i32, part: Part) -> impl Iterator<Item = Run> {
    let mut end = 0i64;
    let mut running = first_line;
    // Behind a part of a table, other pairs might have followed.
    let last = (part == Part::Whole).then_some(None);
    table
        .chunks_exact(2)
        .map(Some)
        .chain(last)
        .map(move |pair| {
            let line = Some(running);
            let Some(pair) = pair else {
                return Run {
                    end: i64::MAX,
                    line,
                };
            };
            end += i64::from(pair[0]);
            running = running.wrapping_add((pair[1] as i8).into());
            Run { end, line }
        })
}
