//! The text of a box: of a frame, and of the process and thread below it.

use crate::profile::{Frame, FrameKind, Process, Profile, StringId, Thread};

use super::Options;

/// Stands where a stack has no frames.
pub const NO_FRAMES: &str = "[no frames]";

/// What a box stands for; decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LabelKind {
    Process,
    Thread,
    Frame(FrameKind),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// Without anything that the formats reserve.
    pub text: String,
    pub kind: LabelKind,
}

impl Label {
    fn new(text: &str, kind: LabelKind) -> Self {
        let mut text = plain(text);
        if let LabelKind::Frame(_) = kind {
            defuse(&mut text);
        }
        if text.is_empty() {
            text.push_str("[unknown]");
        }
        Self { text, kind }
    }

    pub fn process(profile: &Profile, process: &Process, with_pid: bool) -> Self {
        let pid = if with_pid { process.id.pid } else { 0 };
        let text = numbered(&profile[process.name], pid);
        Self::new(&text, LabelKind::Process)
    }

    pub fn thread(profile: &Profile, thread: &Thread, with_tid: bool) -> Self {
        let tid = if with_tid { thread.tid } else { 0 };
        let text = numbered(&profile[thread.name], tid);
        Self::new(&text, LabelKind::Thread)
    }

    /// Stands where a stack has no frames.
    pub fn no_frames() -> Self {
        Self::new(NO_FRAMES, LabelKind::Frame(FrameKind::Marker))
    }

    pub fn frame(profile: &Profile, frame: &Frame, options: &Options) -> Self {
        let function = frame.function.map(|function| &profile[function]);
        let name = function.map_or("", |function| &profile[function.name]);
        let mut text = if name.is_empty() {
            place(profile, frame)
        } else {
            name.to_owned()
        };
        let native = frame.kind == FrameKind::Native && !name.is_empty();
        if options.addresses && native {
            text.push_str(&format!(" [{}]", place(profile, frame)));
        }
        let file = function.map_or(StringId::EMPTY, |function| function.file);
        if options.lines && file != StringId::EMPTY {
            let file = &profile[file];
            match frame.line {
                Some(line) => text.push_str(&format!(" ({file}:{line})")),
                None => text.push_str(&format!(" ({file})")),
            }
        }
        Self::new(&text, LabelKind::Frame(frame.kind))
    }
}

/// `name 123`; the name alone where the number is not known.
fn numbered(name: &str, number: u32) -> String {
    match number {
        0 => name.to_owned(),
        _ => format!("{name} {number}"),
    }
}

/// `libfoo.so.1+0x1a2b`
fn place(profile: &Profile, frame: &Frame) -> String {
    match frame.executable {
        Some(executable) => {
            let path = &profile[profile[executable].path];
            let name = path.rsplit('/').next().unwrap_or(path);
            format!("{name}+{:#x}", frame.svma)
        }
        None if frame.svma != 0 => format!("{:#x}", frame.svma),
        None => String::new(),
    }
}

/// Text without what folded stacks, XML or terminals take for something else.
pub fn plain(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|character| match character {
            // Separates frames.
            ';' => ':',
            control if control.is_control() => ' ',
            // Line ends of Unicode; text that runs the other way; what XML does not allow.
            '\u{2028}' | '\u{2029}' => ' ',
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
            other => other,
        })
        .collect();
    plain.trim().to_owned()
}

/// Changes an end of a name that readers of folded stacks take for an annotation (`_[k]`) or, in
/// the innermost frame, for a count (` 12`).
fn defuse(text: &mut String) {
    let length = text.len();
    let annotated = length >= 4 && text.is_char_boundary(length - 4) && {
        let end = &text.as_bytes()[length - 4..];
        end.starts_with(b"_[") && end.ends_with(b"]")
    };
    if annotated {
        text.replace_range(length - 3..length - 2, "(");
        text.replace_range(length - 1.., ")");
    }
    if let Some((_, last)) = text.rsplit_once(' ')
        && last
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        let space = text.len() - last.len() - 1;
        text.replace_range(space..=space, "_");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Executable, Function};

    fn function(profile: &mut Profile, kind: FrameKind, name: &str, file: &str) -> Frame {
        let function = Function {
            name: profile.string(name),
            system_name: profile.string(name),
            file: profile.string(file),
            first_line: Some(1),
        };
        let path = profile.string("/usr/lib/libfoo.so.1");
        let executable = profile.executable(Executable {
            path,
            build_id: StringId::EMPTY,
            htlhash: StringId::EMPTY,
            file: Default::default(),
        });
        Frame {
            kind,
            function: Some(profile.function(function)),
            line: Some(12),
            executable: Some(executable),
            svma: 0x1a2b,
            inlined: false,
        }
    }

    fn text(profile: &Profile, frame: &Frame, lines: bool, addresses: bool) -> String {
        let options = Options {
            lines,
            addresses,
            ..Options::default()
        };
        Label::frame(profile, frame, &options).text
    }

    #[test]
    fn frames_read_as_people_expect() {
        let mut profile = Profile::new();
        let python = function(&mut profile, FrameKind::Python, "C.method", "/srv/app.py");
        assert_eq!(text(&profile, &python, false, true), "C.method");
        assert_eq!(
            text(&profile, &python, true, false),
            "C.method (/srv/app.py:12)"
        );

        let native = function(&mut profile, FrameKind::Native, "ns::f(int)", "");
        assert_eq!(text(&profile, &native, true, false), "ns::f(int)");
        assert_eq!(
            text(&profile, &native, false, true),
            "ns::f(int) [libfoo.so.1+0x1a2b]"
        );

        let nameless = Frame {
            function: None,
            ..native
        };
        assert_eq!(text(&profile, &nameless, true, true), "libfoo.so.1+0x1a2b");
        let nothing = Frame {
            executable: None,
            svma: 0,
            ..nameless
        };
        assert_eq!(text(&profile, &nothing, false, false), "[unknown]");
    }

    #[test]
    fn reserved_characters_are_replaced() {
        let mut profile = Profile::new();
        let pairs = [
            ("<[u8; 8] as T>::f", "<[u8: 8] as T>::f"),
            ("a\nb\u{1b}[31m\u{0}c", "a b [31m c"),
            ("\u{202e}txt\u{ffff}", "\u{fffd}txt\u{fffd}"),
            ("fake_[k]", "fake_(k)"),
            ("ends 12", "ends_12"),
            ("ends 1.5", "ends_1.5"),
            (" \t ", "[unknown]"),
            ("é_[é]", "é_[é]"),
            ("операция", "операция"),
        ];
        for (name, expected) in pairs {
            let frame = function(&mut profile, FrameKind::Native, name, "");
            assert_eq!(text(&profile, &frame, false, false), expected);
        }
    }
}
