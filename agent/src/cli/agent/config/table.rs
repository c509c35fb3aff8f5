//! All settings of `strata agent`. Flags, variables, the file's keys, what `--print-config` says and
//! the table in docs/agent.md are made of this one list.

use std::time::Duration;

use super::relabel;
use super::rules::Form;
use super::select;

/// Something that the agent can be told.
pub struct Setting {
    /// The file's key; with `--` the flag, as STRATA_… the variable.
    pub name: &'static str,
    pub short: Option<char>,
    pub kind: Kind,
    /// As it would be typed; nothing if it is not set.
    pub default: &'static str,
    /// OpenTelemetry's variables that say the same, the more special one first.
    pub standard: &'static [&'static str],
    /// Whether its values are never shown.
    pub secret: bool,
    /// Whether an agent that runs takes another value.
    pub live: bool,
    pub heading: &'static str,
    pub help: &'static str,
    /// Another value than the default, to be shown where none is set.
    pub example: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Number {
        min: u64,
        max: u64,
    },
    Duration {
        min: Duration,
        max: Duration,
    },
    /// In bytes.
    Size {
        min: u64,
    },
    Switch,
    Choice(&'static [&'static str]),
    Folder,
    /// A file, or none.
    File,
    /// An http or https URL, or none.
    Url,
    /// Names with values.
    Pairs,
    /// A name, or none.
    Text,
    /// Names, or none.
    List,
    /// An address with a port, or `off`.
    Listen,
    /// A level, or directives of `tracing_subscriber::EnvFilter`.
    Level,
    /// A list of tables.
    Rules(&'static Form),
}

impl Setting {
    /// Its own variable.
    pub fn variable(&self) -> String {
        format!("STRATA_{}", self.name.to_uppercase().replace('-', "_"))
    }

    pub fn of(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }
}

const SAMPLING: &str = "How it is sampled";
const LABELS: &str = "Labels";
const CHOICE: &str = "What is sampled";
const STORE: &str = "What is kept";
const OTLP: &str = "OpenTelemetry Collector";
const PYROSCOPE: &str = "Pyroscope";
const PARCA: &str = "Parca";
const NAMES: &str = "Names of containers and pods";
const AGENT: &str = "The agent itself";

/// What most settings have in common.
const fn plain(
    name: &'static str,
    heading: &'static str,
    kind: Kind,
    default: &'static str,
    example: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        name,
        short: None,
        kind,
        default,
        standard: &[],
        secret: false,
        live: true,
        heading,
        help,
        example,
    }
}

const fn standard(mut setting: Setting, variables: &'static [&'static str]) -> Setting {
    setting.standard = variables;
    setting
}

const fn secret(mut setting: Setting) -> Setting {
    setting.secret = true;
    setting
}

/// Holds from the start of the agent to its end.
const fn fixed(mut setting: Setting) -> Setting {
    setting.live = false;
    setting
}

const fn short(mut setting: Setting, short: char) -> Setting {
    setting.short = Some(short);
    setting
}

const fn duration(min: u64, max: u64) -> Kind {
    Kind::Duration {
        min: Duration::from_secs(min),
        max: Duration::from_secs(max),
    }
}

const YEAR: u64 = 365 * 86_400;

/// Highest rate.
pub const FASTEST: u64 = 100_000;

pub const COMPRESSIONS: &[&str] = &["none", "gzip", "zstd"];

#[rustfmt::skip]
pub static SETTINGS: &[Setting] = &[
    short(fixed(plain("rate", SAMPLING, Kind::Number { min: 1, max: FASTEST }, "19", "99",
        "Samples a second on each CPU.")), 'r'),
    plain("interval", SAMPLING, duration(1, 600), "10s", "5s",
        "How long a batch is collected before it is kept and shipped."),
    plain("native-python", SAMPLING, Kind::Switch, "false", "true",
        "Show the interpreter's own functions too."),
    plain("inlines", SAMPLING, Kind::Switch, "true", "false",
        "Show functions that the compiler put into others, where the file tells."),
    standard(plain("resource-attributes", LABELS, Kind::Pairs, "", "deployment.environment.name=production",
        "Attributes of all that is recorded: NAME=VALUE,NAME=VALUE…, a comma in a value as %2C. What is known of a \
         process itself goes before."),
        &["OTEL_RESOURCE_ATTRIBUTES"]),
    plain("relabel", LABELS, Kind::Rules(&relabel::FORM), "",
        "[{ source_labels = [\"k8s.namespace.name\"], regex = \"kube-system\", action = \"drop\" }]",
        "Rules over the attributes of each process, in Prometheus' words: a [[relabel]] table each, or a list of them."),
    plain("label-values", LABELS, Kind::Number { min: 1, max: 1_000_000 }, "500", "1000",
        "Most values of one label that are let through within an hour. Others become `other`; ids are removed."),
    plain("label-values-total", LABELS, Kind::Number { min: 1, max: 1_000_000 }, "10000", "20000",
        "Most values of all labels together."),

    fixed(plain("kubernetes", NAMES, Kind::Choice(&["auto", "on", "off"]), "auto", "off",
        "Ask the API server who the pods of this node are. `auto`: if the agent itself is in a pod.")),
    fixed(plain("node-name", NAMES, Kind::Text, "", "worker-1",
        "This node's name in Kubernetes.")),
    plain("pod-labels", NAMES, Kind::List, "", "app,tier",
        "Labels of pods that become attributes, k8s.pod.label.NAME: NAME,NAME… or `*` for all."),
    plain("pod-annotations", NAMES, Kind::List, "", "team",
        "Annotations of pods that become attributes, k8s.pod.annotation.NAME: NAME,NAME… or `*` for all."),
    fixed(plain("container-engine", NAMES, Kind::File, "", "/run/docker.sock",
        "The socket of docker or podman, to be asked for containers' names where there is no Kubernetes. Who may \
         write to it is root.")),

    plain("profile-pods", CHOICE, Kind::Choice(&["all", "annotated"]), "all", "annotated",
        "Which pods are sampled: all but those that an annotation or a rule leaves out, or those alone that one \
         chooses."),
    plain("select", CHOICE, Kind::Rules(&select::FORM), "",
        "[{ namespaces = [\"vault\"], profile = false }]",
        "Rules that choose pods by namespace and labels: a [[select]] table each, or a list of them."),
    plain("profile-host", CHOICE, Kind::Switch, "true", "false",
        "Sample processes outside of pods too."),

    fixed(plain("store", STORE, Kind::Folder, "/var/lib/strata", "/srv/strata",
        "The folder of the store. It is the agent's alone.")),
    plain("store-size", STORE, Kind::Size { min: 16 << 20 }, "512MiB", "2GiB",
        "Most bytes that the store takes; the oldest batches are dropped first."),
    plain("store-age", STORE, duration(60, 10 * YEAR), "24h", "7d",
        "Older batches are dropped."),

    standard(plain("otlp-endpoint", OTLP, Kind::Url, "", "http://127.0.0.1:4317",
        "Ship to this OTLP receiver. With http/protobuf, /v1development/profiles is put behind it, unless it ends in \
         /profiles already. A user and password in it are sent as basic authentication."),
        &["OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]),
    standard(plain("otlp-protocol", OTLP, Kind::Choice(&["grpc", "http/protobuf"]), "grpc", "http/protobuf",
        "Protocol to it."),
        &["OTEL_EXPORTER_OTLP_PROFILES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]),
    standard(secret(plain("otlp-headers", OTLP, Kind::Pairs, "", "x-scope-orgid=tenant",
        "Headers for it: NAME=VALUE,NAME=VALUE…, a comma in a value as %2C. They are never shown; other users see \
         flags, so the file or a variable is a better place.")),
        &["OTEL_EXPORTER_OTLP_PROFILES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"]),
    plain("otlp-token-file", OTLP, Kind::File, "", "/etc/strata/otlp.token",
        "A bearer token for it is in this file, which is read again when it changes."),
    standard(plain("otlp-compression", OTLP, Kind::Choice(COMPRESSIONS), "gzip", "zstd",
        "Compression of what is sent."),
        &["OTEL_EXPORTER_OTLP_PROFILES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"]),
    standard(plain("otlp-timeout", OTLP, duration(1, 600), "10s", "30s",
        "Longest time for one request. OTEL_… variables give it in milliseconds."),
        &["OTEL_EXPORTER_OTLP_PROFILES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]),
    standard(plain("otlp-insecure", OTLP, Kind::Switch, "false", "true",
        "An endpoint without a scheme means http, not https."),
        &["OTEL_EXPORTER_OTLP_PROFILES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"]),
    standard(plain("otlp-certificate", OTLP, Kind::File, "", "/etc/strata/ca.pem",
        "Certificates (PEM) to trust instead of the system's."),
        &["OTEL_EXPORTER_OTLP_PROFILES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"]),
    standard(plain("otlp-client-certificate", OTLP, Kind::File, "", "/etc/strata/agent.pem",
        "The agent's own certificate (PEM)."),
        &["OTEL_EXPORTER_OTLP_PROFILES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"]),
    standard(plain("otlp-client-key", OTLP, Kind::File, "", "/etc/strata/agent.key",
        "Its key (PEM)."),
        &["OTEL_EXPORTER_OTLP_PROFILES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"]),

    plain("push-pyroscope", PYROSCOPE, Kind::Url, "", "http://127.0.0.1:4040",
        "Ship to this Pyroscope, by push.v1."),
    secret(plain("push-pyroscope-headers", PYROSCOPE, Kind::Pairs, "", "x-scope-orgid=tenant",
        "Headers for it, as --otlp-headers.")),
    plain("push-pyroscope-token-file", PYROSCOPE, Kind::File, "", "/etc/strata/pyroscope.token",
        "A file with a bearer token for it."),
    plain("push-pyroscope-certificate", PYROSCOPE, Kind::File, "", "/etc/strata/ca.pem",
        "Certificates (PEM) to trust instead of the system's."),

    plain("push-parca", PARCA, Kind::Url, "", "http://127.0.0.1:7070",
        "Ship to this Parca, by WriteRaw."),
    secret(plain("push-parca-headers", PARCA, Kind::Pairs, "", "projectid=one",
        "Headers for it, as --otlp-headers.")),
    plain("push-parca-token-file", PARCA, Kind::File, "", "/etc/strata/parca.token",
        "A file with a bearer token for it."),
    plain("push-parca-certificate", PARCA, Kind::File, "", "/etc/strata/ca.pem",
        "Certificates (PEM) to trust instead of the system's."),

    fixed(plain("listen", AGENT, Kind::Listen, "127.0.0.1:7071", "off",
        "Where /metrics, /healthz, /readyz and /debug/status are served; `off` for nowhere.")),
    plain("flush-deadline", AGENT, duration(0, 3600), "10s", "30s",
        "Longest time that is spent on shipping what is left when the agent ends."),
    plain("log-level", AGENT, Kind::Level, "info", "debug",
        "error, warn, info, debug, trace or off; or directives such as info,strata::export=debug."),
    fixed(plain("log-format", AGENT, Kind::Choice(&["text", "json"]), "text", "json",
        "How the log on stderr looks.")),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_spelt_one_way() {
        let mut seen = BTreeSet::new();
        for setting in SETTINGS {
            assert!(seen.insert(setting.name), "{}", setting.name);
            let spelt = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(setting.name.chars().all(spelt), "{}", setting.name);
            assert!(setting.help.ends_with('.'), "{}", setting.name);
            for variable in setting.standard {
                assert!(variable.starts_with("OTEL_"), "{variable}");
                assert!(seen.insert(variable), "{variable}");
            }
        }
    }

    #[test]
    fn special_variables_go_before_general_ones() {
        for setting in SETTINGS {
            if let [first, second] = setting.standard {
                assert_eq!(first.replace("_PROFILES", ""), *second);
            }
        }
    }

    #[test]
    fn whatever_can_hold_a_password_is_secret() {
        for setting in SETTINGS {
            assert_eq!(setting.secret, setting.name.ends_with("-headers"));
        }
    }
}
