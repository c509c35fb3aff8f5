//! The rules of `relabel`, with Prometheus' words.

use super::rules::{Field, FieldKind, Form, Rule, Wrong};
use super::value::Value;
use crate::metadata::relabel::{
    self, ACTION, MODULUS, REGEX, REPLACEMENT, Rules, SEPARATOR, SOURCE, Said, TARGET,
};

pub static FORM: Form = Form {
    name: "relabel",
    fields: &[
        field(SOURCE, FieldKind::Texts),
        field(SEPARATOR, FieldKind::Text),
        field(TARGET, FieldKind::Text),
        field(REGEX, FieldKind::Text),
        field(REPLACEMENT, FieldKind::Text),
        field(ACTION, FieldKind::Text),
        field(
            MODULUS,
            FieldKind::Number {
                min: 0,
                max: u64::MAX,
            },
        ),
    ],
    check: |rule| understood(rule).map(drop),
};

const fn field(name: &'static str, kind: FieldKind) -> Field {
    Field { name, kind }
}

/// What they mean, once [`FORM`] has found them right.
pub fn rules(value: &Value) -> Rules {
    let rules = match value {
        Value::Rules(rules) => &rules.0[..],
        _ => &[],
    };
    let understood = rules.iter().filter_map(|rule| understood(rule).ok());
    Rules::new(understood.collect())
}

fn understood(rule: &Rule) -> Result<relabel::Rule, Wrong> {
    let text = |name: &str| rule.text(name).map(str::to_owned);
    let said = Said {
        source_labels: rule.texts(SOURCE).map(<[String]>::to_vec),
        separator: text(SEPARATOR),
        target_label: text(TARGET),
        regex: text(REGEX),
        replacement: text(REPLACEMENT),
        action: text(ACTION),
        modulus: rule.has(MODULUS),
    };
    relabel::Rule::new(said).map_err(|wrong| Wrong {
        field: Some(wrong.field),
        why: wrong.why,
    })
}
