use std::fs;

use super::super::args::GivenSettings;
use super::table::SETTINGS;
use super::*;
use crate::export::{Compression, Protocol};

fn variables(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Without a file.
fn loaded(list: &[(&str, &str)]) -> Loaded {
    let mut variables = variables(list);
    variables.push(("STRATA_CONFIG".to_owned(), "/dev/null".to_owned()));
    Loaded::of(&AgentArgs::default(), variables).unwrap()
}

#[test]
fn without_configuration_the_agent_does_what_is_promised() {
    let Loaded { config, .. } = loaded(&[]);
    assert_eq!(config.rate, 19);
    assert_eq!(config.interval, Duration::from_secs(10));
    assert_eq!(config.store, PathBuf::from("/var/lib/strata"));
    assert_eq!(config.limits().bytes, 512 << 20);
    assert_eq!(config.limits().age, Duration::from_secs(86_400));
    assert_eq!(config.listen, "127.0.0.1:7071".parse().ok());
    assert!(config.destinations.is_empty());
    assert!(config.inlines && !config.native_python);
}

/// No setting is read and then forgotten.
#[test]
fn each_setting_arrives() {
    let endpoints = [
        ("STRATA_OTLP_ENDPOINT", "collector"),
        ("STRATA_PUSH_PYROSCOPE", "http://pyroscope"),
        ("STRATA_PUSH_PARCA", "http://parca"),
    ];
    let without = loaded(&endpoints).config;
    for setting in SETTINGS {
        let mut with = variables(&endpoints);
        with.retain(|(name, _)| *name != setting.variable());
        with.push((setting.variable(), setting.example.to_owned()));
        with.push(("STRATA_CONFIG".to_owned(), "/dev/null".to_owned()));
        let with = Loaded::of(&AgentArgs::default(), with).unwrap().config;
        assert!(with != without, "{}", setting.name);
    }
}

#[test]
fn an_endpoint_becomes_a_destination() {
    let config = loaded(&[
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "https://me:hunter2@there:4318/otlp",
        ),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "X-Tenant=a%20b"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
    ])
    .config;
    let [it] = &config.destinations[..] else {
        panic!("{} destinations", config.destinations.len());
    };
    assert_eq!(it.endpoint, "https://me:hunter2@there:4318/otlp");
    assert!(!it.exact);
    assert_eq!(it.protocol, Protocol::Http);
    assert_eq!(it.compression, Compression::Zstd);
    assert_eq!(it.timeout, Duration::from_millis(2_500));
    assert_eq!(it.tls.certificate, Some(PathBuf::from("/ca.pem")));
    assert_eq!(it.headers, [("X-Tenant".to_owned(), "a b".to_owned())]);
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn paths_follow_opentelemetrys_rules() {
    let endpoint = |variable: &str, url: &str, protocol: &str| {
        let list = [(variable, url), ("STRATA_OTLP_PROTOCOL", protocol)];
        let it = &loaded(&list).config.destinations[0];
        (it.endpoint.clone(), it.exact)
    };
    let is = |url: &str, exact: bool| (url.to_owned(), exact);
    let http = "http/protobuf";
    let general = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let special = "OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT";
    assert_eq!(endpoint(general, "http://c/", http), is("http://c", false));
    assert_eq!(endpoint(special, "http://c", http), is("http://c", false));
    assert_eq!(
        endpoint(special, "http://c/x", http),
        is("http://c/x", true)
    );
    let own = "STRATA_OTLP_ENDPOINT";
    let other = "http://c/api/org/v1/profiles";
    assert_eq!(endpoint(own, other, http), is(other, true));
    assert_eq!(endpoint(own, other, "grpc"), is(other, false));
    assert_eq!(endpoint(own, "c:4317", "grpc"), is("https://c:4317", false));
}

#[test]
fn what_is_hardly_meant_is_said() {
    let warnings = |list: &[(&str, &str)]| loaded(list).warnings;
    assert!(warnings(&[("STRATA_OTLP_TOKEN_FILE", "/t")])[0].contains("otlp-endpoint is not set"));
    assert!(warnings(&[("STRATA_OTLP_ENDPOINT", "http://c:4318")])[0].contains("4318"));
    assert!(warnings(&[("STRATA_OTLP_ENDPOINT", "http://c:4317")]).is_empty());
}

fn with_file(path: &std::path::Path, settings: Vec<Typed>) -> Result<Loaded, ConfigError> {
    let args = AgentArgs {
        config: Some(path.to_owned()),
        settings: GivenSettings(settings),
        ..AgentArgs::default()
    };
    Loaded::of(&args, Vec::new())
}

#[test]
fn reading_again_takes_what_can_change_and_tells_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    fs::write(&path, "store = '/one'\nstore-size = '1GiB'").unwrap();
    let mut loaded = with_file(&path, Vec::new()).unwrap();
    assert_eq!(loaded.reload(), Ok(Changes::default()));

    fs::write(
        &path,
        "store = '/two'\nstore-size = '2GiB'\ninterval = '1m'",
    )
    .unwrap();
    let changes = loaded.reload().unwrap();
    assert_eq!(changes.taken, ["interval", "store-size"]);
    assert_eq!(changes.refused, ["store"]);
    assert_eq!(loaded.config.store, PathBuf::from("/one"));
    assert_eq!(loaded.config.store_size, 2 << 30);
    assert!(loaded.show().contains("store = \"/one\""));

    fs::write(&path, "store-size = '3 apples'").unwrap();
    let before = loaded.config.clone();
    assert!(loaded.reload().is_err());
    assert_eq!(loaded.config, before);
}

/// The clock fires as often as the fastest rule wants when the agent starts, and no rule gets more.
#[test]
fn a_rate_above_the_clock_takes_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    let rule = |rate: u32| format!("rate = 19\n[[select]]\nlabels = 'app=web'\nrate = {rate}\n");
    fs::write(&path, rule(99)).unwrap();
    let mut loaded = with_file(&path, Vec::new()).unwrap();
    assert_eq!((loaded.base(), loaded.config.rate), (99, 19));
    fs::write(&path, rule(49)).unwrap();
    assert_eq!(loaded.reload().unwrap().taken, ["select"]);
    assert_eq!(loaded.base(), 99);
    fs::write(&path, rule(99)).unwrap();
    loaded.reload().unwrap();
    fs::write(&path, rule(100)).unwrap();
    let error = loaded.reload().unwrap_err().to_string();
    assert!(
        error.contains("100 samples") && error.contains("most 99"),
        "{error}"
    );
    assert_eq!(loaded.config.selection.highest_rate(), Some(99));
    let wrong = |text: &str| {
        fs::write(&path, text).unwrap();
        with_file(&path, Vec::new()).unwrap_err().to_string()
    };
    assert!(wrong("[[select]]\nlabels = 'a=b,'\nrate = 1").contains("s.toml:2"));
    assert!(wrong("[[select]]\nlabels = 'a=b'").contains("says nothing"));
    assert!(wrong("[[select]]\nlabel = 'a'\nrate = 1").contains("`labels`"));
    assert!(wrong("[[select]]\nrate = 0").contains("from 1 to 100000"));
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    fs::write(&path, "rats = 1\ninterval = 'x'").unwrap();
    let typed = Typed {
        name: "listen",
        flag: "--listen".to_owned(),
        text: "here".to_owned(),
    };
    let error = with_file(&path, vec![typed]).unwrap_err().to_string();
    for part in ["`rats`", "`rate`", "s.toml:2", "--listen is \"here\""] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_named_file_has_to_be_there() {
    let error = with_file("/nonexistent/s.toml".as_ref(), Vec::new()).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("/nonexistent/s.toml (--config)"), "{error}");
}

#[test]
fn secrets_in_a_file_that_all_may_read_are_said() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    fs::write(&path, "push-parca = 'http://me:hunter2@c'").unwrap();
    let warnings = |mode: u32| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        with_file(&path, Vec::new()).unwrap().warnings
    };
    assert!(warnings(0o644)[0].contains("chmod"));
    assert!(warnings(0o600).is_empty());
}
