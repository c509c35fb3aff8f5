//! Lines of instructions, exactly as CPython tells them: `co_lines()` from 3.10 on,
//! `dis.findlinestarts` before.

mod linetable310;
mod lnotab;
mod location;

use super::version::Version;

/// A run of instructions with one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Byte offset behind its last instruction.
    end: i64,
    /// None: the compiler gave these instructions no line.
    line: Option<i32>,
}

fn runs(version: Version, table: &[u8], first_line: i32) -> Box<dyn Iterator<Item = Run> + '_> {
    if version.since(11) {
        Box::new(location::runs(table, first_line))
    } else if version.since(10) {
        Box::new(linetable310::runs(table, first_line))
    } else {
        Box::new(lnotab::runs(table, first_line))
    }
}

/// The line of the instruction at byte offset `instruction`, which may name an inline cache entry
/// of the instruction too (3.11 and 3.12 point at the last unit executed). Negative: the frame was
/// not started, which is the first line. None: the instruction has no line, or lies behind the
/// table.
pub fn line(version: Version, table: &[u8], first_line: i32, instruction: i32) -> Option<i32> {
    if instruction < 0 {
        return Some(first_line);
    }
    let at = i64::from(instruction);
    runs(version, table, first_line)
        .find(|run| at < run.end)?
        .line
}

/// A decoded table, for code of which many instructions are asked.
#[derive(Clone, Debug)]
pub struct Decoder {
    first_line: i32,
    runs: Vec<Run>,
}

impl Decoder {
    pub fn new(version: Version, table: &[u8], first_line: i32) -> Self {
        Self {
            first_line,
            runs: runs(version, table, first_line).collect(),
        }
    }

    /// As [`line`].
    pub fn line(&self, instruction: i32) -> Option<i32> {
        if instruction < 0 {
            return Some(self.first_line);
        }
        let at = i64::from(instruction);
        let index = self.runs.partition_point(|run| run.end <= at);
        self.runs.get(index)?.line
    }
}
