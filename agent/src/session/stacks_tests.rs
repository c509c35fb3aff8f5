//! Bodies of stacks: nothing is kept but what a stack's id is the hash of.

use agent_common::process::ProcessId;
use agent_common::stack::{NativeFrame, StackShape};

use super::stacks::{Body, Stacks};

const SEED: u64 = 0x0123_4567_89AB_CDEF;

/// Bytes of bodies that a recording with an end keeps.
const ALL: usize = usize::MAX / 4;

const PROCESS: ProcessId = ProcessId {
    pid: 4321,
    exec: 3,
    start: 1_234_567_890_123,
};

const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

/// Every copy of a value with one bit of one field changed. All fields have to be named: a new one
/// does not compile until someone decides whether it is part of the identity.
macro_rules! changes {
    (
        $value:expr,
        $Type:ident { $($field:ident),* $(,)? }
        $(besides { $($other:ident),* })?
    ) => {{
        let value: $Type = $value;
        let $Type { $($field: _,)* $($($other: _,)*)? } = value;
        let mut changed: Vec<(String, $Type)> = Vec::new();
        $(
            for bit in 0..8 * size_of_val(&value.$field) {
                let mut copy = value;
                copy.$field ^= 1 << bit;
                let name = concat!(stringify!($Type), "::", stringify!($field));
                changed.push((format!("{name} with bit {bit} changed"), copy));
            }
        )*
        changed
    }};
}

// Both take the macro.
mod codes;
mod sent;

use sent::{Sent, body, damaged, shared};

#[test]
fn a_body_is_complete_with_all_its_sections_in_any_order() {
    let sent = Sent::new(body());
    for order in ORDERS {
        let mut stacks = Stacks::new(SEED, ALL, ALL);
        for (turn, number) in order.into_iter().enumerate() {
            let (head, frames) = sent.section(number);
            let taken = stacks.add(&head, frames).cloned();
            let expected = (turn == 2).then_some(&sent.body);
            assert_eq!(taken.as_ref(), expected, "{order:?}, turn {turn}");
            assert_eq!(stacks.get(sent.id), expected, "{order:?}, turn {turn}");
        }
        assert_eq!((stacks.mismatched, stacks.dropped), (0, 0), "{order:?}");
    }
}

/// Whatever is lost on the way, and however often the rest comes.
#[test]
fn a_body_that_lacks_a_section_is_not_complete() {
    let sent = Sent::new(body());
    for lost in 0..3 {
        let mut stacks = Stacks::new(SEED, ALL, ALL);
        for number in [0, 1, 2, 0, 1, 2]
            .into_iter()
            .filter(|&number| number != lost)
        {
            let (head, frames) = sent.section(number);
            assert!(
                stacks.add(&head, frames).is_none(),
                "without section {lost}"
            );
        }
        assert!(stacks.get(sent.id).is_none(), "without section {lost}");
        assert_eq!(stacks.mismatched, 0, "without section {lost}");
        let (head, frames) = sent.section(lost);
        assert_eq!(
            stacks.add(&head, frames),
            Some(&sent.body),
            "section {lost} comes late"
        );
    }
}

#[test]
fn a_body_of_one_section_is_complete_with_it() {
    let sent = Sent::new(shared());
    let mut stacks = Stacks::new(SEED, ALL, ALL);
    assert!(sent.to(&mut stacks));
    assert_eq!(stacks.get(sent.id), Some(&sent.body));
}

#[test]
fn sections_of_several_bodies_may_be_mixed() {
    let (one, other) = (Sent::new(body()), Sent::new(shared()));
    let mut stacks = Stacks::new(SEED, ALL, ALL);
    let (head, frames) = one.section(0);
    assert!(stacks.add(&head, frames).is_none());
    assert!(other.to(&mut stacks));
    assert!(one.to(&mut stacks));
    assert_eq!(stacks.get(one.id), Some(&one.body));
    assert_eq!(stacks.get(other.id), Some(&other.body));
    assert_eq!(stacks.mismatched, 0);
}

#[test]
fn a_body_that_does_not_match_its_id_is_counted_and_not_kept() {
    for (name, damaged) in damaged() {
        let mut stacks = Stacks::new(SEED, ALL, ALL);
        assert!(!damaged.to(&mut stacks), "{name}");
        assert_eq!(stacks.mismatched, 1, "{name}");
        assert!(stacks.get(damaged.id).is_none(), "{name}");
        // It does not stand in the right one's way.
        let right = Sent::new(body());
        assert!(right.to(&mut stacks), "{name}");
        assert_eq!(stacks.get(right.id), Some(&right.body), "{name}");
        assert_eq!(stacks.mismatched, 1, "{name}");
    }
}

/// A wrong count leaves the body waiting for frames that never come.
#[test]
fn a_body_with_another_count_is_not_kept() {
    let sent = Sent::new(body());
    let changes = changes!(
        sent.body.shape,
        StackShape { kernel, native, python }
        besides { chain, native_end, python_end, python_walked, padding }
    );
    for (name, shape) in changes {
        let mut damaged = sent.clone();
        damaged.body.shape = shape;
        let mut stacks = Stacks::new(SEED, ALL, ALL);
        assert!(!damaged.to(&mut stacks), "{name}");
        assert!(stacks.get(sent.id).is_none(), "{name}");
        assert!(sent.to(&mut stacks), "{name}");
        assert_eq!(stacks.get(sent.id), Some(&sent.body), "{name}");
    }
}

#[test]
fn a_body_of_another_run_is_not_kept() {
    let mut stacks = Stacks::new(SEED ^ 1, ALL, ALL);
    let sent = Sent::new(body());
    assert!(!sent.to(&mut stacks));
    assert!(stacks.get(sent.id).is_none());
    assert_eq!(stacks.mismatched, 1);
}

#[test]
fn a_stack_without_python_belongs_to_no_process() {
    let sent = Sent::new(shared());
    let other = ProcessId {
        pid: 1,
        exec: 0,
        start: 5,
    };
    let mut stacks = Stacks::new(SEED, ALL, ALL);
    assert!(
        Sent {
            process: other,
            ..sent.clone()
        }
        .to(&mut stacks)
    );
    assert_eq!(stacks.get(sent.id), Some(&sent.body));
    assert_eq!(stacks.mismatched, 0);
}

#[test]
fn a_body_sent_again_is_not_doubled() {
    let sent = Sent::new(body());
    let mut stacks = Stacks::new(SEED, ALL, ALL);
    assert!(sent.to(&mut stacks));
    for _ in 0..3 {
        assert!(!sent.to(&mut stacks), "told of once only");
    }
    // Nor is it replaced by one that only says to be it.
    for (name, damaged) in damaged() {
        if damaged.id == sent.id {
            assert!(!damaged.to(&mut stacks), "{name}");
        }
    }
    assert_eq!((stacks.mismatched, stacks.dropped), (0, 0));
    assert_eq!(stacks.get(sent.id), Some(&sent.body));
}

/// The ring buffer was full after some of its sections, so that the next sample sends all of them.
#[test]
fn sections_sent_again_take_the_place_of_the_first() {
    for order in ORDERS {
        for come in 1..=2 {
            let sent = Sent::new(body());
            let mut stacks = Stacks::new(SEED, ALL, ALL);
            for &number in order[..come].iter().chain(&order[..come]) {
                let (head, frames) = sent.section(number);
                assert!(
                    stacks.add(&head, frames).is_none(),
                    "{order:?}, {come} sections"
                );
            }
            for &number in &order {
                let (head, frames) = sent.section(number);
                stacks.add(&head, frames);
            }
            assert_eq!(
                stacks.get(sent.id),
                Some(&sent.body),
                "{order:?}, {come} sections"
            );
            assert_eq!(stacks.mismatched, 0, "{order:?}, {come} sections");
        }
    }
}

#[test]
fn a_stack_that_the_agent_unwound_is_the_one_that_the_kernel_side_sends() {
    for body in [body(), shared(), Body::default()] {
        let sent = Sent::new(body);
        let mut stacks = Stacks::new(SEED, ALL, ALL);
        assert_eq!(stacks.insert(sent.body.clone(), &PROCESS), sent.id);
        assert_eq!(stacks.get(sent.id), Some(&sent.body));
        assert!(!sent.to(&mut stacks));
        assert_eq!(stacks.insert(sent.body.clone(), &PROCESS), sent.id);
        assert_eq!(stacks.mismatched, 0);
    }
}

/// Complete bodies and those that wait count alike.
#[test]
fn no_more_bodies_are_kept_than_there_is_room_for() {
    const ROOM: u64 = 1 << 20;
    let numbered = |number: u64| {
        let native = vec![NativeFrame {
            offset: number,
            executable: 2,
            flags: 0,
        }];
        // Every other one lacks its kernel section.
        let kernel = (number % 2) as u16;
        let shape = StackShape {
            kernel,
            native: 1,
            ..StackShape::default()
        };
        Sent::new(Body {
            shape,
            native,
            ..Body::default()
        })
    };
    let mut stacks = Stacks::new(SEED, ALL, ALL);
    let mut add = |number: u64| {
        let (head, frames) = numbered(number).section(1);
        let complete = stacks.add(&head, frames).is_some();
        (complete, stacks.dropped)
    };
    for number in 0..ROOM {
        assert_eq!(add(number), (number % 2 == 0, 0), "body {number}");
    }
    for more in 1..=10 {
        assert_eq!(add(ROOM + more), (false, more), "body {more} too many");
    }
    // What is there stays, and is known when it is sent again.
    assert_eq!(add(0), (false, 10));
    let (first, last) = (numbered(0), numbered(ROOM - 2));
    assert_eq!(stacks.get(first.id), Some(&first.body));
    assert_eq!(stacks.get(last.id), Some(&last.body));
    assert!(stacks.get(numbered(ROOM + 2).id).is_none());
    assert_eq!(stacks.mismatched, 0);
}

/// A body of one frame, at `number`.
fn small(number: u64) -> Sent {
    let native = vec![NativeFrame {
        offset: number,
        executable: 2,
        flags: 0,
    }];
    let shape = StackShape {
        native: 1,
        ..StackShape::default()
    };
    Sent::new(Body {
        shape,
        native,
        ..Body::default()
    })
}

#[test]
fn bodies_that_were_not_sampled_for_the_longest_time_leave_first_and_between_batches() {
    let sent: Vec<Sent> = (0..1000).map(small).collect();
    let mut stacks = Stacks::new(SEED, 64 << 10, ALL);
    for body in &sent {
        assert!(body.to(&mut stacks));
    }
    // As long as the batch is not made, all are there.
    assert!(sent.iter().all(|body| stacks.sampled(body.id)));
    for body in &sent[..10] {
        assert!(stacks.sampled(body.id));
    }
    let gone = stacks.next_batch();
    assert!(stacks.bytes() <= 64 << 10);
    assert_eq!(gone.len() + stacks.len(), sent.len());
    assert_eq!(stacks.take_evicted(), gone.len() as u64);
    // Those that were sampled last are there, the others from the first of them on are not.
    assert!(sent[..10].iter().all(|body| stacks.get(body.id).is_some()));
    let (first, kept) = sent[10..].split_at(gone.len());
    assert!(first.iter().all(|body| gone.contains(&body.id)));
    assert!(first.iter().all(|body| stacks.get(body.id).is_none()));
    assert!(kept.iter().all(|body| stacks.get(body.id).is_some()));
}

/// Its samples say so, and the body that then comes is taken like a new one.
#[test]
fn a_body_that_was_given_up_is_taken_again() {
    let mut stacks = Stacks::new(SEED, 0, ALL);
    let (one, other) = (small(1), small(2));
    assert!(one.to(&mut stacks) && other.to(&mut stacks));
    assert_eq!(stacks.next_batch(), [one.id]);
    assert!(!stacks.sampled(one.id));
    assert!(stacks.sampled(other.id));
    assert!(one.to(&mut stacks));
    assert!(stacks.sampled(one.id));
    assert_eq!(stacks.get(one.id), Some(&one.body));
    assert_eq!((stacks.mismatched, stacks.dropped), (0, 0));
}

/// Its other sections may be lost; asked for, all of them come.
#[test]
fn a_part_of_a_body_leaves_after_two_batches() {
    let sent = Sent::new(body());
    let mut stacks = Stacks::new(SEED, ALL, ALL);
    let (head, frames) = sent.section(0);
    stacks.add(&head, frames);
    assert_eq!(stacks.next_batch(), [0; 0]);
    assert_eq!(stacks.next_batch(), [sent.id]);
    assert_eq!(stacks.len(), 0);
    assert!(sent.to(&mut stacks));
}

/// The batch that can hold no more says so, and what comes is counted.
#[test]
fn a_batch_holds_no_more_than_it_may() {
    let mut stacks = Stacks::new(SEED, 4 << 10, 16 << 10);
    let mut number = 0;
    while !stacks.is_full() {
        number += 1;
        assert!(small(number).to(&mut stacks));
    }
    assert!(stacks.bytes() < 17 << 10);
    for more in 1..=5 {
        assert!(!small(number + more).to(&mut stacks));
        assert_eq!(stacks.dropped, more);
    }
    stacks.next_batch();
    assert!(!stacks.is_full());
    assert!(small(number + 1).to(&mut stacks));
}
