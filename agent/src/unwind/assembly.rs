//! Writes the rows of all functions of a file, one behind the other.

use agent_common::row::RULE_NONE;
use agent_common::step::Rule;
use gimli::{DebugFrame, EhFrame, UnwindSection};

use super::UnwindError;
use super::frames::{Frames, Function, Slice};
use super::program::{Change, Program, State};
use super::rule::Translator;
use super::rules::Rules;
use super::segments::Segments;
use super::spans::{Source, Span};
use super::table::{Builder, Table};

/// Compilers begin functions at multiples of this and fill the space before them, which is never
/// executed: its rows would be one in ten.
const ALIGNMENT: u64 = 16;
pub(super) struct Assembly<'a, 's> {
    segments: &'s Segments,
    eh_frame: Option<Frames<'a, EhFrame<Slice<'a>>>>,
    debug_frame: Option<Frames<'a, DebugFrame<Slice<'a>>>>,
    rules: Rules,
    /// Scratch memory of the functions' programs.
    remembered: Vec<State>,
}

impl<'a, 's> Assembly<'a, 's> {
    pub fn new(
        segments: &'s Segments,
        eh_frame: Option<Frames<'a, EhFrame<Slice<'a>>>>,
        debug_frame: Option<Frames<'a, DebugFrame<Slice<'a>>>>,
    ) -> Self {
        Self { segments, eh_frame, debug_frame, rules: Rules::new(), remembered: Vec::new() }
    }

    /// The table of `spans`, which are sorted and do not overlap.
    pub fn table(mut self, spans: &[Span]) -> Result<Table, UnwindError> {
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else {
            return Err(UnwindError::NoFrames);
        };
        // 8 rows a function is what compilers make.
        let mut builder = Builder::new(first.start, last.end, spans.len().saturating_mul(8))?;
        for (span, next) in spans.iter().zip(spans.iter().skip(1).map(Some).chain([None])) {
            self.span(span, &mut builder)?;
            let Some(next) = next else {
                break;
            };
            let padding = next.start - span.end < ALIGNMENT && next.start % ALIGNMENT == 0;
            if span.end < next.start && !padding {
                builder.push(span.end, RULE_NONE)?;
            }
        }
        builder.finish(last.end, self.rules.into_vec())
    }

    fn span(&mut self, span: &Span, builder: &mut Builder) -> Result<(), UnwindError> {
        let Self { segments, eh_frame, debug_frame, rules, remembered } = self;
        let mut rows = Rows { segments, rules, remembered, builder };
        match (span.source, eh_frame, debug_frame) {
            (Source::Fixed(rule), ..) => rows.push(span.start, rule),
            (Source::EhFrame(at), Some(frames), _) => rows.function(frames, at, span),
            (Source::DebugFrame(at), _, Some(frames)) => rows.function(frames, at, span),
            _ => rows.none(span.start),
        }
    }
}

struct Rows<'r> {
    segments: &'r Segments,
    rules: &'r mut Rules,
    remembered: &'r mut Vec<State>,
    builder: &'r mut Builder,
}

impl Rows<'_> {
    fn push(&mut self, offset: u64, rule: &Rule) -> Result<(), UnwindError> {
        self.builder.push(offset, self.rules.number(rule))
    }

    fn none(&mut self, offset: u64) -> Result<(), UnwindError> {
        self.builder.push(offset, RULE_NONE)
    }

    /// The rows of the function whose entry is at `at`, as far as they are in `span`. Where the
    /// entry breaks off there is no rule.
    fn function<'a, S: UnwindSection<Slice<'a>>>(
        &mut self,
        frames: &mut Frames<'a, S>,
        at: usize,
        span: &Span,
    ) -> Result<(), UnwindError> {
        let Some(Function { common, fde }) = frames.function(at)? else {
            return self.none(span.start);
        };
        frames.spend(fde.entry_len())?;
        let start = fde.initial_address();
        let Some((_, start_offset)) = self.segments.code(start) else {
            return self.none(span.start);
        };
        let translator = Translator { terms: &common.terms, data: frames.data };
        let instructions = fde.instructions(&frames.section, frames.bases);
        let range = (start, start.saturating_add(fde.len()));
        let mut program =
            Program::new(&common.terms, common.initial, instructions, range, self.remembered);

        // Offset up to which rows were pushed, and what changed since.
        let mut covered = span.start;
        let mut change = Change::Any;
        let mut rule = Rule::default();
        while let Ok(Some(row)) = program.next_row() {
            change = change.max(row.change);
            let end = (row.end - start).saturating_add(start_offset).min(span.end);
            if end <= covered {
                continue;
            }
            if change != Change::None {
                if change == Change::Any || !translator.move_cfa(&mut rule, &program.state) {
                    rule = translator.rule(&program.state);
                }
                self.builder.push(covered, self.rules.number(&rule))?;
                change = Change::None;
            }
            covered = end;
            if covered == span.end {
                return Ok(());
            }
        }
        self.none(covered)
    }
}
