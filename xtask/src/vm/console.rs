//! Reads the guest's serial console: named sections between `@@begin NAME` and `@@end NAME`, written by guest/init.sh.

use std::collections::BTreeMap;

#[derive(Debug, Default, PartialEq)]
pub struct Console {
    sections: BTreeMap<String, String>,
    /// A section that began and never ended: where the guest stopped talking.
    pub open: Option<String>,
    /// The script came to its end.
    pub done: bool,
    /// The kernel's own cry, when it died.
    pub panic: Option<String>,
    /// The last lines, for a message about a run that told nothing.
    pub tail: Vec<String>,
}

const TAIL_LINES: usize = 15;

impl Console {
    /// Never fails: whatever a dying machine printed is worth as much as can be made of it.
    pub fn parse(text: &str) -> Console {
        let mut console = Console::default();
        let mut body = String::new();
        let lines: Vec<&str> = text
            .lines()
            .map(|line| line.trim_end_matches('\r'))
            .collect();
        for line in &lines {
            if let Some(name) = line.strip_prefix("@@begin ") {
                console.close(&mut body);
                console.open = Some(name.to_owned());
            } else if line
                .strip_prefix("@@end ")
                .is_some_and(|name| console.open.as_deref() == Some(name))
            {
                console.close(&mut body);
            } else if *line == "@@done" {
                console.done = true;
            } else if line.contains("Kernel panic") {
                console.panic.get_or_insert_with(|| (*line).to_owned());
            } else if console.open.is_some() {
                body.push_str(line);
                body.push('\n');
            }
        }
        if let Some(name) = &console.open {
            console.sections.insert(name.clone(), trimmed(&body));
        }
        let tail = lines
            .iter()
            .rev()
            .filter(|line| !line.trim().is_empty())
            .take(TAIL_LINES);
        console.tail = tail.map(|line| (*line).to_owned()).collect();
        console.tail.reverse();
        console
    }

    fn close(&mut self, body: &mut String) {
        if let Some(name) = self.open.take() {
            self.sections.insert(name, trimmed(body));
        }
        body.clear();
    }

    pub fn section(&self, name: &str) -> Option<&str> {
        self.sections.get(name).map(String::as_str)
    }

    /// One line of the section `facts`, which are `KEY VALUE`.
    pub fn fact(&self, key: &str) -> Option<&str> {
        self.section("facts")?
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
    }

    /// The verifier's counts, wherever strata prints them: lines that start with `verifier:`.
    pub fn verifier(&self) -> Vec<&str> {
        let logs = ["doctor.log", "record.log"];
        let lines = logs
            .iter()
            .filter_map(|name| self.section(name))
            .flat_map(str::lines);
        let mut found: Vec<&str> = lines
            .map(str::trim)
            .filter(|line| line.starts_with("verifier:"))
            .collect();
        found.dedup();
        found
    }
}

/// The script ends each section with an empty line of its own.
fn trimmed(body: &str) -> String {
    body.trim_end_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[    0.1] booting\r\n@@begin facts\r\nkernel 5.10.0\r\nbtf-bytes 42\r\nbtf 7\r\n\r\n@@end facts\r\n\
        @@begin doctor.log\r\nverifier: sample 812 instructions\r\n  verifier: walk 20 instructions\r\nelse\r\n\r\n\
        @@end doctor.log\r\n@@begin empty\r\n\r\n@@end empty\r\n@@done\r\n";

    #[test]
    fn sections_and_facts() {
        let console = Console::parse(GOOD);
        assert!(console.done);
        assert_eq!(console.open, None);
        assert_eq!(console.fact("kernel"), Some("5.10.0"));
        assert_eq!(console.fact("btf"), Some("7"), "a key is matched whole");
        assert_eq!(console.fact("odd"), None);
        assert_eq!(console.section("empty"), Some(""));
        assert_eq!(console.section("booting"), None);
    }

    #[test]
    fn the_verifiers_lines_are_found() {
        let console = Console::parse(GOOD);
        assert_eq!(
            console.verifier(),
            [
                "verifier: sample 812 instructions",
                "verifier: walk 20 instructions"
            ]
        );
    }

    #[test]
    fn a_guest_that_dies_in_a_section_keeps_what_it_said() {
        let console = Console::parse(
            "@@begin c-truth\r\nmain;leaf\r\n[ 9.1] Kernel panic - not syncing: out of memory\r\n",
        );
        assert!(!console.done);
        assert_eq!(console.open.as_deref(), Some("c-truth"));
        assert_eq!(console.section("c-truth"), Some("main;leaf"));
        assert_eq!(
            console.panic.as_deref(),
            Some("[ 9.1] Kernel panic - not syncing: out of memory")
        );
        assert_eq!(console.tail.len(), 3);
    }

    #[test]
    fn an_end_without_its_beginning_is_plain_text() {
        let console = Console::parse("@@begin a\nx\n@@end b\ny\n@@end a\n");
        assert_eq!(console.section("a"), Some("x\n@@end b\ny"));
        assert_eq!(console.section("b"), None);
    }

    #[test]
    fn nothing_at_all() {
        assert_eq!(Console::parse(""), Console::default());
    }
}
