//! Which function describes which bytes of the file, without overlaps.

use agent_common::step::Rule;

/// Where a span's rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The function with this number.
    Function(u32),
    /// One rule for all of it.
    Fixed(&'static Rule),
}

/// Bytes `start..end` of the file: a function, or what others leave of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub start: u64,
    pub end: u64,
    pub source: Source,
}

/// Sorts `functions` and takes overlaps away: as for a lookup in `.eh_frame_hdr`, the function
/// that begins last before an address has it, and of those that begin at the same one the first.
pub(super) fn flatten(mut functions: Vec<Span>) -> Vec<Span> {
    functions.sort_by_key(|function| function.start);
    functions.dedup_by_key(|function| function.start);
    let disjoint = functions
        .windows(2)
        .all(|pair| pair[0].end <= pair[1].start);
    if disjoint {
        return functions;
    }
    let mut spans = Vec::with_capacity(functions.len());
    // Functions that were interrupted by a later one and may go on behind it.
    let mut open: Vec<Span> = Vec::new();
    let mut functions = functions.into_iter().peekable();
    let mut at = 0;
    loop {
        let next = functions.peek().map_or(u64::MAX, |function| function.start);
        while let Some(top) = open.last()
            && at < next
        {
            let end = top.end.min(next);
            if at < end {
                spans.push(Span {
                    start: at,
                    end,
                    ..*top
                });
                at = end;
            }
            if top.end <= at {
                open.pop();
            }
        }
        let Some(function) = functions.next() else {
            return spans;
        };
        at = function.start;
        open.push(function);
    }
}

/// `first`, and of `second` what `first` leaves free. Both sorted and without overlaps.
pub(super) fn overlay(first: Vec<Span>, second: Vec<Span>) -> Vec<Span> {
    if second.is_empty() {
        return first;
    }
    let mut spans = Vec::with_capacity(first.len() + second.len());
    let mut taken = first.into_iter().peekable();
    let mut free = 0;
    for span in second {
        let mut start = span.start.max(free);
        while let Some(next) = taken.next_if(|next| next.start < span.end) {
            if start < next.start {
                spans.push(Span {
                    start,
                    end: next.start,
                    ..span
                });
            }
            free = next.end;
            start = start.max(free);
            spans.push(next);
        }
        if start < span.end {
            spans.push(Span { start, ..span });
        }
    }
    spans.extend(taken);
    spans
}
