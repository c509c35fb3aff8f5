//! Recordings spoiled on purpose, each in the way a wrong profiler would spoil them. A check that passes on the true
//! recording has to fail on the spoiled one. All faults are the same in every run.

use crate::folded::{Frame, Sample};

/// Every innermost Python frame one line too far down.
pub fn leaf_lines_off_by_one(samples: &[Sample]) -> Vec<Sample> {
    let mut samples = samples.to_vec();
    for sample in &mut samples {
        if let Some(Frame::Python { line, .. }) = sample
            .frames
            .iter_mut()
            .rev()
            .find(|frame| frame.is_python())
        {
            *line += 1;
        }
    }
    samples
}

/// Every Python frame but the innermost one line too far down.
pub fn calling_lines_off_by_one(samples: &[Sample]) -> Vec<Sample> {
    let mut samples = samples.to_vec();
    for sample in &mut samples {
        for frame in sample
            .frames
            .iter_mut()
            .rev()
            .filter(|frame| frame.is_python())
            .skip(1)
        {
            if let Frame::Python { line, .. } = frame {
                *line += 1;
            }
        }
    }
    samples
}

/// One frame in a hundred is left out, wherever it is.
pub fn frames_left_out(samples: &[Sample]) -> Vec<Sample> {
    let mut chance = Chance::new();
    each(samples, |sample| {
        sample.frames.retain(|_| !chance.one_in(100))
    })
}

/// One sample in fifty ends early: its outermost frames are gone.
pub fn roots_left_out(samples: &[Sample]) -> Vec<Sample> {
    let mut chance = Chance::new();
    each(samples, |sample| {
        if chance.one_in(50) {
            let gone = sample.frames.len().div_ceil(3);
            sample.frames.drain(..gone);
        }
    })
}

/// C functions that were called from Python stand below all Python frames, as a profiler shows them that walks both stacks
/// apart from each other and lays one on the other.
pub fn c_frames_reordered(samples: &[Sample]) -> Vec<Sample> {
    let mut samples = samples.to_vec();
    for sample in &mut samples {
        let first = sample
            .frames
            .iter()
            .position(Frame::is_python)
            .unwrap_or(sample.frames.len());
        sample.frames[first..].sort_by_key(|frame| !frame.is_python());
    }
    samples
}

/// The native frames stand in reverse order, in one sample of fifty.
pub fn order_reversed(samples: &[Sample]) -> Vec<Sample> {
    let mut chance = Chance::new();
    each(samples, |sample| {
        if chance.one_in(50) {
            let user = sample
                .frames
                .iter()
                .position(Frame::is_kernel)
                .unwrap_or(sample.frames.len());
            sample.frames[..user].reverse();
        }
    })
}

/// Half of the samples of one function are charged to another.
pub fn charged_to(samples: &[Sample], from: &str, to: &str) -> Vec<Sample> {
    let mut chance = Chance::new();
    each(samples, |sample| {
        let wrong = chance.one_in(2);
        for frame in &mut sample.frames {
            match frame {
                Frame::Python { name, .. }
                | Frame::Native {
                    name: Some(name), ..
                } if wrong && name == from => {
                    *name = to.to_owned();
                }
                _ => {}
            }
        }
    })
}

/// The name of each native frame is that of the frame above it, in one sample of a hundred.
pub fn names_exchanged(samples: &[Sample]) -> Vec<Sample> {
    let mut chance = Chance::new();
    each(samples, |sample| {
        if !chance.one_in(100) {
            return;
        }
        let names: Vec<_> = sample
            .frames
            .iter()
            .map(|frame| frame.name().map(str::to_owned))
            .collect();
        for (frame, above) in sample.frames.iter_mut().skip(1).zip(names) {
            if let Frame::Native { name, .. } = frame {
                *name = above;
            }
        }
    })
}

/// Applies a fault to each single sample.
fn each(samples: &[Sample], mut spoil: impl FnMut(&mut Sample)) -> Vec<Sample> {
    let mut out = Vec::new();
    for sample in samples {
        for _ in 0..sample.count {
            let mut one = Sample {
                count: 1,
                ..sample.clone()
            };
            spoil(&mut one);
            out.push(one);
        }
    }
    out
}

/// A generator of pseudo-random numbers that starts the same way each time.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32 < (1 << 32) / n
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folded::{parse, total};

    #[test]
    fn one_in_a_hundred_is_one_in_a_hundred() {
        let samples = parse("x 1;a;b;c;d;e;f;g;h;i;j 1000\n").expect("the text is right");
        let spoiled = frames_left_out(&samples);
        assert_eq!(total(&spoiled), 1000);
        let left: usize = spoiled.iter().map(|sample| sample.frames.len()).sum();
        assert!((9850..9950).contains(&left), "{left} of 10000 frames left");
    }

    #[test]
    fn c_frames_sink_below_python() {
        let samples =
            parse("x 1;_start;f (a.py:1);sort;g (a.py:2);c 3\n").expect("the text is right");
        let names: Vec<_> = c_frames_reordered(&samples)[0]
            .frames
            .iter()
            .map(|f| f.name().map(str::to_owned))
            .collect();
        let expected = ["_start", "f", "g", "sort", "c"].map(|name| Some(name.to_owned()));
        assert_eq!(names, expected);
    }
}
