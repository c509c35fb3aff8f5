use super::super::super::sample_profile;
use super::*;

#[test]
fn what_was_seen_comes_before_what_a_process_says() {
    let mut profile = sample_profile::profile();
    let executable = profile.executables().iter().next().unwrap().0;
    let path = profile[profile[executable].path].to_owned();
    let process = profile.processes()[0].id;
    let process = profile.process(process);
    let said = [
        ("process.pid", "1"),
        ("process.executable.name", "said"),
        ("service.name", "web"),
        ("service.name", "again"),
    ];
    let said = said.map(|(key, value)| Attribute {
        key: profile.string(key),
        value: Value::Text(profile.string(value)),
    });
    let texts = |profile: &Profile, wanted: &str| -> Vec<String> {
        let resource = resource(profile, &profile[process]);
        let found = resource.attributes.iter().filter(|it| it.key == wanted);
        found
            .map(|it| format!("{:?}", it.value.as_ref().unwrap().value.as_ref().unwrap()))
            .collect()
    };
    let text = |text: &str| vec![format!("StringValue({text:?})")];
    profile.process_mut(process).attributes = said[..2].to_vec();
    assert_eq!(
        texts(&profile, "service.name"),
        text("unknown_service:said")
    );
    profile.process_mut(process).executable = Some(executable);
    profile.process_mut(process).attributes = said.to_vec();
    let name = path.rsplit('/').next().unwrap();
    assert_eq!(texts(&profile, "process.executable.name"), text(name));
    assert_eq!(texts(&profile, "service.name"), text("web"));
    assert_eq!(texts(&profile, "process.pid").len(), 1);
    assert!(texts(&profile, "process.pid")[0].starts_with("IntValue"));
    profile.process_mut(process).attributes.clear();
    let unknown = format!("unknown_service:{name}");
    assert_eq!(texts(&profile, "service.name"), text(&unknown));
}

#[test]
fn what_is_spelt_out_says_the_same_and_is_all() {
    let mut profile = sample_profile::profile();
    let process = profile.process(profile.processes()[0].id);
    let before = resource(&profile, &profile[process]);
    spell_out(&mut profile, process);
    assert_eq!(resource(&profile, &profile[process]), before);
    let keys = ["process.pid", "process.title", "service.name"];
    for key in keys {
        assert!(before.attributes.iter().any(|it| it.key == key), "{key}");
    }
    profile.process_mut(process).attributes.truncate(1);
    let after = resource(&profile, &profile[process]);
    assert_eq!(after.attributes, before.attributes[..1]);
}
