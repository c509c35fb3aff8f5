//! The functions of a file and their rows, in the order in which the file describes them.

use agent_common::row::RULE_NONE;
use agent_common::step::Rule;
use gimli::UnwindSection;

use super::UnwindError;
use super::frames::{Frames, Slice};
use super::program::{Change, Program, State};
use super::rule::Translator;
use super::rules::Rules;
use super::segments::Segments;
use super::spans::{Source, Span};
use super::table::{Builder, MOST_ROWS};

/// Most functions of one file; 130,000 were seen.
const MOST_FUNCTIONS: usize = 4 << 20;

/// A row of a function.
struct Row {
    /// Bytes from the function's start.
    into: u32,
    /// Number of the rule.
    rule: u16,
}

struct Function {
    /// File offset.
    start: u64,
    /// Where its rows end; they begin where those of the function before end.
    rows: u32,
}

/// The functions read so far.
pub(super) struct Functions<'s> {
    segments: &'s Segments,
    functions: Vec<Function>,
    rows: Vec<Row>,
    pub rules: Rules,
    /// Scratch memory of the functions' programs.
    remembered: Vec<State>,
}

impl<'s> Functions<'s> {
    /// For code in `segments`.
    pub fn new(segments: &'s Segments) -> Self {
        Self {
            segments,
            functions: Vec::new(),
            rows: Vec::new(),
            rules: Rules::new(),
            remembered: Vec::new(),
        }
    }

    /// Reads the functions whose entries are at `places`, and gives what they cover.
    pub fn read<'a, S: UnwindSection<Slice<'a>>>(
        &mut self,
        frames: &mut Frames<'a, S>,
        places: impl Iterator<Item = usize>,
    ) -> Result<Vec<Span>, UnwindError> {
        let mut spans = Vec::new();
        for at in places {
            spans.extend(self.function(frames, at)?);
        }
        Ok(spans)
    }

    /// Reads the function whose entry is at `at`, and gives what it covers; nothing if it is not
    /// code. Where its entry breaks off there is no rule.
    fn function<'a, S: UnwindSection<Slice<'a>>>(
        &mut self,
        frames: &mut Frames<'a, S>,
        at: usize,
    ) -> Result<Option<Span>, UnwindError> {
        let Some((common, fde)) = frames.function(at)? else {
            return Ok(None);
        };
        // Svma 0 is never code: functions that the linker threw away keep entries like that.
        let svma = fde.initial_address();
        let Some((segment, start)) = self.segments.code(svma).filter(|_| svma != 0) else {
            return Ok(None);
        };
        let size = fde.len().min(segment.offset + segment.size - start);
        if size == 0 || size > u32::MAX as u64 {
            return Ok(None);
        }
        if self.functions.len() == MOST_FUNCTIONS {
            return Err(UnwindError::TooComplex);
        }
        frames.spend(fde.entry_len())?;

        let translator = Translator {
            terms: &common.terms,
            data: frames.data,
        };
        let instructions = fde.instructions(&frames.section, frames.bases);
        let range = (svma, svma.saturating_add(size));
        let mut program = Program::new(
            &common.terms,
            common.initial,
            instructions,
            range,
            &mut self.remembered,
        );
        // Bytes up to which there are rows, and what changed since.
        let mut covered = 0;
        let mut change = Change::Any;
        let mut rule = Rule::default();
        while covered < size
            && let Ok(Some(row)) = program.next_row()
        {
            change = change.max(row.change);
            if change != Change::None {
                if change == Change::Any || !translator.move_cfa(&mut rule, &program.state) {
                    rule = translator.rule(&program.state);
                }
                if self.rows.len() >= MOST_ROWS {
                    return Err(UnwindError::TooManyRows(MOST_ROWS));
                }
                self.rows.push(Row {
                    into: covered as u32,
                    rule: self.rules.number(&rule),
                });
                change = Change::None;
            }
            covered = row.end - svma;
        }
        if covered < size {
            self.rows.push(Row {
                into: covered as u32,
                rule: RULE_NONE,
            });
        }
        let number = self.functions.len() as u32;
        self.functions.push(Function {
            start,
            rows: self.rows.len() as u32,
        });
        Ok(Some(Span {
            start,
            end: start + size,
            source: Source::Function(number),
        }))
    }

    /// Writes the rows of `span`.
    pub fn write(&mut self, span: &Span, builder: &mut Builder) -> Result<(), UnwindError> {
        let number = match span.source {
            Source::Fixed(rule) => return builder.push(span.start, self.rules.number(rule)),
            Source::Function(number) => number as usize,
        };
        let first = number
            .checked_sub(1)
            .map_or(0, |before| self.functions[before].rows);
        let Function { start, rows } = self.functions[number];
        let rows = &self.rows[first as usize..rows as usize];
        // The row in force at the span's start, and those that begin in it.
        let into = (span.start - start) as u32;
        let rest = match into {
            0 => 1,
            _ => rows.partition_point(|row| row.into <= into),
        };
        builder.push(span.start, rows[rest - 1].rule)?;
        for row in &rows[rest..] {
            let offset = start + row.into as u64;
            if offset >= span.end {
                break;
            }
            builder.push(offset, row.rule)?;
        }
        Ok(())
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}
