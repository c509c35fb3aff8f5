//! Colours: a hue for each kind of code, a shade for each name, dark text on all of them.

use inferno::flamegraph::color::Color;

use crate::profile::FrameKind;

use super::label::{Label, LabelKind};

/// A group of boxes with the same hue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// In the legend.
    pub name: &'static str,
    /// Tells boxes with the same text apart; inferno does not show it.
    pub annotation: &'static str,
    /// Hue in degrees, saturation and lightness in percent, each from – to.
    hue: (f64, f64),
    saturation: (f64, f64),
    lightness: (f64, f64),
}

const PYTHON: Group = Group {
    name: "Python",
    annotation: "_[w]",
    hue: (203.0, 217.0),
    saturation: (70.0, 85.0),
    lightness: (70.0, 80.0),
};

const NATIVE: Group = Group {
    name: "native",
    annotation: "",
    hue: (38.0, 50.0),
    saturation: (80.0, 95.0),
    lightness: (64.0, 74.0),
};

const KERNEL: Group = Group {
    name: "kernel",
    annotation: "_[k]",
    hue: (2.0, 14.0),
    saturation: (65.0, 80.0),
    lightness: (66.0, 74.0),
};

const JIT: Group = Group {
    name: "JIT",
    annotation: "_[j]",
    hue: (120.0, 145.0),
    saturation: (35.0, 50.0),
    lightness: (66.0, 74.0),
};

/// Processes, threads, and what is said about a stack.
const OTHER: Group = Group {
    name: "process, thread, note",
    annotation: "_[i]",
    hue: (220.0, 220.0),
    saturation: (4.0, 8.0),
    lightness: (80.0, 86.0),
};

/// In the order of the legend.
pub const GROUPS: [Group; 5] = [PYTHON, NATIVE, KERNEL, JIT, OTHER];

impl Group {
    pub fn of(label: &Label) -> Self {
        match label.kind {
            LabelKind::Frame(FrameKind::Python) => PYTHON,
            LabelKind::Frame(FrameKind::Native) => NATIVE,
            LabelKind::Frame(FrameKind::Kernel) => KERNEL,
            LabelKind::Frame(FrameKind::Jit) => JIT,
            LabelKind::Frame(FrameKind::Marker) | LabelKind::Process | LabelKind::Thread => OTHER,
        }
    }

    /// The group's own colour.
    pub fn colour(&self) -> Color {
        self.shade(0.5, 0.5)
    }

    /// The colour of a name: the same in every picture.
    pub fn colour_of(&self, name: &str) -> Color {
        let hash = hash(name);
        let part = |shift: u32| f64::from((hash >> shift) as u16) / f64::from(u16::MAX);
        self.shade(part(0), part(16))
    }

    fn shade(&self, hue: f64, tone: f64) -> Color {
        let between = |(from, to): (f64, f64), part: f64| from + (to - from) * part;
        hsl(
            between(self.hue, hue),
            between(self.saturation, 1.0 - tone),
            between(self.lightness, tone),
        )
    }
}

/// The background of the root box that stands for all samples.
pub const ALL: Color = Color::new(226, 228, 232);

/// A change of this share (two points) is the strongest colour where no change is larger: less is
/// mostly chance.
pub const CHANGE_MOST: f64 = 0.02;

/// The colour of a change from -1 (blue) over none (grey) to 1 (red).
pub fn change(part: f64) -> Color {
    let strength = part.abs().min(1.0);
    if strength < 0.005 {
        return hsl(220.0, 6.0, 92.0);
    }
    let hue = if part > 0.0 { 6.0 } else { 212.0 };
    hsl(hue, 60.0 + 30.0 * strength, 92.0 - 24.0 * strength)
}

/// FNV-1a, folded.
fn hash(name: &str) -> u64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^ (hash >> 32)
}

/// A colour by hue (degrees), saturation and lightness (percent).
fn hsl(hue: f64, saturation: f64, lightness: f64) -> Color {
    let (saturation, lightness) = (saturation / 100.0, lightness / 100.0);
    let chroma = saturation * lightness.min(1.0 - lightness);
    let channel = |number: f64| {
        let position = (number + hue / 30.0) % 12.0;
        let value = lightness - chroma * (position - 3.0).min(9.0 - position).clamp(-1.0, 1.0);
        (value * 255.0).round() as u8
    };
    Color::new(channel(0.0), channel(8.0), channel(4.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_colours() {
        assert_eq!(hsl(0.0, 100.0, 50.0), Color::new(255, 0, 0));
        assert_eq!(hsl(120.0, 100.0, 50.0), Color::new(0, 255, 0));
        assert_eq!(hsl(240.0, 100.0, 50.0), Color::new(0, 0, 255));
        assert_eq!(hsl(200.0, 0.0, 50.0), Color::new(128, 128, 128));
    }

    /// Contrast of black text by the WCAG formula; 7 is its strictest level.
    #[test]
    fn black_text_is_legible_on_every_shade() {
        let linear = |channel: u8| (f64::from(channel) / 255.0).powf(2.2);
        for group in GROUPS {
            for name in 0..500 {
                let colour = group.colour_of(&name.to_string());
                let light = 0.2126 * linear(colour.r)
                    + 0.7152 * linear(colour.g)
                    + 0.0722 * linear(colour.b);
                assert!((light + 0.05) / 0.05 > 7.0, "{} {colour:?}", group.name);
            }
        }
        for part in -100..=100 {
            let colour = change(f64::from(part) / 100.0);
            let light =
                0.2126 * linear(colour.r) + 0.7152 * linear(colour.g) + 0.0722 * linear(colour.b);
            assert!((light + 0.05) / 0.05 > 7.0, "{part} {colour:?}");
        }
    }

    #[test]
    fn a_name_keeps_its_colour() {
        assert_eq!(PYTHON.colour_of("handle"), PYTHON.colour_of("handle"));
        assert_ne!(PYTHON.colour_of("handle"), PYTHON.colour_of("handler"));
    }
}
