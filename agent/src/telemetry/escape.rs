//! Text of others in our page: file names, answers of servers. Anything may be in it.

use std::fmt::{Display, Formatter, Result, Write};

/// Longest text of others that is shown, in characters.
const LONGEST: usize = 400;

/// A text that is only ever shown: no markup, no invisible characters, bounded.
pub struct Shown<'a>(pub &'a str);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(LONGEST) {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other if is_unseen(other) => write!(f, "\\u{{{:x}}}", u32::from(other))?,
                other => f.write_char(other)?,
            }
        }
        if characters.next().is_some() {
            f.write_char('…')?;
        }
        Ok(())
    }
}

/// What shows nothing, or changes how the text around it is shown.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_text() {
        let hostile = "/<script>alert('1')</script>/\"&amp;";
        assert_eq!(
            Shown(hostile).to_string(),
            "/&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;/&quot;&amp;amp;"
        );
    }

    #[test]
    fn what_is_not_seen_is_named() {
        assert_eq!(
            Shown("a\u{202e}gpj\n\0\u{1b}[31m").to_string(),
            "a\\u{202e}gpj\\u{a}\\u{0}\\u{1b}[31m"
        );
    }

    #[test]
    fn length_is_bounded() {
        let long = "é".repeat(10_000);
        let shown = Shown(&long).to_string();
        assert_eq!(shown.chars().count(), LONGEST + 1);
        assert!(shown.ends_with('…'));
    }
}
