//! The rules of `relabel`, with Prometheus' words.

use super::rules::{Field, FieldKind, Form, Rule, Wrong};
use super::value::Value;
use crate::metadata::relabel::{
    self, ACTION, MODULUS, REGEX, REPLACEMENT, Rules, SEPARATOR, SOURCE, Said, TARGET,
};

pub static FORM: Form = Form {
    name: "relabel",
    fields: &[
        Field::new(SOURCE, FieldKind::Texts),
        Field::new(SEPARATOR, FieldKind::Text),
        Field::new(TARGET, FieldKind::Text),
        Field::new(REGEX, FieldKind::Text),
        Field::new(REPLACEMENT, FieldKind::Text),
        Field::new(ACTION, FieldKind::Text),
        Field::new(
            MODULUS,
            FieldKind::Number {
                min: 0,
                max: u64::MAX,
            },
        ),
    ],
    check: |rule| understood(rule).map(drop),
};

/// What they mean, once [`FORM`] has found them right.
pub fn rules(value: &Value) -> Rules {
    let understood = value
        .each_rule()
        .iter()
        .filter_map(|rule| understood(rule).ok());
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
