use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;

#[test]
fn the_environment_names_the_service() {
    let mut child = Command::new("cat")
        .env("OTEL_SERVICE_NAME", "web")
        .env("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,a=b")
        .env("SECRET", "hunter2")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("cat");
    let handle = ProcessHandle::open(child.id()).expect("the child");
    // `spawn` may return before exec has put the environment in place.
    let found = (0..1000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(1));
        Some(identify(&handle)).filter(|identity| identity.service_name.is_some())
    });
    let mut identity = found.expect("a name");
    assert_eq!(identity.executable_name.as_deref(), Some("cat"));
    assert_eq!(identity.service_name.as_deref(), Some("web"));
    assert!(identity.attributes.is_empty() && !identity.has_context());
    assert!(!format!("{identity:?}").contains("hunter2"));
    assert!(!identity.look_again(&handle));
    assert_eq!(identity.service_name.as_deref(), Some("web"));
    child.kill().expect("kill");
    child.wait().expect("wait");
    assert_eq!(identify(&handle), Identity::default());
}
