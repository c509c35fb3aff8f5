//! The functions whose shares changed the most from one profile to another, as a table.

use serde::Serialize;

use crate::profile::Profile;

use super::difference::signed;
use super::functions::{Function, Functions, Sums};
use super::top::{Layout, Table, percent, share};
use super::{FormatError, Options, grouped};

/// A function in A and in B, in shares from 0 to 1.
#[derive(Clone, Copy, Debug)]
struct Change<'a> {
    function: &'a Function,
    own: [f64; 2],
    total: [f64; 2],
    /// So much may the change of its own share be chance.
    chance: f64,
}

impl Change<'_> {
    fn own_change(&self) -> f64 {
        self.own[1] - self.own[0]
    }

    fn total_change(&self) -> f64 {
        self.total[1] - self.total[0]
    }

    fn is_change(&self) -> bool {
        let seen = |change: f64| change.abs() >= 0.000_05;
        seen(self.own_change()) || seen(self.total_change())
    }
}

/// Those whose own share changed the most first.
fn ranked<'a>(a: &'a Functions, b: &'a Functions) -> Vec<Change<'a>> {
    let only_in_b = b.sums.keys().filter(|it| !a.sums.contains_key(it));
    let mut changes: Vec<Change> = a
        .sums
        .keys()
        .chain(only_in_b)
        .map(|function| {
            let of = |side: &Functions| side.sums.get(function).copied().unwrap_or_default();
            let sums = [of(a), of(b)];
            let totals = [a.total, b.total];
            let shares =
                |part: fn(&Sums) -> u64| [0, 1].map(|it| share(part(&sums[it]), totals[it]));
            Change {
                function,
                own: shares(|sums| sums.own),
                total: shares(|sums| sums.total),
                chance: chance(
                    [sums[0].own_samples, sums[1].own_samples],
                    [a.samples, b.samples],
                ),
            }
        })
        .collect();
    changes.sort_by(|x, y| {
        let own = y.own_change().abs().total_cmp(&x.own_change().abs());
        let total = || y.total_change().abs().total_cmp(&x.total_change().abs());
        own.then_with(total)
            .then_with(|| x.function.cmp(y.function))
    });
    changes
}

/// How far two shares differ by chance alone in nineteen of twenty cases, if nothing has changed
/// (Agresti and Caffo: one sample more on each side, with and without the function).
fn chance(samples: [u64; 2], of: [u64; 2]) -> f64 {
    let variance = [0, 1].map(|side| {
        let of = of[side] as f64 + 2.0;
        let part = (samples[side] as f64 + 1.0) / of;
        part * (1.0 - part).max(0.0) / of
    });
    1.96 * (variance[0] + variance[1]).sqrt()
}

/// The table of changes.
pub fn changes(
    a: &Profile,
    b: &Profile,
    options: &Options,
    layout: &Layout,
) -> Result<String, FormatError> {
    let [a, b] = [a, b].map(|profile| Functions::of(profile, options));
    if a.samples == 0 || b.samples == 0 {
        return Err(FormatError::Empty);
    }
    let ranked = ranked(&a, &b);
    let changed: Vec<&Change> = ranked.iter().filter(|it| it.is_change()).collect();
    if changed.is_empty() {
        return Ok("No function's share changed.\n".to_owned());
    }
    let mut table = Table::new(*layout);
    table.head(&["change", "± chance", "self A", "self B", "total change"]);
    for change in changed.iter().take(layout.rows) {
        let cells = vec![
            signed(change.own_change()),
            format!("± {:.2}", change.chance * 100.0),
            percent(change.own[0]),
            percent(change.own[1]),
            signed(change.total_change()),
        ];
        let faint = change.own_change().abs() <= change.chance;
        table.row(cells, change.function, faint);
    }
    let mut text = table.text();
    if changed.len() > layout.rows {
        let more = grouped((changed.len() - layout.rows) as u64);
        text.push_str(&format!("… {more} more functions\n"));
    }
    Ok(text)
}

/// The same as JSON, for programs.
pub fn changes_json(
    a: &Profile,
    b: &Profile,
    options: &Options,
    rows: usize,
) -> Result<Vec<u8>, FormatError> {
    #[derive(Serialize)]
    struct Row<'a> {
        function: &'a str,
        place: &'a str,
        self_change: f64,
        chance: f64,
        self_a: f64,
        self_b: f64,
        total_a: f64,
        total_b: f64,
    }
    let [a, b] = [a, b].map(|profile| Functions::of(profile, options));
    let ranked = ranked(&a, &b);
    let rows: Vec<Row> = ranked
        .iter()
        .take(rows)
        .map(|change| Row {
            function: &change.function.name,
            place: &change.function.place,
            self_change: change.own_change(),
            chance: change.chance,
            self_a: change.own[0],
            self_b: change.own[1],
            total_a: change.total[0],
            total_b: change.total[1],
        })
        .collect();
    let mut json = serde_json::to_vec_pretty(&rows).map_err(FormatError::Json)?;
    json.push(b'\n');
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::super::sample_profile;
    use super::*;

    const LAYOUT: Layout = Layout {
        rows: 10,
        width: None,
        colour: false,
    };

    fn table(a: &Profile, b: &Profile) -> String {
        changes(a, b, &Options::default(), &LAYOUT).unwrap()
    }

    #[test]
    fn shares_are_compared_not_samples() {
        let a = sample_profile::stacks(&[
            (&["main", "f"], 1400),
            (&["main", "g"], 400),
            (&["main", "gone"], 200),
        ]);
        let b = sample_profile::stacks(&[
            (&["main", "f"], 300),
            (&["main", "g"], 650),
            (&["main", "new"], 50),
        ]);
        let text = table(&a, &b);
        let rows: Vec<Vec<&str>> = text
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect())
            .collect();
        let row = |name: &str| {
            let row = rows.iter().find(|row| row.contains(&name)).unwrap();
            (row[0], row[3], row[5], row[7])
        };
        assert_eq!(row("g"), ("+45.00", "20.00", "65.00", "+45.00"));
        assert_eq!(row("f"), ("-40.00", "70.00", "30.00", "-40.00"));
        assert_eq!(row("gone"), ("-10.00", "10.00", "0.00", "-10.00"));
        assert_eq!(row("new"), ("+5.00", "0.00", "5.00", "+5.00"));
        // Unchanged: it is always there, and never itself.
        assert_eq!(rows.len(), 4, "{text}");
        assert!(rows[0].contains(&"g") && rows[3].contains(&"new"), "{text}");
    }

    #[test]
    fn nothing_changed_says_so() {
        let profile = sample_profile::profile();
        assert_eq!(table(&profile, &profile), "No function's share changed.\n");
        let json = changes_json(&profile, &profile, &Options::default(), 100).unwrap();
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&json).unwrap();
        assert!(!rows.is_empty());
        assert!(rows.iter().all(|row| row["self_change"] == 0.0));
    }

    /// √(0.5 · 0.5 / 1000 · 2) · 1.96 = 4.4 points.
    #[test]
    fn chance_is_that_of_two_shares() {
        assert!((chance([500, 500], [1000, 1000]) - 0.0438).abs() < 0.0002);
        // A function that was never seen may be there all the same.
        let never = chance([0, 0], [100, 100]);
        assert!(never > 0.01 && never < 0.05, "{never}");
    }

    #[test]
    fn an_empty_side_is_an_error() {
        let profile = sample_profile::profile();
        let found = changes(&Profile::new(), &profile, &Options::default(), &LAYOUT);
        assert!(matches!(found, Err(FormatError::Empty)));
    }
}
