use std::path::Path;

use super::super::error::Problem;
use super::super::table::{Kind, Setting};
use super::super::value::Value;
use super::super::{Loaded, file};
use super::*;

/// Of all kinds of fields.
static FORM: Form = Form {
    name: "select",
    fields: &[
        Field {
            name: "text",
            kind: FieldKind::Text,
        },
        Field {
            name: "texts",
            kind: FieldKind::Texts,
        },
        Field {
            name: "number",
            kind: FieldKind::Number { min: 1, max: 9 },
        },
        Field {
            name: "switch",
            kind: FieldKind::Switch,
        },
    ],
    check: |rule| match rule.text("text") {
        Some("wrong") => Err(Wrong {
            field: Some("text"),
            why: "it is wrong".to_owned(),
        }),
        _ => Ok(()),
    },
};

#[track_caller]
fn refused(text: &str, parts: &[&str]) {
    let why = read_text(&FORM, text).unwrap_err();
    for part in parts {
        assert!(why.contains(part), "{part} in {why}");
    }
    assert!(!why.contains('\n'), "{why}");
}

#[test]
fn rules_are_read_and_shown_as_the_same() {
    let text = r#"[
        { text = "a\"b\\", texts = ["x", ''], number = 0x9, switch = true },
        { text = 'c' },
        {},
    ]"#;
    let rules = read_text(&FORM, text).unwrap();
    let [first, second, third] = &rules.0[..] else {
        panic!("{rules:?}");
    };
    assert_eq!(first.text("text"), Some("a\"b\\"));
    assert_eq!(first.texts("texts").unwrap(), ["x", ""]);
    assert_eq!(first.get("number"), Some(&FieldValue::Number(9)));
    assert_eq!(first.get("switch"), Some(&FieldValue::Switch(true)));
    assert!(second.has("text") && !second.has("texts") && third.0.is_empty());
    for rules in [rules.clone(), Rules(vec![first.clone()])] {
        assert_eq!(read_text(&FORM, &rules.to_string()), Ok(rules));
    }
}

#[test]
fn what_is_wrong_is_told_with_its_rule() {
    refused(
        "[{ text = 'a' }, { txet = 'a' }]",
        &["rule 2", "`txet`", "`text`"],
    );
    refused("[{ TEXTS = [] }]", &["`texts`"]);
    refused("[{ q = 1 }]", &["`q`", "text, texts, number, switch"]);
    refused("[{ rate = 1 }]", &["above the first [[select]]"]);
    refused("[{ text = 1 }]", &["text is a number", "in quotes"]);
    refused(
        "[{ texts = 'a' }]",
        &["texts is a string", "a list of strings"],
    );
    refused("[{ texts = ['a', 1] }]", &["an entry that is a number"]);
    refused("[{ number = 10 }]", &["from 1 to 9"]);
    refused("[{ number = -1 }]", &["from 1 to 9"]);
    refused("[{ switch = 'yes' }]", &["true or false"]);
    refused("[{ text = 'wrong' }]", &["rule 1: it is wrong"]);
    refused("[1]", &["rule 1: it is a number", "a table"]);
    refused("{ text = 'a' }", &["is a table", "[[select]]"]);
    refused("drop", &["no TOML"]);
    refused("[{ text = 'a' }", &["no TOML", "at character"]);
    refused("[]\nrate = 1", &["no TOML"]);
    refused(&format!("[{}]", "{},".repeat(129)), &["129 rules", "128"]);
    let long = format!("[{{ text = '{}' }}]", "x".repeat(5000));
    refused(&long, &["more than 4096 bytes"]);
    // All at once.
    refused("[{ a = 1, text = 1 }, 2]", &["`a`", "text is", "rule 2"]);
}

fn parsed(text: &str) -> Result<Vec<file::Entry>, Vec<String>> {
    file::parse(Path::new("/etc/s.toml"), text)
        .map_err(|problems| problems.iter().map(Problem::to_string).collect())
}

const FILE: &str = "\
rate = 49

[[relabel]]
source_labels = [\"k8s.namespace.name\"]
regex = 'kube-.*'
action = \"drop\"

[[relabel]]
target_label = \"cluster\"
replacement = \"one\"
";

#[test]
fn a_file_s_tables_are_rules() {
    let entries = parsed(FILE).unwrap();
    let relabel = entries.iter().find(|entry| entry.setting.name == "relabel");
    let relabel = relabel.unwrap();
    assert_eq!(relabel.place, "/etc/s.toml:3");
    let text = "[{source_labels=['k8s.namespace.name'],regex='kube-.*',action='drop'},\
                {target_label='cluster',replacement='one'}]";
    let typed = Value::parse(relabel.setting.kind, text).unwrap();
    assert_eq!(relabel.value, typed);
    let inline = parsed(&format!("relabel = {text}")).unwrap();
    assert_eq!(inline[0].value, typed);
    assert_eq!(parsed("relabel = []").unwrap()[0].value, Value::None);
    assert_eq!(Value::parse(relabel.setting.kind, ""), Ok(Value::None));
}

#[test]
fn a_file_s_mistakes_have_their_line() {
    let told = |from: &str, to: &str, parts: &[&str]| {
        let problems = parsed(&FILE.replace(from, to)).unwrap_err();
        for part in parts {
            assert!(problems.join("\n").contains(part), "{part} in {problems:?}");
        }
    };
    told(
        "kube-.*",
        "kube-(",
        &[
            "/etc/s.toml:5: relabel has a fault in rule 1: regex \"kube-(\"",
            "unclosed",
        ],
    );
    told(
        "target_label",
        "target-label",
        &[
            "/etc/s.toml:9: relabel",
            "rule 2",
            "is `target_label` meant?",
        ],
    );
    told("\"drop\"", "\"hashmod\"", &["s.toml:6: ", "not supported"]);
    told(
        "\"one\"\n",
        "\"one\"\nstore-size = '1GiB'",
        &["s.toml:11: ", "above"],
    );
    told(
        "[[relabel]]\ntarget",
        "[[relable]]\ntarget",
        &["s.toml:8: ", "`relabel`"],
    );
    let table = parsed("[relabel]\naction = 'drop'").unwrap_err();
    assert!(table[0].contains("[[relabel]]"), "{table:?}");
}

#[test]
fn rules_come_into_force_while_the_agent_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    std::fs::write(&path, FILE).unwrap();
    let args = super::super::super::args::AgentArgs {
        config: Some(path.clone()),
        ..Default::default()
    };
    let mut loaded = Loaded::of(&args, Vec::new()).unwrap();
    let shown = loaded.show();
    let line =
        "    { source_labels = [\"k8s.namespace.name\"], regex = \"kube-.*\", action = \"drop\" },";
    assert!(shown.lines().any(|shown| shown == line), "{shown}");
    let before = loaded.config.clone();
    std::fs::write(&path, FILE.replace("kube-.*", "kube-system")).unwrap();
    assert_eq!(loaded.reload().unwrap().taken, ["relabel"]);
    assert!(before != loaded.config);
    std::fs::write(&path, FILE.replace("kube-.*", "kube-(")).unwrap();
    assert!(loaded.reload().is_err());
}

/// Whatever kind a setting is of, there is one that takes rules.
#[test]
fn the_form_is_its_setting_s() {
    let settings = super::super::table::SETTINGS.iter();
    let forms = settings.filter_map(|setting| match setting.kind {
        Kind::Rules(form) => Some((setting.name, form.name)),
        _ => None,
    });
    let forms: Vec<_> = forms.collect();
    assert!(!forms.is_empty() && Setting::of("relabel").is_some());
    assert!(forms.iter().all(|(setting, form)| setting == form));
}
