//! Cases by what Prometheus' documentation says of each action. tests/tests/e2e/relabel.rs compares
//! with a real Prometheus.

use super::*;

fn said(fields: &[(&str, &str)]) -> Said {
    let mut said = Said::default();
    for (field, value) in fields {
        let value = (*value).to_owned();
        match *field {
            "source_labels" => {
                let names = value.split(',').filter(|name| !name.is_empty());
                said.source_labels = Some(names.map(str::to_owned).collect());
            }
            "separator" => said.separator = Some(value),
            "target_label" => said.target_label = Some(value),
            "regex" => said.regex = Some(value),
            "replacement" => said.replacement = Some(value),
            "action" => said.action = Some(value),
            _ => said.modulus = true,
        }
    }
    said
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// A pod of some service.
fn pod() -> Labels {
    labels(&[
        ("service.name", "Checkout"),
        ("container.id", "4f5e"),
        ("k8s.namespace.name", "shop"),
        ("k8s.pod.name", "checkout-7d9f-x2x9k"),
        ("k8s.pod.label.app.kubernetes.io/name", "checkout"),
        ("k8s.pod.label.team", "payments"),
    ])
}

fn rules(all: &[&[(&str, &str)]]) -> Rules {
    let rules = all.iter().map(|fields| Rule::new(said(fields)));
    Rules::new(rules.collect::<Result<_, _>>().unwrap())
}

/// The pod's labels after these rules. None: it is left out.
fn after(all: &[&[(&str, &str)]]) -> Option<Labels> {
    let (mut labels, mut refused) = (pod(), Refused::default());
    let left_out = rules(all).apply(&mut labels, &mut refused);
    assert_eq!(refused, Refused::default());
    left_out.is_none().then_some(labels)
}

/// How the pod's labels differ after them; a value that is empty: the label is gone.
#[track_caller]
fn changes(all: &[&[(&str, &str)]], expected: &[(&str, &str)]) {
    let mut changed = pod();
    for (name, value) in expected {
        match value.is_empty() {
            true => assert!(changed.remove(*name).is_some(), "{name}"),
            false => drop(changed.insert((*name).to_owned(), (*value).to_owned())),
        }
    }
    assert_eq!(after(all), Some(changed), "{all:?}");
}

#[test]
fn replace_writes_what_it_found() {
    changes(
        &[&[
            ("source_labels", "k8s.namespace.name,service.name"),
            ("target_label", "team"),
        ]],
        &[("team", "shop;Checkout")],
    );
    changes(
        &[&[
            ("source_labels", "k8s.namespace.name,service.name"),
            ("separator", "/"),
            ("regex", "(.+)/(?P<service>.+)"),
            ("target_label", "${service}.at"),
            ("replacement", "$1!"),
        ]],
        &[("Checkout.at", "shop!")],
    );
    // It does not fit.
    changes(
        &[&[
            ("source_labels", "service.name"),
            ("regex", "checkout"),
            ("target_label", "service.name"),
            ("replacement", "x"),
        ]],
        &[],
    );
    // Without sources the text is empty, and the default fits it.
    changes(
        &[&[("target_label", "cluster"), ("replacement", "one")]],
        &[("cluster", "one")],
    );
    // Labels that are not there are empty.
    changes(
        &[&[
            ("source_labels", "none,k8s.namespace.name"),
            ("target_label", "x"),
        ]],
        &[("x", ";shop")],
    );
}

#[test]
fn what_becomes_empty_is_removed() {
    changes(
        &[&[("target_label", "container.id"), ("replacement", "")]],
        &[("container.id", "")],
    );
    changes(
        &[&[
            ("source_labels", "none"),
            ("target_label", "service.name"),
            ("action", "lowercase"),
        ]],
        &[("service.name", "")],
    );
    // A target without a name is none.
    changes(
        &[&[
            ("source_labels", "none"),
            ("regex", "(x?)"),
            ("target_label", "$1"),
            ("replacement", "y"),
        ]],
        &[],
    );
}

#[test]
fn keep_and_drop_decide_over_processes() {
    let one = |action: &str, regex: &str| {
        after(&[&[
            ("source_labels", "k8s.namespace.name"),
            ("regex", regex),
            ("action", action),
        ]])
    };
    assert_eq!(one("keep", "shop|bank"), Some(pod()));
    assert_eq!(one("keep", "sho"), None);
    assert_eq!(one("drop", "shop|bank"), None);
    assert_eq!(one("drop", "sho"), Some(pod()));
    // The first one that leaves it out is the last one that is asked.
    let all = rules(&[
        &[
            ("source_labels", "service.name"),
            ("regex", "x"),
            ("action", "keep"),
        ],
        &[("source_labels", "service.name"), ("action", "drop")],
    ]);
    let left_out = all.apply(&mut pod(), &mut Refused::default());
    assert_eq!(left_out, Some(Action::Keep));
}

#[test]
fn keepequal_and_dropequal_compare() {
    let one = |action: &str, source: &str, target: &str| {
        after(&[&[
            ("source_labels", source),
            ("target_label", target),
            ("action", action),
        ]])
        .is_some()
    };
    let name = "k8s.pod.label.app.kubernetes.io/name";
    assert!(!one("keepequal", "service.name", name));
    assert!(one("dropequal", "service.name", name));
    assert!(one("keepequal", name, name));
    assert!(!one("dropequal", name, name));
    assert!(one("keepequal", "none", "nothing"));
    // The target is no template here.
    assert!(one("dropequal", name, "$1"));
}

#[test]
fn names_are_mapped_dropped_and_kept() {
    changes(
        &[&[
            ("action", "labelmap"),
            ("regex", r"k8s\.pod\.label\.(.+)"),
            ("replacement", "label_$1"),
        ]],
        &[
            ("label_app.kubernetes.io/name", "checkout"),
            ("label_team", "payments"),
        ],
    );
    changes(
        &[&[("action", "labeldrop"), ("regex", r"k8s\.pod\..*")]],
        &[
            ("k8s.pod.name", ""),
            ("k8s.pod.label.app.kubernetes.io/name", ""),
            ("k8s.pod.label.team", ""),
        ],
    );
    let kept = after(&[&[
        ("action", "labelkeep"),
        ("regex", "service.name|container.*"),
    ]]);
    let expected = labels(&[("service.name", "Checkout"), ("container.id", "4f5e")]);
    assert_eq!(kept, Some(expected));
    // Of two that get one name the last one by name stays; what was made is not mapped again.
    changes(
        &[&[
            ("action", "labelmap"),
            ("regex", r"k8s\.(.+)\.name|x"),
            ("replacement", "x"),
        ]],
        &[("x", "checkout-7d9f-x2x9k")],
    );
}

#[test]
fn letters_change_their_size_one_by_one() {
    let one = |action: &str, text: &str| {
        let mut labels = labels(&[("a", text)]);
        let fields = [
            ("action", action),
            ("source_labels", "a"),
            ("target_label", "b"),
        ];
        rules(&[&fields]).apply(&mut labels, &mut Refused::default());
        labels["b"].clone()
    };
    assert_eq!(one("lowercase", "Straße ÄÖ ΑΣ"), "straße äö ασ");
    assert_eq!(one("uppercase", "Straße äö σς"), "STRAßE ÄÖ ΣΣ");
    // As people write it.
    assert_eq!(one("LowerCase", "A"), "a");
}

#[test]
fn later_rules_see_what_earlier_ones_did_and_temporary_labels_go() {
    changes(
        &[
            &[
                ("source_labels", "k8s.pod.name"),
                ("regex", "([a-z]+)-.*"),
                ("target_label", "__tmp"),
            ],
            &[
                ("source_labels", "__tmp,k8s.namespace.name"),
                ("separator", "@"),
                ("target_label", "service.name"),
            ],
        ],
        &[("service.name", "checkout@shop")],
    );
    // Without rules nothing happens at all.
    let mut own = labels(&[("__own", "1")]);
    Rules::default().apply(&mut own, &mut Refused::default());
    assert_eq!(own, labels(&[("__own", "1")]));
}

#[test]
fn what_can_t_be_meant_is_told_with_its_key() {
    for (fields, field, part) in [
        (&[("action", "hashmod")][..], "action", "not supported"),
        (&[("modulus", "4")], "modulus", "hashmod"),
        (&[("action", "rename")], "action", "replace, keep, drop"),
        (&[], "action", "target_label"),
        (&[("target_label", "")], "target_label", "needs"),
        (&[("action", "uppercase")], "action", "target_label"),
        (
            &[("action", "keep"), ("source_labels", "a"), ("regex", "(")],
            "regex",
            "unclosed",
        ),
        (
            &[("action", "labeldrop"), ("source_labels", "a")],
            "source_labels",
            "nothing to labeldrop",
        ),
        (
            &[
                ("action", "keepequal"),
                ("target_label", "a"),
                ("regex", "a"),
            ],
            "regex",
            "nothing to keepequal",
        ),
        (
            &[
                ("action", "lowercase"),
                ("target_label", "a"),
                ("replacement", "a"),
            ],
            "replacement",
            "nothing to lowercase",
        ),
    ] {
        let wrong = Rule::new(said(fields)).unwrap_err();
        assert_eq!(wrong.field, field, "{fields:?}");
        assert!(wrong.why.contains(part), "{wrong:?}");
    }
}

#[test]
fn what_rules_make_is_bounded() {
    let twice: &[(&str, &str)] = &[
        ("source_labels", "a"),
        ("target_label", "a"),
        ("replacement", "$1$1"),
    ];
    let mut all = labels(&[("a", "xy")]);
    let mut refused = Refused::default();
    assert_eq!(rules(&[twice; 64]).apply(&mut all, &mut refused), None);
    assert_eq!(all["a"].len(), VALUE);
    assert!(refused.too_long > 0 && refused.too_many == 0);

    let more: &[(&str, &str)] = &[("action", "labelmap"), ("replacement", "x$1")];
    let mut all = pod();
    let mut refused = Refused::default();
    rules(&[more; 64]).apply(&mut all, &mut refused);
    assert_eq!(all.len(), MOST);
    assert!(all.keys().all(|name| name.len() <= NAME));
    assert!(refused.too_many > 0);
}

/// Rules and labels made of pieces that mean something somewhere: nothing panics, and what comes
/// out is within bounds.
#[test]
fn random_rules_are_harmless() {
    const PIECES: &[&str] = &[
        "",
        "a",
        "b",
        ".",
        "-",
        "_",
        ";",
        "$",
        "$1",
        "${1}",
        "${",
        "$$",
        "(",
        ")",
        "(.*)",
        "(a|b)*",
        "[",
        "]",
        "[^",
        "a-z",
        "\\",
        "\\d",
        "\\b",
        "\\Q",
        "\\E",
        "\\x{41}",
        "\\p{L}",
        "{",
        "}",
        "{2,3}",
        "{9}",
        "?",
        "*",
        "+",
        "|",
        "^",
        "(?i)",
        "(?P<n>",
        "&&",
        "--",
        "é",
        "ß",
        "\n",
        "__",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "$n",
    ];
    let mut random = fastrand::Rng::with_seed(4719);
    let mut made = 0;
    for _ in 0..2_000 {
        let text = |random: &mut fastrand::Rng| -> String {
            let pieces = random.usize(0..6);
            (0..pieces)
                .map(|_| PIECES[random.usize(0..PIECES.len())])
                .collect()
        };
        let maybe = |random: &mut fastrand::Rng| random.bool().then(|| text(random));
        let mut list = Vec::new();
        for _ in 0..random.usize(1..6) {
            let sources = random.usize(0..3);
            let action = Action::ALL[random.usize(0..Action::ALL.len())];
            let said = Said {
                source_labels: random
                    .bool()
                    .then(|| (0..sources).map(|_| text(&mut random)).collect()),
                separator: maybe(&mut random),
                target_label: maybe(&mut random),
                regex: maybe(&mut random),
                replacement: maybe(&mut random),
                action: Some(action.name().to_owned()),
                modulus: random.u8(..) == 0,
            };
            match Rule::new(said) {
                Ok(rule) => list.push(rule),
                Err(wrong) => {
                    assert!(!wrong.why.contains('\n'), "{wrong:?}");
                }
            }
        }
        made += list.len();
        let mut labels: Labels = (0..random.usize(0..20))
            .map(|_| (text(&mut random), text(&mut random)))
            .filter(|(name, value)| !name.is_empty() && !value.is_empty())
            .collect();
        let (rules, mut refused) = (Rules::new(list), Refused::default());
        let any = !rules.is_empty();
        if rules.apply(&mut labels, &mut refused).is_none() && any {
            assert!(labels.len() <= MOST);
            for (name, value) in &labels {
                assert!(!name.is_empty() && name.len() <= NAME && !name.starts_with("__"));
                assert!(!value.is_empty() && value.len() <= VALUE);
            }
        }
    }
    // Not all of them are refused, or nothing is tested.
    assert!(made > 1_000, "{made}");
}
