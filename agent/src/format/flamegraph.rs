//! A flame graph as SVG, drawn by inferno, with search and zoom in a browser.

use std::io::Cursor;

use inferno::flamegraph::{self, TextTruncateDirection, color};

use crate::profile::Profile;

use super::caption::Caption;
use super::label::plain;
use super::palette::{self, GROUPS, Group};
use super::stacks::Stacks;
use super::{FormatError, Options};

/// Narrower boxes, in percent of the width, are left out: half a pixel on a wide screen.
const MIN_WIDTH: f64 = 0.03;
const FONT_SIZE: usize = 12;
/// Width of a character of the monospace font, by its height: those of most systems have 0.60.
const FONT_WIDTH: f64 = 0.61;
const CHARACTER: f64 = FONT_SIZE as f64 * FONT_WIDTH;

/// A thin line between boxes of the same colour and around the box under the pointer; a search
/// button that people see.
const STYLE: &str = "<style>#frames > * > rect { stroke:#fff; stroke-width:0.4 } \
    #frames > *:hover > rect { stroke:#000; stroke-width:0.8 } \
    #frames > *:hover { stroke:none } #search { opacity:0.5 }</style>";

/// The profile as a flame graph.
pub fn flamegraph(
    profile: &Profile,
    options: &Options,
    caption: &Caption,
) -> Result<Vec<u8>, FormatError> {
    let stacks = Stacks::new(profile, options);
    if stacks.total() == 0 {
        return Err(FormatError::Empty);
    }
    let mut colours = color::PaletteMap::default();
    colours.insert("", palette::ALL);
    for label in stacks.labels() {
        let group = Group::of(label);
        let text = format!("{}{}", label.text, group.annotation);
        colours.insert(text, group.colour_of(&label.text));
    }
    let svg = draw(&stacks, colours, caption)?;
    let groups = GROUPS.into_iter().filter(|group| {
        stacks
            .labels()
            .iter()
            .any(|label| Group::of(label) == *group)
    });
    let swatches = groups.map(|group| (group.name, group.colour()));
    Ok(insert_legend(svg, &legend(swatches, &caption.details)))
}

/// The boxes, without a legend.
pub(super) fn draw(
    stacks: &Stacks,
    mut colours: color::PaletteMap,
    caption: &Caption,
) -> Result<Vec<u8>, FormatError> {
    // Inferno sorts lines, not stacks: `f;a`, `f(int);b` and `f;c` would become two boxes `f`. As
    // a "flame chart" it takes the order in which the stacks come, the last one first.
    let lines: Vec<String> = stacks
        .iter()
        .rev()
        .map(|(labels, count)| {
            let mut line = String::new();
            for label in labels {
                line.push_str(&label.text);
                line.push_str(Group::of(label).annotation);
                line.push(';');
            }
            line.pop();
            line.push_str(&format!(" {count}"));
            line
        })
        .collect();

    let mut drawing = flamegraph::Options::default();
    drawing.title = plain(&caption.title);
    // Makes room for the line that `insert_legend` writes.
    drawing.subtitle = Some(" ".into());
    drawing.notes = plain(&caption.notes).replace("--", "- -");
    drawing.count_name = "samples".into();
    drawing.min_width = MIN_WIDTH;
    drawing.font_size = FONT_SIZE;
    drawing.font_width = FONT_WIDTH;
    drawing.text_truncate_direction = TextTruncateDirection::Right;
    drawing.bgcolors = Some(color::BackgroundColor::Flat(color::Color::new(
        255, 255, 255,
    )));
    drawing.palette_map = Some(&mut colours);
    drawing.flame_chart = true;
    let mut svg = Cursor::new(Vec::new());
    flamegraph::from_lines(&mut drawing, lines.iter().map(String::as_str), &mut svg)
        .map_err(FormatError::Draw)?;
    Ok(svg.into_inner())
}

/// A line with the colours that occur and what they mean, and the details behind it.
pub(super) fn legend<'a>(
    swatches: impl Iterator<Item = (&'a str, color::Color)>,
    details: &str,
) -> String {
    let baseline = FONT_SIZE * 4;
    let mut legend = format!(r#"{STYLE}<g id="legend">"#);
    let mut x = 10.0;
    for (name, colour) in swatches {
        let (r, g, b) = (colour.r, colour.g, colour.b);
        let top = baseline - 10;
        legend.push_str(&format!(
            r#"<rect x="{x:.0}" y="{top}" width="12" height="12" rx="2" fill="rgb({r},{g},{b})"/>"#
        ));
        x += 17.0;
        legend.push_str(&format!(r#"<text x="{x:.0}" y="{baseline}">{name}</text>"#));
        x += (name.len() as f64 + 2.0) * CHARACTER;
    }
    let details = escape(&plain(details));
    legend.push_str(&format!(
        r#"<text x="{x:.0}" y="{baseline}" fill="rgb(90,90,90)">{details}</text></g>"#
    ));
    legend
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Puts the legend in front of the boxes.
pub(super) fn insert_legend(svg: Vec<u8>, legend: &str) -> Vec<u8> {
    let frames = br#"<svg id="frames""#;
    let Some(position) = svg
        .windows(frames.len())
        .position(|window| window == frames)
    else {
        return svg;
    };
    let (head, tail) = svg.split_at(position);
    [head, legend.as_bytes(), tail].concat()
}

#[cfg(test)]
mod tests {
    use super::super::sample_profile::{self, profile};
    use super::*;

    fn svg(options: Options) -> String {
        let profile = profile();
        let svg = flamegraph(&profile, &options, &Caption::of(&profile)).unwrap();
        String::from_utf8(svg).unwrap()
    }

    fn titles(svg: &str) -> Vec<&str> {
        let parts = svg.split("<title>").skip(1);
        parts
            .map(|part| part.split("</title>").next().unwrap())
            .collect()
    }

    #[test]
    fn boxes_carry_samples() {
        let svg = svg(Options::default());
        let titles = titles(&svg);
        assert!(titles.contains(&"all (2,905 samples, 100%)"), "{titles:?}");
        assert!(
            titles.contains(&"[cut: no_row] (40 samples, 1.38%)"),
            "{titles:?}"
        );
        let handles = titles.iter().filter(|title| title.starts_with("handle ("));
        assert_eq!(handles.count(), 1);
    }

    #[test]
    fn each_kind_has_its_colour_and_its_place_in_the_legend() {
        let svg = svg(Options::default());
        let legend = svg
            .split(r#"<g id="legend">"#)
            .nth(1)
            .unwrap()
            .split("</g>")
            .next()
            .unwrap();
        for group in GROUPS {
            assert!(legend.contains(group.name), "{legend}");
        }
        assert!(legend.contains("30.0 s, 99 Hz, 2,905 samples"));
        assert!(!svg.contains("_["), "an annotation is visible");
    }

    #[test]
    fn names_that_begin_alike_do_not_split_a_box() {
        let profile = sample_profile::stacks(&[
            (&["f", "a"], 10),
            (&["f(int)", "b"], 10),
            (&["f", "c"], 10),
            (&["f"], 10),
            (&["f a", "c"], 10),
        ]);
        let svg = flamegraph(&profile, &Options::default(), &Caption::of(&profile)).unwrap();
        let svg = String::from_utf8(svg).unwrap();
        let titles = titles(&svg);
        let boxes = titles.iter().filter(|title| title.starts_with("f ("));
        assert_eq!(boxes.collect::<Vec<_>>(), [&"f (30 samples, 60.00%)"]);
    }

    #[test]
    fn hostile_names_stay_text() {
        let names = [
            "</title><script>x</script>",
            "]]>",
            "\u{1}&#0;",
            "x 3",
            "_[k]",
            "-->",
            "--",
        ];
        let stacks: Vec<_> = names
            .iter()
            .map(|name| (std::slice::from_ref(name), 5))
            .collect();
        let profile = sample_profile::stacks(&stacks);
        let caption = Caption {
            title: "<b>\u{2}".into(),
            details: "&<>".into(),
            notes: "--> <script>".into(),
        };
        let svg = flamegraph(&profile, &Options::default(), &caption).unwrap();
        let svg = String::from_utf8(svg).unwrap();
        assert_eq!(
            svg.matches("<script").count(),
            1 + svg.matches("- -> <script>").count()
        );
        assert!(!svg.contains('\u{1}') && !svg.contains('\u{2}'));
        assert_eq!(titles(&svg).len(), names.len() + 2);
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        let error = flamegraph(
            &Profile::new(),
            &Options::default(),
            &Caption::of(&Profile::new()),
        );
        assert!(matches!(error, Err(FormatError::Empty)));
    }

    /// For a look at it: `STRATA_SVG=/tmp/x.svg cargo test written_for_a_look`.
    #[test]
    fn written_for_a_look() {
        if let Ok(path) = std::env::var("STRATA_SVG") {
            std::fs::write(path, svg(Options::default())).unwrap();
        }
    }
}
