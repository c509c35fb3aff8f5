//! The page that speedscope shows for a profile, in its view `sandwich`: a list of all profiles of the file with their
//! total, and a table of the active one's functions with the time in each.

/// A page as far as it is looked at. Times in ns.
#[derive(Debug, PartialEq)]
pub struct Page {
    pub profiles: Vec<Row>,
    /// Only those that fit into the window.
    pub functions: Vec<Row>,
}

#[derive(Debug, PartialEq)]
pub struct Row {
    pub name: String,
    /// Of a function: its own time, without that of the functions it called.
    pub time: Rounded,
}

/// A time as it is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rounded {
    pub ns: f64,
    /// How far the true one may be off.
    pub error: f64,
}

impl Rounded {
    pub fn is(&self, ns: u64) -> bool {
        (self.ns - ns as f64).abs() <= self.error
    }

    /// `12.34ms`, perhaps with ` (5%)` behind it.
    fn parse(text: &str) -> Option<Self> {
        let text = text.split(' ').next()?;
        let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = text.split_at(unit);
        // Minutes are written `1:02.34`.
        let unit = match unit {
            "ns" => 1.0,
            "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            _ => return None,
        };
        let digits = number.split_once('.').map_or(0, |(_, part)| part.len());
        let number: f64 = number.parse().ok()?;
        // Half of the last digit, and what floating-point numbers add.
        let error = unit * 0.5001 * 0.1f64.powi(i32::try_from(digits).ok()?);
        Some(Self {
            ns: number * unit,
            error,
        })
    }
}

impl Page {
    /// Reads the page's elements as Chromium writes them.
    pub fn parse(dom: &str) -> Result<Self, String> {
        let mut page = Self {
            profiles: Vec::new(),
            functions: Vec::new(),
        };
        for row in dom.split("<tr").skip(1) {
            let row = row.split("</tr>").next().unwrap_or_default();
            let cells: Vec<String> = row.split("<td").skip(1).map(cell).collect();
            let [a, b, c] = cells.as_slice() else {
                continue;
            };
            // Number, name, total; or total, self, name.
            let (rows, name, time) = if a.bytes().all(|it| it.is_ascii_digit()) {
                (&mut page.profiles, b, c)
            } else {
                (&mut page.functions, c, b)
            };
            let time = Rounded::parse(time).ok_or_else(|| format!("not a time: {time}"))?;
            let name = name.clone();
            rows.push(Row { name, time });
        }
        if page.functions.is_empty() {
            let start: String = text_of(dom).chars().take(300).collect();
            return Err(format!(
                "speedscope shows no functions, but: {}",
                start.trim()
            ));
        }
        Ok(page)
    }
}

/// The text of a cell, from behind its `<td` on.
fn cell(html: &str) -> String {
    let content = html.split_once('>').map_or("", |(_, content)| content);
    text_of(content.split("</td>").next().unwrap_or_default())
}

/// Text without its elements.
fn text_of(html: &str) -> String {
    let mut parts = html.split('<');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text += part.split_once('>').map_or("", |(_, text)| text);
    }
    for (name, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&nbsp;", "\u{a0}"),
        ("&amp;", "&"),
    ] {
        text = text.replace(name, character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ns: f64) -> Rounded {
        Rounded { ns, error: 5001.0 }
    }

    #[test]
    fn tables_are_read() {
        let dom = r#"<div><table><tr><th>Name</th></tr><tr title="a 1" class="x"><td class="y">1</td>
            <td><span>a 1</span></td><td>40.00ms</td></tr></table>
            <table><tr><td class="z">30.50ms (75%)<div style="width: 75%;"></div></td><td>10.00ms (25%)</td>
            <td title="/a.py"><span></span>&lt;module&gt; (&amp;)</td></tr></table></div>"#;
        let row = |name: &str, time| Row {
            name: name.to_owned(),
            time,
        };
        let page = Page::parse(dom).expect("the page is right");
        assert_eq!(page.profiles.len(), 1);
        assert_eq!(page.profiles[0].name, "a 1");
        assert!(page.profiles[0].time.is(40_000_000));
        assert_eq!(page.functions[0].name, "<module> (&)");
        assert_eq!(page.functions[0].time.ns, ms(10e6).ns);
        assert_eq!(row("x", ms(1.0)).name, "x");
        assert!(Page::parse("<p>Something went wrong</p>").is_err());
    }

    #[test]
    fn times_are_as_exact_as_they_are_written() {
        let time = Rounded::parse("1.25s (3%)").expect("it is a time");
        assert!(time.is(1_254_900_000) && time.is(1_245_100_000));
        assert!(!time.is(1_256_000_000));
        assert!(
            Rounded::parse("0.00ns (<0.01%)")
                .expect("it is a time")
                .is(0)
        );
        assert!(Rounded::parse("12").is_none() && Rounded::parse("1:02.3").is_none());
    }
}
