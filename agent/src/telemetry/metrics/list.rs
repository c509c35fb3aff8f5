//! How a list of metric families is made, and what bounds it.

use std::collections::BTreeMap;

use super::super::exposition::{Family, Kind, Point, Value};

/// Most points of a family; what is over them is added up as `other`.
pub const POINTS: usize = 64;

pub struct List(pub Vec<Family>);

impl List {
    pub fn add(
        &mut self,
        kind: Kind,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        points: Vec<Point>,
    ) {
        let units = ["bytes", "seconds", "hertz"];
        let unit = units
            .into_iter()
            .find(|unit| name.strip_suffix(unit).is_some_and(|n| n.ends_with('_')));
        self.0.push(Family {
            name,
            kind,
            unit,
            help,
            labels,
            points,
        });
    }

    pub fn counter(&mut self, name: &'static str, help: &'static str, value: impl Into<Number>) {
        self.add(Kind::Counter, name, help, &[], points(value));
    }

    pub fn gauge(&mut self, name: &'static str, help: &'static str, value: impl Into<Number>) {
        self.add(Kind::Gauge, name, help, &[], points(value));
    }

    /// A counter that is told apart by a cause.
    pub fn by(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static [&'static str],
        counts: &BTreeMap<String, u64>,
    ) {
        self.add(Kind::Counter, name, help, label, bounded(counts));
    }
}

/// A value, or none to be had.
pub struct Number(Option<Value>);

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self(Some(Value::Whole(value)))
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self(Some(Value::Real(value)))
    }
}

impl<T: Into<Number>> From<Option<T>> for Number {
    fn from(value: Option<T>) -> Self {
        Self(value.and_then(|value| value.into().0))
    }
}

fn points(value: impl Into<Number>) -> Vec<Point> {
    let value = value.into().0;
    let point = value.map(|value| Point {
        labels: Vec::new(),
        value,
    });
    point.into_iter().collect()
}

pub fn point(labels: &[&str], value: impl Into<Number>) -> Option<Point> {
    Some(Point {
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        value: value.into().0?,
    })
}

pub fn bounded(counts: &BTreeMap<String, u64>) -> Vec<Point> {
    let kept = counts.iter().take(POINTS);
    let mut points: Vec<Point> = kept
        .filter_map(|(cause, count)| point(&[cause], *count))
        .collect();
    if counts.len() > POINTS {
        let others: u64 = counts.values().skip(POINTS).sum();
        points.extend(point(&["other"], others));
    }
    points
}

pub fn owned(counts: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    let pairs = counts.iter();
    pairs
        .map(|(cause, count)| ((*cause).to_owned(), *count))
        .collect()
}

/// ns since 1970 as seconds.
pub fn moment(ns: Option<u64>) -> Option<f64> {
    ns.map(|ns| ns as f64 / 1e9)
}
