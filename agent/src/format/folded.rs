//! Folded stacks, as flamegraph.pl, inferno and speedscope read them: a line a stack,
//! `process;outer;inner COUNT`. Kernel functions end in `_[k]`, JIT code in `_[j]`.

use crate::profile::{FrameKind, Profile};

use super::Options;
use super::label::{Label, LabelKind};
use super::stacks::Stacks;

/// The profile as folded stacks, sorted.
pub fn folded(profile: &Profile, options: &Options) -> Vec<u8> {
    let mut text = String::new();
    for (labels, count) in Stacks::new(profile, options).iter() {
        for (position, label) in labels.enumerate() {
            if position != 0 {
                text.push(';');
            }
            text.push_str(&label.text);
            text.push_str(annotation(label));
        }
        text.push_str(&format!(" {count}\n"));
    }
    text.into_bytes()
}

pub(super) fn annotation(label: &Label) -> &'static str {
    match label.kind {
        LabelKind::Frame(FrameKind::Kernel) => "_[k]",
        LabelKind::Frame(FrameKind::Jit) => "_[j]",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample_profile::profile;
    use super::*;

    fn text(options: Options) -> String {
        String::from_utf8(folded(&profile(), &options)).unwrap()
    }

    #[test]
    fn stacks_are_summed_and_sorted() {
        let text = text(Options::default());
        let lines: Vec<&str> = text.lines().collect();
        let mut sorted = lines.clone();
        sorted.sort_by_key(|line| {
            line.rsplit_once(' ')
                .unwrap()
                .0
                .split(';')
                .collect::<Vec<_>>()
        });
        assert_eq!(lines, sorted);
        let main = "python3 4211;_start;main;<module>;serve;handle;Encoder.encode;PyObject_Call";
        let encode = lines
            .iter()
            .filter(|line| line.starts_with(main))
            .collect::<Vec<_>>();
        assert_eq!(encode.len(), 2, "{encode:?}");
        assert!(
            lines.contains(&"python3 4211;[cut: no_row];libz.so.1.2.13+0x4ad0 40"),
            "{text}"
        );
        assert!(text.contains(";entry_SYSCALL_64_after_hwframe_[k];do_syscall_64_[k];"));
        assert!(text.contains(";py::trampoline_[j] "));
    }

    #[test]
    fn options_add_lines_and_threads_and_take_inlines() {
        let lines = text(Options {
            lines: true,
            threads: true,
            inlines: false,
            ..Options::default()
        });
        assert!(lines.contains("python3 4211;worker-1 4217;"), "{lines}");
        assert!(
            lines.contains(";handle (/srv/app/server.py:88);"),
            "{lines}"
        );
        assert!(
            lines.contains(";handle (/srv/app/server.py:91);"),
            "{lines}"
        );
        assert!(!lines.contains("inlined_helper"), "{lines}");
        assert!(text(Options::default()).contains("inlined_helper"));
    }

    #[test]
    fn the_same_profile_gives_the_same_bytes() {
        let all = text(Options::default());
        assert!((0..5).all(|_| text(Options::default()) == all));
    }

    #[test]
    fn an_empty_profile_is_an_empty_file() {
        assert!(folded(&Profile::new(), &Options::default()).is_empty());
    }
}
