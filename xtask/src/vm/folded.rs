//! Looks for a known chain of calls in folded stacks (`root;…;leaf COUNT` a line).

/// What may stand between two functions of the chain.
#[derive(Clone, Copy, PartialEq)]
pub enum Between {
    Nothing,
    /// Frames of other languages: the interpreter's own between two runs of Python frames.
    OtherFrames,
}

#[derive(Debug, Default, PartialEq)]
pub struct Share {
    /// Samples whose stack has the chain's last function.
    pub leaf: u64,
    /// Those of them that have every function of the chain, in order.
    pub whole: u64,
    /// The most frequent stack among the others.
    pub worst: Option<(String, u64)>,
}

/// `chain` is root first, and its last function's name must be nobody else's.
pub fn share(folded: &str, chain: &[&str], between: Between) -> Share {
    let mut share = Share::default();
    let Some(last) = chain.last() else {
        return share;
    };
    for (stack, count) in folded.lines().filter_map(parse_line) {
        let frames: Vec<&str> = stack.split(';').collect();
        if !frames.iter().any(|frame| is_function(frame, last)) {
            continue;
        }
        share.leaf += count;
        if holds(&frames, chain, between) {
            share.whole += count;
        } else if share.worst.as_ref().is_none_or(|(_, most)| count > *most) {
            share.worst = Some((stack.to_owned(), count));
        }
    }
    share
}

fn parse_line(line: &str) -> Option<(&str, u64)> {
    let (stack, count) = line.trim_end().rsplit_once(' ')?;
    Some((stack, count.parse().ok()?))
}

fn holds(frames: &[&str], chain: &[&str], between: Between) -> bool {
    match between {
        Between::Nothing => frames.windows(chain.len()).any(|window| {
            window
                .iter()
                .zip(chain)
                .all(|(frame, name)| is_function(frame, name))
        }),
        Between::OtherFrames => {
            let mut rest = frames.iter();
            chain
                .iter()
                .all(|name| rest.any(|frame| is_function(frame, name)))
        }
    }
}

/// The name, whole, with whatever the format puts around it: file, line, module, offset.
fn is_function(frame: &str, name: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    frame.match_indices(name).any(|(at, _)| {
        let before = frame[..at].chars().next_back();
        let after = frame[at + name.len()..].chars().next();
        !before.is_some_and(part_of_name) && !after.is_some_and(part_of_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: [&str; 3] = ["main", "level_1", "leaf"];

    #[test]
    fn whole_chains_with_decorated_names() {
        let folded =
            "chain;_start;main;level_1 (chain.c:12);leaf+0x12 7\nchain;idle 3\nnot folded\n";
        assert_eq!(
            share(folded, &CHAIN, Between::Nothing),
            Share {
                leaf: 7,
                whole: 7,
                worst: None
            }
        );
    }

    #[test]
    fn a_gap_counts_only_where_it_is_allowed() {
        let folded = "main;[unknown];level_1;leaf 2";
        assert_eq!(share(folded, &CHAIN, Between::Nothing).whole, 0);
        assert_eq!(share(folded, &CHAIN, Between::OtherFrames).whole, 2);
    }

    #[test]
    fn wrong_order_and_cut_stacks_are_not_whole() {
        let folded = "level_1;main;leaf 2\n[cut];level_1;leaf 5\nmain;level_1;leaf 1";
        let share = share(folded, &CHAIN, Between::OtherFrames);
        assert_eq!(
            share,
            Share {
                leaf: 8,
                whole: 1,
                worst: Some(("[cut];level_1;leaf".into(), 5))
            }
        );
    }

    #[test]
    fn part_of_a_name_is_another_function() {
        assert!(!is_function("main_loop", "main"));
        assert!(!is_function("leaf2", "leaf"));
        assert!(is_function("<module> (stack.py:41)", "<module>"));
        assert!(is_function("app::main", "main"));
        assert_eq!(
            share("xmain;main;level_1;overleaf 4", &CHAIN, Between::Nothing).leaf,
            0
        );
    }
}
