use std::collections::BTreeMap;

use super::*;

fn pairs(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    list.iter().map(pair).collect()
}

fn pod(namespace: &str, labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Pod {
    Pod {
        uid: "u".to_owned(),
        namespace: namespace.to_owned(),
        name: "p".to_owned(),
        labels: pairs(labels),
        annotations: pairs(annotations),
        ..Pod::default()
    }
}

fn rule(namespaces: &[&str], labels: &str, profile: Option<bool>, rate: Option<u32>) -> Rule {
    let namespaces: Vec<String> = namespaces.iter().map(|name| (*name).to_owned()).collect();
    Rule::new(&namespaces, labels, profile, rate).expect("a rule")
}

const ALL: Outcome = Outcome::Sampled(None);
const NONE: Outcome = Outcome::LeftOut;

fn at(rate: u32) -> Outcome {
    Outcome::Sampled(Some(rate))
}

#[test]
fn without_rules_annotations_decide() {
    for (annotations, opt_out, opt_in) in [
        (&[][..], ALL, NONE),
        (&[(PROFILE, "false")], NONE, NONE),
        (&[(PROFILE, "true")], ALL, ALL),
        (&[(PROFILE, "False ")], NONE, NONE),
        (&[(RATE, "49")], at(49), NONE),
        (&[(PROFILE, "true"), (RATE, "49")], at(49), at(49)),
        (&[(PROFILE, "false"), (RATE, "49")], NONE, NONE),
        (&[("strata.dev/other", "false")], ALL, NONE),
    ] {
        let pod = pod("shop", &[], annotations);
        for (only_chosen, expected) in [(false, opt_out), (true, opt_in)] {
            let selection = Selection {
                only_chosen,
                rules: Vec::new(),
            };
            let decision = selection.decide(&pod);
            assert_eq!(decision.outcome, expected, "{annotations:?} {only_chosen}");
            assert!(decision.misspelt.is_empty());
        }
    }
}

#[test]
fn annotations_that_cannot_be_meant_say_nothing() {
    let selection = Selection::default();
    for (annotations, outcome, misspelt) in [
        ([(PROFILE, "no"), (RATE, "7")], at(7), &[PROFILE][..]),
        ([(PROFILE, ""), (RATE, "0")], ALL, &[PROFILE, RATE]),
        ([(PROFILE, "true"), (RATE, "-1")], ALL, &[RATE]),
        ([(PROFILE, "true"), (RATE, "99999999999")], ALL, &[RATE]),
        ([(PROFILE, "false"), (RATE, "x")], NONE, &[RATE]),
    ] {
        let decision = selection.decide(&pod("shop", &[], &annotations));
        assert_eq!(decision.outcome, outcome, "{annotations:?}");
        assert_eq!(decision.misspelt, misspelt, "{annotations:?}");
    }
}

#[test]
fn the_first_rule_that_means_a_pod_holds() {
    let selection = Selection {
        only_chosen: false,
        rules: vec![
            rule(&["shop", "bank"], "app=web", None, Some(99)),
            rule(&["bank"], "", Some(false), None),
            rule(&[], "app=web,tier notin (a,b)", None, Some(5)),
            rule(&[], "app=collector", Some(false), None),
        ],
    };
    let decide = |namespace: &str, labels: &[(&str, &str)], annotations: &[(&str, &str)]| {
        selection
            .decide(&pod(namespace, labels, annotations))
            .outcome
    };
    let web = [("app", "web")];
    assert_eq!(decide("shop", &web, &[]), at(99));
    assert_eq!(decide("bank", &web, &[]), at(99));
    assert_eq!(decide("bank", &[("app", "db")], &[]), NONE);
    assert_eq!(decide("other", &web, &[]), at(5));
    assert_eq!(decide("other", &[("app", "web"), ("tier", "a")], &[]), ALL);
    assert_eq!(decide("otel", &[("app", "collector")], &[]), NONE);
    assert_eq!(decide("shop", &[], &[]), ALL);
    // What the pod says goes before.
    assert_eq!(decide("shop", &web, &[(PROFILE, "false")]), NONE);
    assert_eq!(decide("bank", &[], &[(PROFILE, "true")]), ALL);
    assert_eq!(
        decide("bank", &[], &[(PROFILE, "true"), (RATE, "3")]),
        at(3)
    );
    assert_eq!(decide("shop", &web, &[(RATE, "3")]), at(3));
    assert_eq!(selection.highest_rate(), Some(99));
}

#[test]
fn rules_choose_where_pods_have_to_be_chosen() {
    let selection = Selection {
        only_chosen: true,
        rules: vec![
            rule(&["shop"], "!canary", Some(true), None),
            rule(&["bank"], "", None, Some(9)),
        ],
    };
    let decide = |namespace: &str, labels: &[(&str, &str)]| {
        selection.decide(&pod(namespace, labels, &[])).outcome
    };
    assert_eq!(decide("shop", &[]), ALL);
    assert_eq!(decide("shop", &[("canary", "")]), NONE);
    assert_eq!(decide("bank", &[]), at(9));
    assert_eq!(decide("other", &[]), NONE);
    assert_eq!(selection.otherwise(), NONE);
}

#[test]
fn rules_that_cannot_be_meant_are_told() {
    let told = |namespaces: &[&str], labels: &str, profile, rate| {
        let namespaces: Vec<String> = namespaces.iter().map(|name| (*name).to_owned()).collect();
        let error = Rule::new(&namespaces, labels, profile, rate).expect_err("no rule");
        error.to_string()
    };
    assert!(told(&[], "a=b", None, None).contains("says nothing"));
    assert!(told(&[], "a=b", Some(false), Some(7)).contains("one of the two"));
    assert!(told(&["Shop"], "", Some(true), None).contains("\"Shop\""));
    assert!(told(&["a", "b-"], "", Some(true), None).contains("\"b-\""));
    assert!(told(&[], "a=b,", Some(true), None).starts_with("labels has its end"));
}
