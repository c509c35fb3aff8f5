//! What is printed: as wide as the terminal, in colours where they are wanted.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result};

use crate::cli::doctor::colourful;
use crate::format::Layout;

/// How a table of so many rows looks on this stdout.
pub fn layout(rows: usize) -> Layout {
    let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    Layout {
        rows,
        // A file or a program gets whole names.
        width: width.filter(|_| io::stdout().is_terminal()),
        colour: colourful(),
    }
}

/// Prints to stdout. Whoever reads it may have seen enough (`| head`).
pub fn print(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("stdout can't be written"),
    }
}
