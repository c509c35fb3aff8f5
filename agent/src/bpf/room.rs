//! Which cells and which rule numbers of the unwind tables are whose.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use agent_common::row::{RULE_END, RULES};
use agent_common::step::Rule;

use super::table::Placed;

/// For how long nobody gets what was given back. A walk that found it just before takes some
/// microseconds; nothing but the host of a virtual machine comes in between.
pub const REST: Duration = Duration::from_millis(200);

/// A file's stretch of cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    pub first: u32,
    pub cells: u32,
}

/// Cells that nobody has.
pub struct Room {
    /// In order, none next to another.
    free: Vec<Range>,
    /// Given back, since when; the oldest first.
    resting: VecDeque<(Instant, Placed)>,
}

impl Room {
    pub fn new(cells: u32) -> Self {
        Self {
            free: vec![Range { first: 0, cells }],
            resting: VecDeque::new(),
        }
    }

    /// First fit.
    pub fn allocate(&mut self, cells: u32) -> Option<Range> {
        let place = self.free.iter().position(|free| free.cells >= cells)?;
        let free = &mut self.free[place];
        let range = Range {
            first: free.first,
            cells,
        };
        free.first += cells;
        free.cells -= cells;
        if free.cells == 0 {
            self.free.remove(place);
        }
        Some(range)
    }

    pub fn free(&mut self, range: Range) {
        let place = self.free.partition_point(|free| free.first < range.first);
        self.free.insert(place, range);
        self.free.dedup_by(|next, kept| {
            let joins = kept.first + kept.cells == next.first;
            if joins {
                kept.cells += next.cells;
            }
            joins
        });
    }

    /// Takes cells back, to be free later.
    pub fn rest(&mut self, placed: Placed) {
        self.resting.push_back((Instant::now(), placed));
    }

    /// Frees what has rested; the rules that had a part in it.
    pub fn wake(&mut self) -> Vec<Box<[u16]>> {
        let mut rules = Vec::new();
        while let Some((since, _)) = self.resting.front()
            && since.elapsed() >= REST
            && let Some((_, placed)) = self.resting.pop_front()
        {
            self.free(placed.range);
            rules.push(placed.rules);
        }
        rules
    }

    /// Cells that are free.
    pub fn cells(&self) -> u64 {
        self.free.iter().map(|free| u64::from(free.cells)).sum()
    }

    /// Cells that will be.
    pub fn resting(&self) -> u64 {
        let cells = self.resting.iter().map(|(_, placed)| placed.range.cells);
        cells.map(u64::from).sum()
    }
}

/// Numbers of rules. Files share most of them, so one that no file has any longer keeps its number
/// until there are no others.
pub struct Rules {
    numbers: HashMap<Rule, u16>,
    /// By number.
    rules: Vec<Rule>,
    /// Files that have a rule, by its number.
    uses: Vec<u32>,
    free: Vec<u16>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            numbers: HashMap::from([(Rule::END, RULE_END)]),
            rules: vec![Rule::END, Rule::END],
            // No rule at all, and the end, which no file can give back.
            uses: vec![1, 1],
            free: Vec::new(),
        }
    }
}

impl Rules {
    /// The number of a rule for one more file, and whether it is new; None: there are too many.
    pub fn intern(&mut self, rule: &Rule) -> Option<(u16, bool)> {
        if let Some(&known) = self.numbers.get(rule) {
            self.uses[usize::from(known)] += 1;
            return Some((known, false));
        }
        let number = if self.uses.len() < RULES as usize {
            self.uses.push(0);
            self.rules.push(*rule);
            self.uses.len() as u16 - 1
        } else {
            if self.free.is_empty() {
                self.collect();
            }
            self.free.pop()?
        };
        self.uses[usize::from(number)] = 1;
        self.rules[usize::from(number)] = *rule;
        self.numbers.insert(*rule, number);
        Some((number, true))
    }

    pub fn get(&self, number: u16) -> Option<Rule> {
        self.rules.get(usize::from(number)).copied()
    }

    /// A file does not have these any longer.
    pub fn release(&mut self, numbers: &[u16]) {
        // Number 0 stands for no rule.
        for &number in numbers.iter().filter(|number| **number != 0) {
            let uses = &mut self.uses[usize::from(number)];
            *uses = uses.saturating_sub(1);
        }
        // The end is in the table whoever uses it.
        self.uses[usize::from(RULE_END)] = self.uses[usize::from(RULE_END)].max(1);
    }

    fn collect(&mut self) {
        let (uses, free) = (&self.uses, &mut self.free);
        self.numbers.retain(|_, number| {
            let used = uses[usize::from(*number)] != 0;
            if !used {
                free.push(*number);
            }
            used
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u32, cells: u32) -> Range {
        Range { first, cells }
    }

    #[test]
    fn stretches_that_touch_become_one() {
        let mut room = Room::new(100);
        let parts: Vec<_> = (0..10).map(|_| room.allocate(10)).collect();
        assert_eq!(parts[9], Some(range(90, 10)));
        assert_eq!(room.allocate(1), None);
        for number in [3, 1, 2, 9, 0] {
            room.free(parts[number].expect("room for ten"));
        }
        assert_eq!(room.cells(), 50);
        assert_eq!(room.allocate(41), None);
        assert_eq!(room.allocate(40), Some(range(0, 40)));
        assert_eq!(room.allocate(10), Some(range(90, 10)));
    }

    #[test]
    fn what_was_given_back_rests_first() {
        let mut room = Room::new(10);
        let whole = room.allocate(10).expect("all of it");
        room.rest(Placed {
            range: whole,
            rules: Box::new([3, 4]),
        });
        assert!(room.wake().is_empty());
        assert_eq!(
            (room.allocate(1), room.cells(), room.resting()),
            (None, 0, 10)
        );
        std::thread::sleep(REST);
        assert_eq!(room.wake(), [Box::from([3, 4])]);
        assert_eq!((room.cells(), room.resting()), (10, 0));
        assert_eq!(room.allocate(10), Some(whole));
    }

    #[test]
    fn a_rule_that_no_file_has_makes_room_for_another() {
        let rule = |number: u32| Rule {
            cfa_offset: number as i32,
            ..Rule::END
        };
        let mut rules = Rules::default();
        let all = RULES as usize - 2;
        let numbers: Vec<u16> = (1..=all as u32)
            .map(|number| rules.intern(&rule(number)).expect("room").0)
            .collect();
        assert_eq!(rules.intern(&rule(1)), Some((numbers[0], false)));
        assert_eq!(rules.intern(&rule(all as u32 + 1)), None);
        // One of the two files that have it still does.
        rules.release(&numbers[..1]);
        assert_eq!(rules.intern(&rule(all as u32 + 1)), None);
        // The end stays whatever happens.
        rules.release(&[0, RULE_END, RULE_END, numbers[7]]);
        assert_eq!(
            rules.intern(&rule(all as u32 + 1)),
            Some((numbers[7], true))
        );
        assert_eq!(rules.intern(&rule(8)), None, "its number is another's now");
        assert_eq!(rules.intern(&Rule::END), Some((RULE_END, false)));
    }
}
