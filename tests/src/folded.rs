//! Folded stacks: `comm pid;frame;frame;… count`, root first.

/// Stacks that are the same, and how often they were met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub comm: String,
    pub pid: u32,
    pub frames: Vec<Frame>,
    pub count: u64,
}

/// One frame as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Frame {
    /// `name (file.py:123)`. Line 0 where none is given.
    Python {
        name: String,
        file: String,
        line: u32,
    },
    /// `name [libfoo.so.1+0x1a2b]`, `libfoo.so.1+0x1a2b`, or `name` alone, each perhaps with `
    /// (file.c:123)` behind it.
    Native {
        name: Option<String>,
        at: Option<Place>,
    },
    /// `name_[k]`.
    Kernel { name: String },
    /// `[cut: reason]`.
    Cut { reason: String },
}

/// Where a native frame is in its file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub file: String,
    pub svma: u64,
}

impl Place {
    /// Reads `libfoo.so.1+0x1a2b`.
    fn parse(text: &str) -> Option<Self> {
        let (file, offset) = text.rsplit_once("+0x")?;
        let svma = u64::from_str_radix(offset, 16).ok()?;
        (!file.is_empty()).then(|| Self {
            file: file.to_owned(),
            svma,
        })
    }
}

impl Frame {
    pub fn parse(text: &str) -> Self {
        if let Some(reason) = text
            .strip_prefix("[cut: ")
            .and_then(|rest| rest.strip_suffix(']'))
        {
            return Self::Cut {
                reason: reason.to_owned(),
            };
        }
        if let Some(name) = text.strip_suffix("_[k]") {
            return Self::Kernel {
                name: name.to_owned(),
            };
        }
        let Some((front, file, line)) = source(text) else {
            return Self::parse_native(text);
        };
        let is_python = file.ends_with(".py") || (file.starts_with('<') && file.ends_with('>'));
        match is_python {
            true => Self::Python {
                name: front.to_owned(),
                file: file.to_owned(),
                line: line.unwrap_or(0),
            },
            // Of a native function the place is judged, not the line.
            false if line.is_some() => Self::parse_native(front),
            false => Self::parse_native(text),
        }
    }

    fn parse_native(text: &str) -> Self {
        if let Some(at) = Place::parse(text) {
            return Self::Native {
                name: None,
                at: Some(at),
            };
        }
        if let Some((name, rest)) = text.rsplit_once(" [")
            && let Some(at) = rest.strip_suffix(']').and_then(Place::parse)
        {
            // A frame without a name may give its place twice.
            let name = Place::parse(name).is_none().then(|| name.to_owned());
            return Self::Native { name, at: Some(at) };
        }
        Self::Native {
            name: Some(text.to_owned()),
            at: None,
        }
    }

    /// A Python or native frame's name.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Python { name, .. } | Self::Kernel { name } => Some(name),
            Self::Native { name, .. } => name.as_deref(),
            Self::Cut { .. } => None,
        }
    }

    pub fn is_python(&self) -> bool {
        matches!(self, Self::Python { .. })
    }

    pub fn is_native(&self) -> bool {
        matches!(self, Self::Native { .. })
    }

    pub fn is_kernel(&self) -> bool {
        matches!(self, Self::Kernel { .. })
    }
}

/// Splits `name (file:12)` or `name (file)`.
fn source(text: &str) -> Option<(&str, &str, Option<u32>)> {
    let (front, rest) = text.rsplit_once(" (")?;
    let rest = rest.strip_suffix(')')?;
    match rest
        .rsplit_once(':')
        .map(|(file, line)| (file, line.parse()))
    {
        Some((file, Ok(line))) => Some((front, file, Some(line))),
        _ => Some((front, rest, None)),
    }
}

/// Reads a whole file of folded stacks.
pub fn parse(text: &str) -> Result<Vec<Sample>, String> {
    text.lines()
        .filter(|line| !line.is_empty())
        .map(parse_line)
        .collect()
}

fn parse_line(line: &str) -> Result<Sample, String> {
    let broken = |what: &str| format!("not a folded stack ({what}): {line}");
    let (stack, count) = line.rsplit_once(' ').ok_or_else(|| broken("no count"))?;
    let count = count
        .parse()
        .map_err(|_| broken("the count is no number"))?;
    let mut frames = stack.split(';');
    let process = frames.next().unwrap_or_default();
    let (comm, pid) = process
        .rsplit_once(' ')
        .ok_or_else(|| broken("no process id"))?;
    let pid = pid
        .parse()
        .map_err(|_| broken("the process id is no number"))?;
    Ok(Sample {
        comm: comm.to_owned(),
        pid,
        frames: frames.map(Frame::parse).collect(),
        count,
    })
}

/// All samples together.
pub fn total(samples: &[Sample]) -> u64 {
    samples.iter().map(|sample| sample.count).sum()
}

/// The samples of one process.
pub fn of_process(samples: &[Sample], pid: u32) -> Vec<Sample> {
    samples
        .iter()
        .filter(|sample| sample.pid == pid)
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_apart() {
        let place = |svma| {
            Some(Place {
                file: "libfoo.so.1".to_owned(),
                svma,
            })
        };
        let python = |name: &str, file: &str, line| Frame::Python {
            name: name.to_owned(),
            file: file.to_owned(),
            line,
        };
        for (text, frame) in [
            ("A.f (x/y.py:12)", python("A.f", "x/y.py", 12)),
            ("<module> (<string>:1)", python("<module>", "<string>", 1)),
            ("f (y.py)", python("f", "y.py", 0)),
            (
                "libfoo.so.1+0x1f",
                Frame::Native {
                    name: None,
                    at: place(31),
                },
            ),
            (
                "libfoo.so.1+0x1f [libfoo.so.1+0x1f]",
                Frame::Native {
                    name: None,
                    at: place(31),
                },
            ),
            (
                "f [libfoo.so.1+0x10]",
                Frame::Native {
                    name: Some("f".to_owned()),
                    at: place(16),
                },
            ),
            (
                "n::f(int) (.cold)",
                Frame::Native {
                    name: Some("n::f(int) (.cold)".to_owned()),
                    at: None,
                },
            ),
            (
                "vfs_read_[k]",
                Frame::Kernel {
                    name: "vfs_read".to_owned(),
                },
            ),
            (
                "[cut: no_row]",
                Frame::Cut {
                    reason: "no_row".to_owned(),
                },
            ),
        ] {
            assert_eq!(Frame::parse(text), frame, "{text}");
        }
    }

    #[test]
    fn native_lines_are_left_out() {
        let at = Some(Place {
            file: "l.so".to_owned(),
            svma: 16,
        });
        let name = Some("n::f(int)".to_owned());
        assert_eq!(
            Frame::parse("n::f(int) [l.so+0x10] (./a/b.c:12)"),
            Frame::Native {
                name: name.clone(),
                at
            }
        );
        assert_eq!(
            Frame::parse("n::f(int) (./a/b.c:12)"),
            Frame::Native { name, at: None }
        );
    }

    #[test]
    fn a_line_is_read() {
        let samples = parse("my comm 12;a;b;vfs_read_[k] 7\n").expect("the line is right");
        assert_eq!(
            (samples[0].comm.as_str(), samples[0].pid, samples[0].count),
            ("my comm", 12, 7)
        );
        assert_eq!(samples[0].frames.len(), 3);
        assert!(parse("a;b").is_err() && parse("a;b x").is_err() && parse("a;b 1").is_err());
    }
}
