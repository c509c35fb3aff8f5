//! What is known of a store without reading it: its segments, where each destination is, counts.
//! Nothing here waits for the disk.

use std::collections::{BTreeMap, BTreeSet};

use super::clock::Now;
use super::segment::Segment;
use super::{Status, Waiting};

/// Where a destination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Sequence of the last message that it has acknowledged.
    pub acknowledged: u64,
    /// The next message: in the first segment from this one on, behind so many bytes and messages.
    pub segment: u64,
    pub offset: u64,
    pub index: u64,
    /// End of the oldest message that waits.
    pub oldest: Option<u64>,
    pub dropped: u64,
}

#[derive(Default)]
pub struct State {
    /// By the sequence that they are named by. The last may be being written to.
    pub segments: BTreeMap<u64, Segment>,
    pub places: BTreeMap<String, Place>,
    /// Cursors on disk that nobody has asked for yet.
    pub unclaimed: BTreeMap<String, u64>,
    /// Sequence of the next message.
    pub next: u64,
    pub appended: u64,
    pub dropped: BTreeMap<&'static str, u64>,
    /// Places (segment and offset) where damage was met and counted.
    pub damaged: BTreeSet<(u64, u64)>,
    /// Files of cursors that can't be read.
    pub damaged_cursors: BTreeSet<String>,
    /// When the store was opened, in ns since boot.
    pub opened: u64,
}

impl State {
    pub fn bytes(&self) -> u64 {
        let segments = self.segments.values();
        segments.map(|segment| segment.bytes + segment.waste).sum()
    }

    pub fn count(&mut self, cause: &'static str, messages: u64) {
        if messages > 0 {
            *self.dropped.entry(cause).or_default() += messages;
        }
    }

    /// Messages that can't be read, at some place in a segment; counted once, however many come by.
    pub fn count_damaged(&mut self, segment: u64, offset: u64, messages: u64) {
        /// Damage beyond so many places is counted each time that it is met.
        const PLACES: usize = 4096;
        let new = !self.damaged.contains(&(segment, offset));
        if new {
            self.count("damaged", messages);
        }
        if self.damaged.len() < PLACES {
            self.damaged.insert((segment, offset));
        }
    }

    /// Messages that never came as far as the store: no destination will get them either.
    pub fn count_refused(&mut self, cause: &'static str, messages: u64) {
        self.count(cause, messages);
        for place in self.places.values_mut() {
            place.dropped += messages;
        }
    }

    /// A message is on disk.
    pub fn add(&mut self, first: u64, header: &super::record::Header) {
        let segment = self.segments.entry(first);
        segment.or_insert_with(|| Segment::new(first)).add(header);
        self.next = header.sequence + 1;
        self.appended += 1;
        for place in self.places.values_mut() {
            place.oldest.get_or_insert(header.end);
        }
    }

    /// A segment is gone.
    pub fn drop_segment(&mut self, first: u64, cause: &'static str) {
        let Some(segment) = self.segments.remove(&first) else {
            return;
        };
        self.count(cause, segment.messages);
        self.damaged = self.damaged.split_off(&(first + 1, 0));
        let after = self.segments.range(first..).next();
        let oldest = after.and_then(|(_, segment)| segment.first_end);
        for place in self.places.values_mut() {
            if place.segment != first {
                continue;
            }
            place.dropped += segment.messages.saturating_sub(place.index);
            *place = Place {
                segment: segment.next,
                offset: 0,
                index: 0,
                oldest,
                ..*place
            };
        }
    }

    /// The segment in which a place is, once it has gone on from the end of one to the next.
    pub fn settle(&self, place: &mut Place) -> Option<Segment> {
        loop {
            let (&first, segment) = self.segments.range(place.segment..).next()?;
            if first != place.segment {
                (place.segment, place.offset, place.index) = (first, 0, 0);
            }
            if place.offset < segment.bytes {
                return Some(*segment);
            }
            let (&later, _) = self.segments.range(first + 1..).next()?;
            (place.segment, place.offset, place.index) = (later, 0, 0);
        }
    }

    fn waiting(&self, mut place: Place) -> Waiting {
        self.settle(&mut place);
        let mut waiting = Waiting {
            dropped: place.dropped,
            ..Waiting::default()
        };
        for segment in self.segments.range(place.segment..).map(|(_, it)| it) {
            waiting.messages += segment.messages;
            waiting.bytes += segment.bytes;
        }
        waiting.messages = waiting.messages.saturating_sub(place.index);
        waiting.bytes = waiting.bytes.saturating_sub(place.offset);
        waiting.oldest = place.oldest.filter(|_| waiting.messages > 0);
        waiting
    }

    /// ns since the newest message of a segment was recorded. While the store is open, only the time
    /// since boot says it, whatever the wall clock does.
    fn age(&self, segment: &Segment, now: Now) -> u64 {
        match (segment.age_when_opened, segment.recorded) {
            (Some(age), _) => age.saturating_add(now.since_boot.saturating_sub(self.opened)),
            (None, Some(recorded)) => now.since_boot.saturating_sub(recorded.since_boot),
            (None, None) => 0,
        }
    }

    /// The newest of the segments that are older than this. Those before it are older still, whatever
    /// their times say.
    pub fn too_old(&self, age: u64, now: Now) -> Option<u64> {
        let mut segments = self.segments.iter().rev();
        let old = segments.find(|(_, segment)| self.age(segment, now) > age);
        old.map(|(&first, _)| first)
    }

    pub fn status(&self) -> Status {
        let segments = || self.segments.values().filter(|it| it.messages > 0);
        Status {
            bytes: self.bytes(),
            messages: segments().map(|segment| segment.messages).sum(),
            segments: segments().count() as u64,
            oldest: segments().map(|segment| segment.start).min(),
            newest: segments().map(|segment| segment.end).max(),
            appended: self.appended,
            dropped: self.dropped.clone(),
            destinations: self
                .places
                .iter()
                .map(|(name, place)| (name.clone(), self.waiting(*place)))
                .collect(),
        }
    }
}
