//! What differs between two profiles, A and B, by their stacks: as a flame graph of B whose colours
//! say what was another share of A, and as folded stacks with two columns. Shares are compared, so
//! that A and B need not have the same number of samples; and processes by their names, since those
//! of two recordings have other pids.

use std::collections::HashMap;
use std::fmt::Write as _;

use inferno::flamegraph::color;

use crate::profile::Profile;

use super::caption::{Caption, grouped};
use super::flamegraph::{draw, insert_legend, legend};
use super::folded::annotation;
use super::label::Label;
use super::palette::{self, CHANGE_MOST, Group, change};
use super::stacks::Stacks;
use super::{FormatError, Options};

/// Of a box, as inferno draws it.
const HEIGHT: usize = 16;

/// Two profiles' stacks as one tree.
struct Tree {
    nodes: Vec<Node>,
    /// By parent and label.
    children: HashMap<(usize, Label), usize>,
    totals: [u64; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// Samples of A and of B that go through it.
    counts: [u64; 2],
}

impl Tree {
    fn of(sides: [&Stacks; 2]) -> Self {
        let mut tree = Self {
            nodes: vec![Node::default()],
            children: HashMap::new(),
            totals: sides.map(Stacks::total),
        };
        for (side, stacks) in sides.into_iter().enumerate() {
            for (labels, count) in stacks.iter() {
                tree.path(labels, |node| {
                    node.counts[side] = node.counts[side].saturating_add(count);
                });
            }
        }
        tree
    }

    /// The nodes of a stack, made where they are not there yet.
    fn path<'a>(
        &mut self,
        labels: impl Iterator<Item = &'a Label>,
        mut each: impl FnMut(&mut Node),
    ) -> Vec<usize> {
        let mut path = vec![0];
        each(&mut self.nodes[0]);
        let mut parent = 0;
        for label in labels {
            let next = self.nodes.len();
            parent = *self.children.entry((parent, label.clone())).or_insert(next);
            if parent == next {
                self.nodes.push(Node::default());
            }
            each(&mut self.nodes[parent]);
            path.push(parent);
        }
        path
    }

    /// Shares of A and of B.
    fn shares(&self, node: usize) -> [f64; 2] {
        let counts = self.nodes[node].counts;
        [0, 1].map(|side| counts[side] as f64 / self.totals[side].max(1) as f64)
    }
}

/// The flame graph of B, coloured by how its shares differ from A's.
pub fn flamegraph_difference(
    a: &Profile,
    b: &Profile,
    options: &Options,
    caption: &Caption,
) -> Result<Vec<u8>, FormatError> {
    let sides = [a, b].map(|profile| Stacks::by_name(profile, options));
    let [before, after] = &sides;
    if before.total() == 0 || after.total() == 0 {
        return Err(FormatError::Empty);
    }
    let mut tree = Tree::of([before, after]);
    let mut colours = color::PaletteMap::default();
    colours.insert("", palette::ALL);
    for label in after.labels() {
        let text = format!("{}{}", label.text, Group::of(label).annotation);
        colours.insert(text, palette::ALL);
    }
    let svg = draw(after, colours, caption)?;
    let boxes = boxes(&mut tree, after);
    let most = most(&tree, &boxes);
    let svg = String::from_utf8(svg).map_err(|error| {
        FormatError::Draw(std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    })?;
    let svg = recoloured(&svg, &tree, &boxes, most);
    let swatches = [
        ("less in B", change(-1.0)),
        ("same", change(0.0)),
        ("more in B", change(1.0)),
    ];
    let legend = legend(swatches.into_iter(), &caption.details);
    Ok(insert_legend(svg.into_bytes(), &legend))
}

/// Which node each box stands for, by its depth and the samples left of it.
fn boxes(tree: &mut Tree, stacks: &Stacks) -> HashMap<(usize, u64), usize> {
    let mut boxes = HashMap::new();
    let mut last = Vec::new();
    let mut left = 0_u64;
    for (labels, count) in stacks.iter() {
        let path = tree.path(labels, |_| {});
        for (depth, node) in path.iter().enumerate() {
            if last.get(depth) != Some(node) {
                boxes.insert((depth, left), *node);
            }
        }
        left = left.saturating_add(count);
        last = path;
    }
    boxes
}

/// The largest change of a box, to which the strongest colour belongs.
fn most(tree: &Tree, boxes: &HashMap<(usize, u64), usize>) -> f64 {
    let changes = boxes.values().map(|node| {
        let [a, b] = tree.shares(*node);
        (b - a).abs()
    });
    changes.fold(CHANGE_MOST, f64::max)
}

/// Gives each box its title and its colour.
fn recoloured(svg: &str, tree: &Tree, boxes: &HashMap<(usize, u64), usize>, most: f64) -> String {
    const START: &str = "<title>";
    let mut out = String::with_capacity(svg.len() + svg.len() / 4);
    // The root is drawn at the bottom.
    let lowest = svg
        .split(START)
        .skip(1)
        .filter_map(drawn)
        .map(|it| it.y)
        .max();
    let mut pieces = svg.split(START);
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let found = drawn(piece).and_then(|drawn| {
            let depth = lowest?.checked_sub(drawn.y)? / HEIGHT;
            let node = boxes.get(&(depth, drawn.left))?;
            Some((drawn, *node))
        });
        match found {
            Some((drawn, node)) => {
                let [a, b] = tree.shares(node);
                let colour = change((b - a) / most);
                let name = match drawn.title.rfind(" (") {
                    Some(place) => &drawn.title[..place],
                    None => drawn.title,
                };
                let samples = grouped(tree.nodes[node].counts[1]);
                let title = format!(
                    "{name} (B {}, A {}, {}; {samples} samples)",
                    super::top::percent(b),
                    super::top::percent(a),
                    points(b - a),
                );
                let (r, g, b) = (colour.r, colour.g, colour.b);
                let _ = write!(
                    out,
                    "{START}{title}{}rgb({r},{g},{b}){}",
                    drawn.between, drawn.behind
                );
            }
            None => {
                out.push_str(START);
                out.push_str(piece);
            }
        }
    }
    out
}

/// A box as inferno draws it: `TITLE</title><rect … y="…" … fill="rgb(…)" fg:x="…" …`.
struct Drawn<'a> {
    title: &'a str,
    /// From the title's end to the colour, and from behind it on.
    between: &'a str,
    behind: &'a str,
    y: usize,
    left: u64,
}

fn drawn(piece: &str) -> Option<Drawn<'_>> {
    let end = piece.find("</title>")?;
    let fill = end + piece[end..].find("fill=\"rgb(")? + "fill=\"".len();
    let closed = fill + piece[fill..].find(')')? + 1;
    let tag = &piece[end..];
    let tag = &tag[..tag.find("/>").or_else(|| tag.find("</g>"))?];
    let attribute = |name: &str| {
        let value = tag.split(name).nth(1)?;
        value.split('"').next()
    };
    Some(Drawn {
        title: &piece[..end],
        between: &piece[end..fill],
        behind: &piece[closed..],
        y: attribute(" y=\"")?.parse().ok()?,
        left: attribute(" fg:x=\"")?.parse().ok()?,
    })
}

/// `+1.25 points`
pub fn points(difference: f64) -> String {
    format!("{} points", signed(difference))
}

/// `+1.25`; what is less than can be seen is no change.
pub fn signed(difference: f64) -> String {
    let text = format!("{:+.2}", difference * 100.0);
    match text.as_str() {
        "+0.00" | "-0.00" => "0.00".to_owned(),
        _ => text,
    }
}

/// Folded stacks with two columns: A's samples, as many as if it had B's total, and B's.
pub fn folded_difference(a: &Profile, b: &Profile, options: &Options) -> Vec<u8> {
    let sides = [a, b].map(|profile| Stacks::by_name(profile, options));
    let totals = [sides[0].total().max(1), sides[1].total()];
    let mut sums = std::collections::BTreeMap::<Vec<&Label>, [u64; 2]>::new();
    for (side, stacks) in sides.iter().enumerate() {
        for (labels, count) in stacks.iter() {
            let sum = sums.entry(labels.collect()).or_default();
            sum[side] = sum[side].saturating_add(count);
        }
    }
    let mut text = String::new();
    for (labels, [before, after]) in sums {
        for (position, label) in labels.iter().enumerate() {
            if position != 0 {
                text.push(';');
            }
            text.push_str(&label.text);
            text.push_str(annotation(label));
        }
        let scaled = u128::from(before) * u128::from(totals[1]) + u128::from(totals[0] / 2);
        let scaled = scaled / u128::from(totals[0]);
        let _ = writeln!(text, " {scaled} {after}");
    }
    text.into_bytes()
}

impl Caption {
    /// Says what is compared with what.
    pub fn of_difference(a: &Profile, b: &Profile, names: [&str; 2]) -> Self {
        let samples = |profile: &Profile| {
            let weights = profile.samples().map(|(_, totals)| totals.weight);
            grouped(weights.fold(0, u64::saturating_add))
        };
        let short = |name: &str| {
            let kept: String = name.chars().take(50).collect();
            match kept.len() < name.len() {
                true => kept + "…",
                false => kept,
            }
        };
        let [first, second] = names.map(short);
        Self {
            title: format!("What changed from A ({first}) to B ({second})"),
            details: format!(
                "width: share of B (what only A has is in the table). A has {} samples, B {}",
                samples(a),
                samples(b)
            ),
            notes: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample_profile;
    use super::*;

    fn svg(a: &Profile, b: &Profile) -> String {
        let caption = Caption::of_difference(a, b, ["a", "b"]);
        let svg = flamegraph_difference(a, b, &Options::default(), &caption).unwrap();
        String::from_utf8(svg).unwrap()
    }

    /// Title and colour of each box.
    fn boxes_of(svg: &str) -> Vec<(&str, &str)> {
        let pieces = svg.split("<title>").skip(1);
        let found = pieces.filter_map(|piece| {
            let colour = piece.split("fill=\"").nth(1)?.split('"').next()?;
            Some((piece.split("</title>").next()?, colour))
        });
        found.collect()
    }

    fn colour(part: f64) -> String {
        let colour = change(part);
        format!("rgb({},{},{})", colour.r, colour.g, colour.b)
    }

    #[test]
    fn boxes_say_what_changed() {
        // A has twice the samples: shares are compared.
        let a = sample_profile::stacks(&[(&["main", "f"], 140), (&["main", "g"], 60)]);
        let b = sample_profile::stacks(&[(&["main", "f"], 30), (&["main", "g"], 70)]);
        let svg = svg(&a, &b);
        let boxes = boxes_of(&svg);
        let find = |name: &str| {
            let mut found = boxes.iter().filter(|(title, _)| title.starts_with(name));
            *found.next().unwrap_or_else(|| panic!("{name}: {boxes:?}"))
        };
        assert_eq!(
            find("f ("),
            (
                "f (B 30.00 %, A 70.00 %, -40.00 points; 30 samples)",
                colour(-1.0).as_str()
            )
        );
        assert_eq!(
            find("g ("),
            (
                "g (B 70.00 %, A 30.00 %, +40.00 points; 70 samples)",
                colour(1.0).as_str()
            )
        );
        for same in ["main (", "all ("] {
            let (title, found) = find(same);
            assert!(
                title.contains("B 100.00 %, A 100.00 %, 0.00 points"),
                "{title}"
            );
            assert_eq!(found, colour(0.0));
        }
        assert!(svg.contains("A has 200 samples, B 100"));
    }

    #[test]
    fn nothing_changed_is_one_colour() {
        let profile = sample_profile::profile();
        let svg = svg(&profile, &profile);
        for (title, found) in boxes_of(&svg) {
            assert!(title.contains(", 0.00 points;"), "{title}");
            assert_eq!(found, colour(0.0), "{title}");
        }
    }

    #[test]
    fn boxes_that_begin_at_the_same_place_are_told_apart() {
        let a = sample_profile::stacks(&[(&["m", "x", "y"], 50), (&["n", "x", "y"], 50)]);
        let b = sample_profile::stacks(&[(&["m", "x", "y"], 20), (&["n", "x", "y"], 80)]);
        let svg = svg(&a, &b);
        let boxes = boxes_of(&svg);
        let ys: Vec<&str> = boxes
            .iter()
            .filter_map(|(title, _)| title.strip_prefix("y (B ")?.split(" %").next())
            .collect();
        assert_eq!(ys.len(), 2);
        assert!(ys.contains(&"20.00") && ys.contains(&"80.00"), "{ys:?}");
    }

    #[test]
    fn two_columns_have_the_same_total() {
        let a = sample_profile::stacks(&[(&["f"], 300), (&["gone"], 100)]);
        let b = sample_profile::stacks(&[(&["f"], 50), (&["new"], 50)]);
        let text = String::from_utf8(folded_difference(&a, &b, &Options::default())).unwrap();
        let lines: Vec<&str> = text
            .lines()
            .map(|line| line.rsplit(';').next().unwrap())
            .collect();
        assert_eq!(lines, ["f 75 50", "gone 25 0", "new 0 50"]);
    }

    #[test]
    fn hostile_names_stay_text() {
        let name = "</title><rect fill=\"rgb(1,2,3)\" y=\"7\" fg:x=\"0\"/> (x) ]]>";
        let a = sample_profile::stacks(&[(&[name], 5), (&["f"], 1)]);
        let b = sample_profile::stacks(&[(&[name], 2), (&["f"], 4)]);
        let svg = svg(&a, &b);
        assert!(!svg.contains("rgb(1,2,3)\" y"), "{svg}");
        assert_eq!(boxes_of(&svg).len(), 4);
    }

    #[test]
    fn an_empty_side_is_an_error() {
        let profile = sample_profile::profile();
        let caption = Caption::of(&profile);
        let empty = Profile::new();
        for (a, b) in [(&empty, &profile), (&profile, &empty)] {
            let found = flamegraph_difference(a, b, &Options::default(), &caption);
            assert!(matches!(found, Err(FormatError::Empty)));
        }
    }
}
