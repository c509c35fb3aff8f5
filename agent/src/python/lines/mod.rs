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

/// The runs of a table; of a part of one, only those that the part tells whole.
fn runs<'a>(
    version: Version,
    table: &'a [u8],
    first_line: i32,
    part: Part,
) -> Box<dyn Iterator<Item = Run> + 'a> {
    if version.since(11) {
        Box::new(location::runs(table, first_line, part))
    } else if version.since(10) {
        Box::new(linetable310::runs(table, first_line))
    } else {
        Box::new(lnotab::runs(table, first_line, part))
    }
}

/// How much of a line table there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Beginning,
}

/// The line of the instruction at byte offset `instruction`, which may name an inline cache entry
/// of the instruction too (3.11 and 3.12 point at the last unit executed). -1 or -2: the frame was
/// not started, which is the first line. None: the instruction has no line, or is no instruction
/// of this code.
pub fn line(version: Version, table: &[u8], first_line: i32, instruction: i32) -> Option<i32> {
    match place(instruction) {
        Place::NotStarted => Some(first_line),
        Place::At(at) => {
            runs(version, table, first_line, Part::Whole)
                .find(|run| at < run.end)?
                .line
        }
        Place::Nowhere => None,
    }
}

enum Place {
    NotStarted,
    At(i64),
    Nowhere,
}

fn place(instruction: i32) -> Place {
    match instruction {
        0.. => Place::At(instruction.into()),
        // f_lasti before 3.10; a unit of two bytes since.
        -2..0 => Place::NotStarted,
        // The kernel side's mark for a pointer that is not into the code.
        _ => Place::Nowhere,
    }
}

/// A decoded table, for code of which many instructions are asked.
#[derive(Clone, Debug)]
pub struct Decoder {
    first_line: i32,
    runs: Vec<Run>,
}

impl Decoder {
    pub fn new(version: Version, table: &[u8], first_line: i32) -> Self {
        Self::of(version, table, first_line, Part::Whole)
    }

    /// Of the first bytes of a table: what they don't tell for certain has no line.
    pub fn of_beginning(version: Version, table: &[u8], first_line: i32) -> Self {
        Self::of(version, table, first_line, Part::Beginning)
    }

    fn of(version: Version, table: &[u8], first_line: i32, part: Part) -> Self {
        let runs = runs(version, table, first_line, part).collect();
        Self { first_line, runs }
    }

    /// As [`line`].
    pub fn line(&self, instruction: i32) -> Option<i32> {
        match place(instruction) {
            Place::NotStarted => Some(self.first_line),
            Place::At(at) => {
                let index = self.runs.partition_point(|run| run.end <= at);
                self.runs.get(index)?.line
            }
            Place::Nowhere => None,
        }
    }
}
