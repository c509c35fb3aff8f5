//! Rules for every word of Prometheus' documentation, and for what it does not say.

use serde_json::{Value, json};

/// Each is a list of rules.
pub fn understood() -> Vec<Value> {
    let mut cases = replacing();
    cases.extend(choosing());
    cases.extend(naming());
    cases.extend(patterns());
    cases
}

fn replacing() -> Vec<Value> {
    vec![
        json!([{"source_labels": ["k8s_namespace_name", "service_name"], "target_label": "both"}]),
        json!([{"source_labels": ["k8s_namespace_name", "service_name"], "separator": "/",
                "regex": "(.+)/(.+)", "target_label": "both", "replacement": "$2 in ${1}"}]),
        json!([{"source_labels": ["k8s_pod_name"], "regex": "(?P<base>.+)-[^-]+-[^-]+",
                "target_label": "service_name", "replacement": "${base}"}]),
        // It does not fit, so nothing happens.
        json!([{"source_labels": ["k8s_pod_name"], "regex": "checkout", "target_label": "service_name",
                "replacement": "x"}]),
        json!([{"target_label": "cluster", "replacement": "one"}]),
        // Empty values.
        json!([{"target_label": "container_id", "replacement": ""}]),
        json!([{"source_labels": ["nothing"], "target_label": "service_name"}]),
        json!([{"source_labels": ["empty", "nothing"], "target_label": "both"}]),
        json!([{"source_labels": [], "regex": "", "target_label": "both", "replacement": "y"}]),
        // The name of the target is made of what was found.
        json!([{"source_labels": ["k8s_pod_label_team", "service_name"], "regex": "(.*);(.*)",
                "target_label": "team_${1}", "replacement": "$2"}]),
        json!([{"source_labels": ["nothing"], "regex": "(.*)", "target_label": "${1}", "replacement": "y"}]),
        // References of all kinds.
        json!([{"source_labels": ["digits"], "regex": "(0)(1)?(x)?.*", "target_label": "found",
                "replacement": "$0|$1|$2|$3|$4|$1x|${1}x|$$1|$|$01"}]),
        json!([{"source_labels": ["service_name"], "target_label": "lower", "action": "lowercase"},
               {"source_labels": ["service_name", "k8s_node_name"], "separator": "-", "target_label": "upper",
                "action": "uppercase"}]),
        json!([{"source_labels": ["nothing"], "target_label": "service_name", "action": "lowercase"}]),
        // Labels for the rules among themselves.
        json!([{"source_labels": ["k8s_pod_name"], "regex": "([a-z]+)-.*", "target_label": "__tmp_name"},
               {"source_labels": ["__tmp_name"], "target_label": "service_name"}]),
        json!([{"source_labels": ["service_name"], "target_label": "a"},
               {"source_labels": ["a", "a"], "target_label": "a"},
               {"source_labels": ["a"], "regex": "(.*);.*", "target_label": "b"}]),
    ]
}

fn choosing() -> Vec<Value> {
    let of = |action: &str, regex: &str| json!([{"source_labels": ["k8s_namespace_name"], "regex": regex, "action": action}]);
    let compared = |action: &str, source: &str, target: &str| json!([{"source_labels": [source], "target_label": target, "action": action}]);
    vec![
        of("keep", "shop|bank"),
        of("keep", "sho"),
        of("drop", "sh.p"),
        of("drop", "hop"),
        json!([{"source_labels": ["nothing"], "regex": "", "action": "keep"}]),
        json!([{"source_labels": ["nothing"], "regex": ".+", "action": "keep"}]),
        json!([{"action": "drop"}]),
        json!([{"source_labels": ["nothing", "k8s_namespace_name"], "regex": ";shop", "action": "keep"}]),
        compared("keepequal", "k8s_pod_label_app", "service_name"),
        compared("dropequal", "k8s_pod_label_app", "service_name"),
        compared("keepequal", "nothing", "empty"),
        compared("dropequal", "k8s_namespace_name", "k8s_namespace_name"),
        json!([{"source_labels": ["service_name"], "target_label": "same", "action": "lowercase"},
               {"source_labels": ["k8s_pod_label_app"], "target_label": "same", "action": "keepequal"}]),
    ]
}

fn naming() -> Vec<Value> {
    vec![
        json!([{"action": "labelmap", "regex": "k8s_pod_label_(.+)"}]),
        json!([{"action": "labelmap", "regex": "k8s_pod_label_(.+)", "replacement": "pod_$1"},
               {"action": "labeldrop", "regex": "k8s_.*"}]),
        // Which of several becomes the one.
        json!([{"action": "labelmap", "regex": "k8s_pod_label_.+", "replacement": "one"}]),
        json!([{"action": "labelmap", "regex": "k8s_pod_label_.+", "replacement": "service_name"}]),
        json!([{"action": "labeldrop", "regex": "k8s_.*|digits"}]),
        json!([{"action": "labeldrop", "regex": "k8s"}]),
        json!([{"action": "labelkeep", "regex": "__.*|service_name|job"}]),
        json!([{"action": "LabelDrop", "regex": "digits"}]),
    ]
}

/// Where one engine of regular expressions may differ from another.
fn patterns() -> Vec<Value> {
    let found = |regex: &str| {
        json!([{"source_labels": ["k8s_node_name"], "regex": regex, "target_label": "found",
                "replacement": "yes"}])
    };
    let patterns = [
        "(?i)NODE-1.example",
        r"node-\d\.\w+",
        r"node\W1[[:punct:]].*",
        r"[a-z\-]+1[.]E[^A-Z]+",
        "[[n]ode.*",
        "[a-n&&z]ode.*",
        r"\Qnode-1.\E.*",
        r"node\b.*\bExample",
        "node-1{1}.Example",
        "node{,2}-1.Example",
        "(node)-(1).*|x",
        "n.*?",
        r"(?:nod|node-)\S*",
        r"\x6eode-\x{31}.*",
    ];
    patterns.map(found).into()
}

/// Rules that make no sense.
pub fn refused() -> Vec<Value> {
    vec![
        json!({"action": "rename", "target_label": "a"}),
        json!({"source_labels": ["a"]}),
        json!({"action": "lowercase", "source_labels": ["a"]}),
        json!({"action": "uppercase", "target_label": "a", "replacement": "b"}),
        json!({"action": "keepequal", "source_labels": ["a"]}),
        json!({"action": "keepequal", "target_label": "a", "regex": "b"}),
        json!({"action": "dropequal", "target_label": "a", "separator": "b"}),
        json!({"action": "dropequal", "target_label": "a", "replacement": "b"}),
        json!({"action": "labeldrop", "regex": "a", "source_labels": ["b"]}),
        json!({"action": "labelkeep", "regex": "a", "target_label": "b"}),
        json!({"action": "labeldrop", "regex": "a", "separator": "b"}),
        json!({"action": "labelkeep", "regex": "a", "replacement": "b"}),
        json!({"action": "keep", "source_labels": ["a"], "regex": "("}),
        json!({"action": "keep", "source_labels": ["a"], "regex": "(?=a)"}),
        json!({"action": "keep", "source_labels": ["a"], "regex": r"(a)\1"}),
        json!({"action": "keep", "source_labels": ["a"], "regex": "[b-a]"}),
        json!({"action": "keep", "source_labels": ["a"], "regex": "*"}),
        json!({"action": "hashmod", "source_labels": ["a"], "target_label": "b"}),
    ]
}
