//! The different rules of one file, numbered.

use std::collections::HashMap;

use agent_common::row::{RULE_END, RULE_NONE};
use agent_common::step::Rule;

/// Most rules of one file; what comes later has none. Compilers need some 800 at most.
const MOST: usize = 60_000;
/// Entries of the shortcut, a power of two.
const RECENT: usize = 512;

pub(super) struct Rules {
    rules: Vec<Rule>,
    numbers: HashMap<Rule, u16>,
    /// Rules met lately, each in the place that its fields give. Spares most hashes; the map
    /// behind it keeps its seeded hash, for the rules are the file's own choice.
    recent: Box<[([u64; 2], u16); RECENT]>,
}

impl Rules {
    pub fn new() -> Self {
        // The first two numbers are taken: no rule, and the end of the stack.
        const { assert!(RULE_NONE == 0 && RULE_END == 1) };
        Self {
            rules: vec![Rule::default(), Rule::END],
            numbers: HashMap::from([(Rule::END, RULE_END)]),
            recent: Box::new([(words(&Rule::END), RULE_END); RECENT]),
        }
    }

    /// The number of `rule`, a new one if it has none yet.
    #[inline]
    pub fn number(&mut self, rule: &Rule) -> u16 {
        let words = words(rule);
        let place = place(words);
        if self.recent[place].0 == words {
            return self.recent[place].1;
        }
        let number = self.look_up(rule);
        self.recent[place] = (words, number);
        number
    }

    #[inline(never)]
    fn look_up(&mut self, rule: &Rule) -> u16 {
        if let Some(number) = self.numbers.get(rule) {
            return *number;
        }
        if self.rules.len() >= MOST {
            return RULE_NONE;
        }
        let number = self.rules.len() as u16;
        self.rules.push(*rule);
        self.numbers.insert(*rule, number);
        number
    }

    pub fn into_vec(self) -> Vec<Rule> {
        self.rules
    }
}

/// All of a rule, to compare at once. Paired are fields that are no neighbours: two that are would be
/// loaded in one go, and wait for the store to the one that was just written.
fn words(rule: &Rule) -> [u64; 2] {
    let kinds = u32::from_le_bytes([rule.cfa, rule.fp, rule.ra, rule.register]);
    let pair = |high: i32, low: u32| (high as u32 as u64) << 32 | low as u64;
    [
        pair(rule.cfa_offset, rule.ra_offset as u32),
        pair(rule.fp_offset, kinds),
    ]
}

/// Where a rule is looked for first.
fn place([first, second]: [u64; 2]) -> usize {
    let mixed = (first ^ second.rotate_left(20)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 55) as usize & (RECENT - 1)
}
