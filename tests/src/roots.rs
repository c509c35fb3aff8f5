//! Whether stacks reach their root: where the process or the thread began.

use crate::folded::{Frame, Sample};
use crate::verdict::Verdict;

/// Functions in which a process or thread begins. The C library's own thread start is a local symbol, so that in a stripped
/// library it has no name: then the frame is an unnamed one of that library.
const STARTS: [&str; 6] = [
    "_start",
    "clone",
    "__clone",
    "clone3",
    "__clone3",
    "thread_start",
];

/// Counts samples that begin at a root. What lies above is for other checks to judge.
pub fn judge(samples: &[Sample], entries: u64) -> Verdict {
    let mut verdict = Verdict::of(entries);
    for sample in samples {
        match fault(&sample.frames) {
            None => verdict.good(sample.count),
            Some(why) => verdict.wrong(why, sample.count),
        }
    }
    verdict
}

fn fault(frames: &[Frame]) -> Option<String> {
    if let Some(Frame::Cut { reason }) = frames
        .iter()
        .find(|frame| matches!(frame, Frame::Cut { .. }))
    {
        return Some(format!("cut: {reason}"));
    }
    match frames.first() {
        Some(Frame::Native {
            name: Some(name), ..
        }) if STARTS.contains(&name.as_str()) => None,
        Some(Frame::Native {
            name: None,
            at: Some(place),
        }) if place.file.starts_with("libc.so") => None,
        // A stack that is all kernel: the thread has not yet been in user space, or is just leaving it for good.
        Some(Frame::Kernel { name }) if name.starts_with("ret_from_fork") => None,
        Some(frame) => Some(format!("begins at {frame:?}")),
        None => Some("no frames".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folded::parse;

    #[test]
    fn only_a_known_start_is_a_root() {
        let text = "x 1;_start;main 90\nx 1;libc.so.6+0x1098eb;f 5\nx 1;main 3\nx 1;[cut: no_row];main 2\n";
        let verdict = judge(&parse(text).expect("the text is right"), 100);
        assert_eq!(verdict.wrong_count(), 5);
        assert!(verdict.at_least(0.95, 1).is_ok() && verdict.at_least(0.96, 1).is_err());
    }
}
