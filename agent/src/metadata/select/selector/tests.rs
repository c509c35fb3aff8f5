//! What Kubernetes' documentation and the grammar at `labels.Parse` (k8s.io/apimachinery) say.

use super::*;

fn labels(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split_whitespace().map(|pair| {
        let (key, value) = pair.split_once('=').expect("key=value");
        (key.to_owned(), value.to_owned())
    });
    pairs.collect()
}

#[track_caller]
fn check(selector: &str, matches: &[&str], others: &[&str]) {
    let parsed = Selector::parse(selector).unwrap_or_else(|why| panic!("{selector}: {why}"));
    // What is shown means the same.
    let again = Selector::parse(&parsed.to_string()).expect("what is shown is a selector");
    assert_eq!(again, parsed, "{parsed}");
    for (list, expected) in [(matches, true), (others, false)] {
        for text in list {
            let found = parsed.matches(&labels(text));
            assert_eq!(found, expected, "`{selector}` and {text}");
        }
    }
}

#[test]
fn the_documentations_examples() {
    let prod = "environment=production";
    check(
        "environment = production",
        &[prod, "environment=production tier=x"],
        &["", "environment=qa", "Environment=production"],
    );
    check(
        "tier != frontend",
        &["tier=backend", "", "other=frontend"],
        &["tier=frontend"],
    );
    check(
        "environment=production,tier!=frontend",
        &[prod, "environment=production tier=backend"],
        &["tier=backend", "environment=production tier=frontend"],
    );
    check(
        "environment in (production, qa)",
        &[prod, "environment=qa"],
        &["environment=dev", ""],
    );
    check(
        "tier notin (frontend, backend)",
        &["tier=cache", "", "x=frontend"],
        &["tier=frontend", "tier=backend"],
    );
    check(
        "partition",
        &["partition=customerA", "partition="],
        &["", "partitions=1"],
    );
    check(
        "!partition",
        &["", "partitions=1"],
        &["partition=customerA", "partition="],
    );
    check(
        "partition in (customerA, customerB),environment!=qa",
        &["partition=customerA", "partition=customerB environment=dev"],
        &["partition=customerB environment=qa", "environment=dev"],
    );
    check(
        "x in (foo,,baz),y,z notin ()",
        &["x= y=1", "x=foo y= z=1", "x=baz y=1"],
        &["x=bar y=1", "x=foo", "x=foo y=1 z="],
    );
}

#[test]
fn all_forms() {
    check("", &["", "a=b"], &[]);
    check(" \t\r\n", &["", "a=b"], &[]);
    check("a==b", &["a=b"], &["a=c"]);
    check("a=", &["a="], &["", "a=b"]);
    check("a= ,b=1", &["a= b=1"], &["b=1"]);
    check("a!=", &["", "a=b"], &["a="]);
    check("a in()", &["a="], &["", "a=b"]);
    check("a in (,b)", &["a=", "a=b"], &["a=c", ""]);
    check("a in (b,)", &["a=", "a=b"], &["a=c", ""]);
    check("a\tnotin\n(b)", &["", "a=c"], &["a=b"]);
    // Words of the grammar are names and values too.
    check("in in (in,notin)", &["in=in", "in=notin"], &["in=x", ""]);
    check("notin notin (in)", &["", "notin=x"], &["notin=in"]);
    check("in,!notin", &["in=1"], &["in=1 notin=1", ""]);
    check("a=in", &["a=in"], &["a=b"]);
    // One label, two requirements.
    check("a!=b,a!=c,a", &["a=d"], &["a=b", "a=c", ""]);
    check(
        "app.kubernetes.io/name=web",
        &["app.kubernetes.io/name=web"],
        &["name=web"],
    );
    check("a=1.2_3-Z", &["a=1.2_3-Z"], &["a=1.2_3-z"]);
}

#[test]
fn what_is_no_selector_is_told() {
    for (wrong, why) in [
        ("a=b,", "its end where a label's name"),
        (",a", "`,` where a label's name"),
        ("a=b||c=d", "\"b||c\", which no label has"),
        ("a==b==c", "`=` where `,` or the end"),
        ("!a=b", "`=` where `,` or the end"),
        ("!a in (b)", "\"in\" where `,` or the end"),
        ("a b", "\"b\" where `=`, `!=`, `in` or `notin`"),
        ("a in b", "\"b\" where `(`"),
        ("a in (b", "its end where `,` or `)`"),
        ("a in (b c)", "\"c\" where `,` or `)`"),
        ("a in (b))", "`)` where `,` or the end"),
        ("a in (!b)", "`!` where a value, `,` or `)`"),
        ("a>1", "\">\" where `=`"),
        ("a=!b", "\"=!\" where `=`"),
        ("a=(b)", "`(` where a value"),
        ("!!a", "\"!!\" where a label's name"),
        ("(a)", "`(` where a label's name"),
        ("a=-b", "\"-b\", which no label has"),
        ("a/b/c=1", "\"a/b/c\", which no label has"),
        ("A.b/c", "\"A.b/c\", which no label has"),
        ("/c", "\"/c\", which no label has"),
        ("ä=1", "\"ä\", which no label has"),
    ] {
        let error = Selector::parse(wrong).expect_err(wrong).to_string();
        assert!(
            error.starts_with("has ") && error.contains(why),
            "{wrong}: {error}"
        );
    }
    let long = "a".repeat(64);
    for wrong in [
        long.clone(),
        format!("a={long}"),
        format!("{}/a", "b.".repeat(127) + "bb"),
    ] {
        let error = Selector::parse(&wrong).expect_err(&wrong).to_string();
        assert!(error.len() < 300, "{error}");
    }
    check(&long[1..], &[], &[""]);
    let many = "a,".repeat(MOST) + "a";
    assert!(Selector::parse(&many).is_err());
}

/// Whatever comes: an answer, and what is taken is shown so that it means the same.
#[test]
fn anything_gets_an_answer() {
    let mut random = 1u64;
    let mut taken = 0;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..5 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let parts = [
                "a", "b", "in", "notin", "=", "!", "(", ")", ",", " ", "-", "ß", "!=", "==",
            ];
            text += parts[(random >> 33) as usize % parts.len()];
        }
        if let Ok(selector) = Selector::parse(&text) {
            taken += u32::from(!text.trim().is_empty());
            assert_eq!(
                Selector::parse(&selector.to_string()),
                Ok(selector),
                "{text}"
            );
        }
    }
    assert!(taken > 50, "{taken}");
}
