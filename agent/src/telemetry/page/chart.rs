//! Drawings in the page, which has no scripts: lines and bars.

use std::fmt::Write;

use super::super::history::{Moment, Rates};

/// Points of a line. More can't be told apart at its size.
const POINTS: usize = 120;
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 36.0;

/// Rates between the moments, in at most [`POINTS`] stretches.
pub fn rates(moments: &[Moment], value: fn(&Rates) -> f64) -> Vec<f64> {
    let stretch = moments.len().div_ceil(POINTS).max(1);
    let ends: Vec<&Moment> = moments.iter().rev().step_by(stretch).collect();
    let pairs = ends.windows(2).rev();
    pairs
        .filter_map(|pair| pair[0].since(pair[1]).as_ref().map(value))
        .collect()
}

/// A line from nothing at the bottom to the largest value at the top. Nothing to see of one point.
pub fn line(values: &[f64], what: &str) -> String {
    if values.len() < 2 {
        return String::new();
    }
    let most = values.iter().copied().fold(0.0, f64::max);
    let scale = if most > 0.0 { HEIGHT / most } else { 0.0 };
    let step = WIDTH / (values.len() - 1) as f64;
    let mut points = String::new();
    for (place, value) in values.iter().enumerate() {
        let (x, y) = (place as f64 * step, HEIGHT - value * scale);
        // A string takes everything.
        let _ = write!(points, "{x:.1},{y:.1} ");
    }
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{what}\">\
         <polygon points=\"0,{HEIGHT} {points}{WIDTH},{HEIGHT}\"/><polyline points=\"{points}\"/></svg>"
    )
}

/// How much of something is used.
pub fn bar(used: u64, most: u64) -> String {
    let share = if most == 0 {
        0.0
    } else {
        (used as f64 / most as f64).min(1.0)
    };
    let class = if share > 0.95 { "full" } else { "used" };
    let width = share * 120.0;
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 120 8\" aria-hidden=\"true\"><rect width=\"120\" height=\"8\" rx=\"3\"/>\
         <rect class=\"{class}\" width=\"{width:.1}\" height=\"8\" rx=\"3\"/></svg>"
    )
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_line_has_bounded_points_and_ends_with_the_last() {
        let start = Instant::now();
        let moments: Vec<Moment> = (0..360)
            .map(|n| Moment {
                at: start + Duration::from_secs(10 * n),
                samples: n * n,
                lost: 0,
                cpu: Duration::ZERO,
                anonymous: 0,
            })
            .collect();
        let values = rates(&moments, |rates| rates.samples);
        assert!(
            values.len() <= POINTS && values.len() >= POINTS - 1,
            "{}",
            values.len()
        );
        let last = (359.0f64.powi(2) - 356.0f64.powi(2)) / 30.0;
        assert_eq!(values.last(), Some(&last));
        assert!(rates(&moments[..1], |rates| rates.samples).is_empty());
    }

    #[test]
    fn the_largest_value_is_at_the_top() {
        let drawn = line(&[0.0, 2.0, 1.0], "x");
        assert!(
            drawn.contains("points=\"0.0,36.0 120.0,0.0 240.0,18.0 \""),
            "{drawn}"
        );
        assert_eq!(line(&[1.0], "x"), "");
        assert!(line(&[0.0, 0.0], "x").contains("0.0,36.0 240.0,36.0"));
    }

    #[test]
    fn a_bar_never_leaves_its_track() {
        assert!(bar(300, 100).contains("class=\"full\" width=\"120.0\""));
        assert!(bar(25, 100).contains("class=\"used\" width=\"30.0\""));
        assert!(bar(5, 0).contains("width=\"0.0\""));
    }
}
