//! docs/agent.md lists the settings as they are in the table. `STRATA_BLESS=1 cargo test -p strata
//! --lib documented` writes them into it.

use std::fs;
use std::path::Path;

use super::table::SETTINGS;

const BEGIN: &str = "<!-- settings: begin -->\n";
const END: &str = "<!-- settings: end -->";

fn table() -> String {
    let mut text = String::new();
    let mut heading = "";
    for setting in SETTINGS {
        if setting.heading != heading {
            heading = setting.heading;
            text += &format!("\n### {heading}\n\n| setting | default | is |\n|---|---|---|\n");
        }
        let default = match setting.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let mut is = setting.help.to_owned();
        if !setting.standard.is_empty() {
            is += &format!(" Also `{}`.", setting.standard.join("`, `"));
        }
        if !setting.live {
            is += " Not by SIGHUP.";
        }
        text += &format!("| `{}` | {default} | {is} |\n", setting.name);
    }
    text + "\n"
}

#[test]
fn the_documentation_lists_all_settings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/agent.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (listed, after) = rest.split_once(END).unwrap();
    if listed == table() {
        return;
    }
    if std::env::var_os("STRATA_BLESS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
        return;
    }
    panic!("docs/agent.md lists other settings: STRATA_BLESS=1 cargo test -p strata documented");
}
