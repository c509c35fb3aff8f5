//! What the JSON formats share: each distinct frame numbered, each stack as such numbers, and the
//! samples as they come in time.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use crate::profile::{Frame, Profile, StackId, Totals};

use super::Options;

/// Stacks whose frames are numbers of `items`.
pub struct Numbered<T> {
    /// Ascending.
    pub items: Vec<T>,
    /// The root first.
    stacks: HashMap<StackId, Vec<u32>>,
}

impl<T: Ord + Hash> Numbered<T> {
    /// Numbers what `show` makes of each frame; of `None` where a stack has no frames.
    pub fn new(
        profile: &Profile,
        options: &Options,
        mut show: impl FnMut(Option<&Frame>) -> T,
    ) -> Self {
        let mut numbers = HashMap::<T, u32>::new();
        let mut known = HashMap::new();
        let mut stacks = HashMap::<StackId, Vec<u32>>::new();
        for (key, _) in profile.samples() {
            stacks.entry(key.stack).or_insert_with(|| {
                let frames = profile.frames_of(key.stack).iter().rev();
                let shown = frames.filter(|id| options.inlines || !profile[**id].inlined);
                let mut stack: Vec<u32> = shown
                    .map(|id| {
                        *known
                            .entry(*id)
                            .or_insert_with(|| number(&mut numbers, show(Some(&profile[*id]))))
                    })
                    .collect();
                if stack.is_empty() {
                    stack.push(number(&mut numbers, show(None)));
                }
                stack
            });
        }
        // In an order of their own, since samples come in none.
        let ordered: BTreeSet<(T, u32)> = numbers.into_iter().collect();
        let mut ranks = vec![0; ordered.len()];
        let mut items = Vec::with_capacity(ordered.len());
        for (rank, (item, number)) in ordered.into_iter().enumerate() {
            ranks[number as usize] = rank as u32;
            items.push(item);
        }
        for number in stacks.values_mut().flatten() {
            *number = ranks[*number as usize];
        }
        Self { items, stacks }
    }

    pub fn stack(&self, id: StackId) -> &[u32] {
        self.stacks.get(&id).map_or(&[], Vec::as_slice)
    }
}

fn number<T: Eq + Hash>(numbers: &mut HashMap<T, u32>, item: T) -> u32 {
    let next = numbers.len() as u32;
    *numbers.entry(item).or_insert(next)
}

/// Samples of one stack at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Piece<'a> {
    /// ns on the profile's clock; none where the profile holds sums.
    pub time: Option<u64>,
    pub stack: &'a [u32],
    /// Number of samples.
    pub weight: u64,
    /// In the unit of its event.
    pub value: u64,
}

/// The samples of one entry of the profile, with `times` each by its own where times were kept.
pub fn pieces<'a>(
    totals: &'a Totals,
    stack: &'a [u32],
    times: bool,
) -> impl Iterator<Item = Piece<'a>> + use<'a> {
    let moments = if times { &*totals.moments } else { &[] };
    let timed = moments.iter().map(move |moment| Piece {
        time: Some(moment.time),
        stack,
        weight: u64::from(moment.weight),
        value: moment.value,
    });
    let sum = moments.is_empty().then_some(Piece {
        time: None,
        stack,
        weight: totals.weight,
        value: totals.value,
    });
    timed.chain(sum)
}

/// In the order of time, or of their stacks; equal neighbours are one.
pub fn in_order(mut pieces: Vec<Piece<'_>>) -> Vec<Piece<'_>> {
    pieces.sort_unstable();
    let mut merged: Vec<Piece<'_>> = Vec::new();
    for piece in pieces {
        match merged.last_mut() {
            Some(last) if last.time == piece.time && last.stack == piece.stack => {
                last.weight = last.weight.saturating_add(piece.weight);
                last.value = last.value.saturating_add(piece.value);
            }
            _ => merged.push(piece),
        }
    }
    merged
}

/// Whether all values are time.
pub fn is_time(profile: &Profile) -> bool {
    let mut events = profile.events().iter();
    events.all(|(_, event)| &profile[event.value.unit] == "nanoseconds")
}
