//! Folded stacks: `frame;frame COUNT`, the root first. Strata's begin with the process, `name PID`;
//! those of others belong to one that is named after the file.

use crate::profile::{ContextId, FrameKind, Profile, SampleKey, UNKNOWN_CPU};

use super::ReadError;
use super::builder::{Builder, DEPTH, Named, frame, kind_of};

pub fn read(profile: &mut Profile, name: &str, bytes: &[u8]) -> Result<(), ReadError> {
    let text = std::str::from_utf8(bytes).map_err(|error| ReadError::Decode(error.to_string()))?;
    let mut builder = Builder::new(profile);
    let value = builder.value_type("samples", "count");
    let event = builder.event(value, None)?;
    for (place, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let damaged = || ReadError::Line(place + 1);
        let (stack, count) = line.rsplit_once(' ').ok_or_else(damaged)?;
        let count: u64 = count.parse().map_err(|_| damaged())?;
        // Process and thread, and what is too deep if it is there at all.
        let mut texts: Vec<&str> = stack.splitn(DEPTH + 4, ';').collect();
        let (mut pid, mut process) = (0, name);
        let (mut tid, mut thread) = (0, "");
        if texts.len() > 1
            && let Some(found) = numbered(texts[0])
        {
            (process, pid) = found;
            texts.remove(0);
            if texts.len() > 1
                && let Some(found) = numbered(texts[0])
            {
                (thread, tid) = found;
                texts.remove(0);
            }
        }
        let process = builder.process(pid, process, Vec::new());
        let thread = builder.thread(process, tid, thread);
        let mut frames = Vec::with_capacity(texts.len());
        for text in texts.iter().rev() {
            let (name, kind) = function(text);
            let function = builder.function(&Named {
                name,
                system_name: "",
                file: "",
                first_line: 0,
            });
            builder.place(frame(kind, None, 0), &[(function, 0)], &mut frames)?;
        }
        let key = SampleKey {
            stack: builder.stack(&frames),
            context: ContextId::NONE,
            process,
            thread,
            cpu: UNKNOWN_CPU,
            event,
        };
        builder.add_sum(key, count, count)?;
    }
    Ok(())
}

/// `name 123`. No frame of Strata's ends so.
fn numbered(text: &str) -> Option<(&str, u32)> {
    let (name, number) = text.rsplit_once(' ')?;
    Some((name, number.parse().ok()?))
}

/// A function's name and what it is, by its annotation.
fn function(text: &str) -> (&str, FrameKind) {
    if let Some(name) = text.strip_suffix("_[k]") {
        (name, FrameKind::Kernel)
    } else if let Some(name) = text.strip_suffix("_[j]") {
        (name, FrameKind::Jit)
    } else {
        // `name (file.py:12)`
        let file = text.rsplit_once(" (").map_or("", |(_, place)| place);
        let file = file.rsplit_once(':').map_or("", |(file, _)| file);
        (text, kind_of(text, file))
    }
}
