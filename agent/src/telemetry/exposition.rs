//! Metric families as text, in OpenMetrics or in the older format of Prometheus.
//!
//! Written by hand, not through a client library: what is shown are the totals that the run loop
//! publishes, not counters of this room, and prometheus-client writes OpenMetrics alone, while
//! promtool and many scrapers want the older format.

use std::fmt::Write;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    OpenMetrics,
    /// What everything understands.
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Info,
}

/// Metrics of one name. For counters it is the name without `_total`, for an info without `_info`.
#[derive(Clone, Debug)]
pub struct Family {
    pub name: &'static str,
    pub kind: Kind,
    /// Ends the name, where there is one.
    pub unit: Option<&'static str>,
    pub help: &'static str,
    /// The names of each point's labels.
    pub labels: &'static [&'static str],
    pub points: Vec<Point>,
}

#[derive(Clone, Debug)]
pub struct Point {
    /// As many as the family has labels.
    pub labels: Vec<String>,
    pub value: Value,
}

#[derive(Clone, Copy, Debug)]
pub enum Value {
    Whole(u64),
    Real(f64),
}

/// Longest value of a label, in bytes.
const LONGEST: usize = 128;

impl Format {
    /// What the client asked for by its Accept header, as far as we have it.
    pub fn negotiate(accept: &str) -> Self {
        let (mut open, mut text) = (None::<f64>, None::<f64>);
        for offer in accept.split(',') {
            let mut parts = offer.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut version) = (1.0f64, None);
            for parameter in parts {
                match parameter.split_once('=') {
                    Some(("q", value)) => quality = value.trim().parse().unwrap_or(0.0),
                    Some(("version", value)) => version = Some(value.trim().trim_matches('"')),
                    _ => {}
                }
            }
            let best = match kind.as_str() {
                "application/openmetrics-text" if version.is_none_or(|v| v == "1.0.0") => &mut open,
                "text/plain" => &mut text,
                _ => continue,
            };
            *best = Some(best.unwrap_or(0.0f64).max(quality));
        }
        match open {
            Some(open) if open > 0.0 && text.is_none_or(|text| open >= text) => Self::OpenMetrics,
            _ => Self::Text,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

impl Family {
    /// The name that its points have, and that queries use.
    pub fn series(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Gauge => self.name.to_owned(),
            Kind::Info => format!("{}_info", self.name),
        }
    }

    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Info => "info",
        }
    }

    fn write(&self, format: Format, out: &mut String) {
        let series = self.series();
        // The older format knows neither infos nor names apart from those of the points.
        let (name, kind) = match (format, self.kind) {
            (Format::OpenMetrics, _) => (self.name, self.kind_name()),
            (Format::Text, Kind::Info) => (series.as_str(), "gauge"),
            (Format::Text, _) => (series.as_str(), self.kind_name()),
        };
        put(out, format_args!("# HELP {name} {}\n", self.help));
        put(out, format_args!("# TYPE {name} {kind}\n"));
        if let (Format::OpenMetrics, Some(unit)) = (format, self.unit) {
            put(out, format_args!("# UNIT {name} {unit}\n"));
        }
        for point in &self.points {
            out.push_str(&series);
            for (number, (label, value)) in self.labels.iter().zip(&point.labels).enumerate() {
                let before = if number == 0 { '{' } else { ',' };
                put(out, format_args!("{before}{label}=\"{}\"", quoted(value)));
            }
            if !self.labels.is_empty() {
                out.push('}');
            }
            match point.value {
                Value::Whole(value) => put(out, format_args!(" {value}\n")),
                // Rust's own way never has an exponent, and these are finite.
                Value::Real(value) => put(out, format_args!(" {value}\n")),
            }
        }
    }
}

/// The whole exposition.
pub fn write(families: &[Family], format: Format) -> String {
    let mut out = String::with_capacity(32 << 10);
    for family in families {
        family.write(format, &mut out);
    }
    if format == Format::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A string takes everything.
    let _ = out.write_fmt(text);
}

/// A label's value between its quotes: bounded, and on one line.
fn quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for character in cut(value).chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other if other.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

fn cut(value: &str) -> &str {
    let mut end = value.len().min(LONGEST);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    &value[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(kind: Kind, unit: Option<&'static str>) -> Family {
        Family {
            name: "strata_thing_bytes",
            kind,
            unit,
            help: "What it is.",
            labels: &["kind", "of"],
            points: vec![Point {
                labels: vec!["a\"b\\c\nd\u{7}".to_owned(), "ü".repeat(100)],
                value: Value::Whole(u64::MAX),
            }],
        }
    }

    #[test]
    fn labels_are_escaped_and_bounded() {
        let text = write(&[family(Kind::Gauge, None)], Format::Text);
        let cut = "ü".repeat(64);
        assert_eq!(
            text,
            format!(
                "# HELP strata_thing_bytes What it is.\n# TYPE strata_thing_bytes gauge\n\
                 strata_thing_bytes{{kind=\"a\\\"b\\\\c\\nd\u{fffd}\",of=\"{cut}\"}} 18446744073709551615\n"
            )
        );
    }

    #[test]
    fn the_formats_name_counters_differently() {
        let family = [family(Kind::Counter, Some("bytes"))];
        let open = write(&family, Format::OpenMetrics);
        assert!(open.contains("# TYPE strata_thing_bytes counter\n"));
        assert!(open.contains("# UNIT strata_thing_bytes bytes\n"));
        assert!(open.contains("\nstrata_thing_bytes_total{"));
        assert!(open.ends_with("# EOF\n"));
        let text = write(&family, Format::Text);
        assert!(text.contains("# TYPE strata_thing_bytes_total counter\n"));
        assert!(!text.contains("# UNIT") && !text.contains("# EOF"));
    }

    #[test]
    fn the_client_decides_between_the_formats() {
        let open = |accept| Format::negotiate(accept) == Format::OpenMetrics;
        // As Prometheus 2.42 and 3.5 ask.
        assert!(open(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
        ));
        assert!(open(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,/;q=0.1"
        ));
        assert!(open("application/openmetrics-text; version=\"1.0.0\""));
        assert!(!open("application/openmetrics-text;version=0.0.1"));
        assert!(!open("application/openmetrics-text;q=0"));
        assert!(!open(
            "text/plain;q=0.9, application/openmetrics-text;q=0.3"
        ));
        assert!(!open("*/*") && !open("") && !open("text/plain") && !open(";;q=,=,"));
    }
}
