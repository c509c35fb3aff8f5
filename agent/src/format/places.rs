//! Frames by their place in the code: functions that the compiler put into others share one place
//! with the function that has the activation. pprof and OTLP call it a location.

use crate::profile::{FrameId, Profile};

/// The places of a stack, the innermost first; in each the innermost function first. Without
/// `inlines` each place is one function.
pub fn places(profile: &Profile, frames: &[FrameId], inlines: bool) -> Vec<Vec<FrameId>> {
    let mut places: Vec<Vec<FrameId>> = Vec::new();
    let mut open = false;
    for &id in frames {
        let frame = &profile[id];
        if frame.inlined && !inlines {
            continue;
        }
        let same = |last: &Vec<FrameId>| {
            let last = last.last().map(|last| &profile[*last]);
            last.is_some_and(|last| {
                (last.kind, last.executable, last.svma)
                    == (frame.kind, frame.executable, frame.svma)
            })
        };
        match places.last_mut() {
            Some(place) if open && same(place) => place.push(id),
            _ => places.push(vec![id]),
        }
        open = frame.inlined;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Frame, FrameKind};

    fn frame(profile: &mut Profile, svma: u64, line: u32, inlined: bool) -> FrameId {
        profile.frame(Frame {
            kind: FrameKind::Native,
            function: None,
            line: Some(line),
            executable: None,
            svma,
            inlined,
        })
    }

    #[test]
    fn inlined_functions_share_the_place_of_the_one_that_has_the_activation() {
        let mut profile = Profile::new();
        let a = frame(&mut profile, 1, 1, true);
        let b = frame(&mut profile, 1, 2, true);
        let c = frame(&mut profile, 1, 3, false);
        let again = frame(&mut profile, 1, 4, false);
        let other = frame(&mut profile, 2, 1, true);
        let next = frame(&mut profile, 3, 1, false);
        let stack = [a, b, c, again, other, next];
        // The same address again is a recursion; an inlined function whose own is missing is alone.
        assert_eq!(
            places(&profile, &stack, true),
            [vec![a, b, c], vec![again], vec![other], vec![next]]
        );
        assert_eq!(
            places(&profile, &stack, false),
            [vec![c], vec![again], vec![next]]
        );
        assert!(places(&profile, &[], true).is_empty());
    }
}
