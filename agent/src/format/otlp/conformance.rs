//! The rules of OTLP profiles, and those by which receivers take them: opentelemetry-proto 1.11
//! (`profiles.proto`), the semantic conventions 1.44, and Pyroscope's conversion. Each fault is a
//! line that begins with the rule's name.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Debug;

use opentelemetry_proto::tonic::profiles::v1development::{
    Profile, ProfilesData, ProfilesDictionary, Sample, ValueType,
};

const FRAME_TYPES: &[&str] = &[
    "beam", "cpython", "dotnet", "go", "jvm", "kernel", "luajit", "native", "perl", "php", "ruby",
    "rust", "v8js",
];
const BUILD_IDS: &[&str] = &[
    "process.executable.build_id.gnu",
    "process.executable.build_id.go",
    "process.executable.build_id.htlhash",
];

pub fn faults(data: &ProfilesData) -> Vec<String> {
    let Some(dictionary) = &data.dictionary else {
        return vec!["dictionary: there is none".to_owned()];
    };
    let mut check = Check {
        dictionary,
        faults: Vec::new(),
        used: HashMap::new(),
    };
    check.zero_values();
    check.duplicates();
    check.dictionary();
    check.envelopes(data);
    for resource in &data.resource_profiles {
        for scope in &resource.scope_profiles {
            for profile in &scope.profiles {
                check.profile(profile);
            }
        }
    }
    check.orphans();
    check.faults
}

struct Check<'a> {
    dictionary: &'a ProfilesDictionary,
    faults: Vec<String>,
    /// Places that something refers to, by table.
    used: HashMap<&'static str, HashSet<i32>>,
}

impl Check<'_> {
    fn require(&mut self, holds: bool, rule: &str, what: impl Debug) {
        if !holds {
            self.faults.push(format!("{rule}: {what:?}"));
        }
    }

    fn sizes(&self) -> [(&'static str, usize); 7] {
        let it = self.dictionary;
        [
            ("string", it.string_table.len()),
            ("attribute", it.attribute_table.len()),
            ("mapping", it.mapping_table.len()),
            ("function", it.function_table.len()),
            ("location", it.location_table.len()),
            ("stack", it.stack_table.len()),
            ("link", it.link_table.len()),
        ]
    }

    /// Notes a reference, which has to lead into its table.
    fn refers(&mut self, table: &'static str, place: i32) -> Option<usize> {
        let size = self.sizes().into_iter().find(|(name, _)| *name == table)?.1;
        self.used.entry(table).or_default().insert(place);
        let found = usize::try_from(place).ok().filter(|place| *place < size);
        self.require(found.is_some(), &format!("{table}-in-range"), place);
        found
    }

    fn zero_values(&mut self) {
        let it = self.dictionary;
        let zero = [
            (
                "string",
                it.string_table.first().is_some_and(String::is_empty),
            ),
            ("attribute", is_zero(&it.attribute_table)),
            ("mapping", is_zero(&it.mapping_table)),
            ("function", is_zero(&it.function_table)),
            ("location", is_zero(&it.location_table)),
            ("stack", is_zero(&it.stack_table)),
            ("link", is_zero(&it.link_table)),
        ];
        for (table, holds) in zero {
            self.require(holds, &format!("{table}-zero-value"), "place 0");
        }
    }

    fn duplicates(&mut self) {
        let it = self.dictionary;
        let repeated = [
            ("string", repeats(&it.string_table)),
            ("attribute", repeats(&it.attribute_table)),
            ("mapping", repeats(&it.mapping_table)),
            ("function", repeats(&it.function_table)),
            ("location", repeats(&it.location_table)),
            ("stack", repeats(&it.stack_table)),
            ("link", repeats(&it.link_table)),
        ];
        for (table, repeated) in repeated {
            self.require(repeated.is_none(), &format!("{table}-twice"), repeated);
        }
    }

    fn orphans(&mut self) {
        for (table, size) in self.sizes() {
            let used = self.used.remove(table).unwrap_or_default();
            let orphan = (1..size as i32).find(|place| !used.contains(place));
            self.require(orphan.is_none(), &format!("{table}-orphan"), orphan);
        }
    }

    fn dictionary(&mut self) {
        let it = self.dictionary;
        for attribute in &it.attribute_table {
            self.refers("string", attribute.key_strindex);
            self.refers("string", attribute.unit_strindex);
        }
        for attribute in it.attribute_table.iter().skip(1) {
            self.require(attribute.key_strindex != 0, "attribute-key", attribute);
            self.require(attribute.value.is_some(), "attribute-value", attribute);
        }
        for mapping in it.mapping_table.iter().skip(1) {
            self.refers("string", mapping.filename_strindex);
            let keys = self.attributes(&mapping.attribute_indices);
            let known = keys.iter().any(|key| BUILD_IDS.contains(&&**key));
            self.require(known, "mapping-build-id", mapping);
            let (start, limit) = (mapping.memory_start, mapping.memory_limit);
            self.require(
                start < limit || (start, limit) == (0, 0),
                "mapping-range",
                mapping,
            );
        }
        for function in it.function_table.iter().skip(1) {
            self.refers("string", function.name_strindex);
            self.refers("string", function.system_name_strindex);
            self.refers("string", function.filename_strindex);
            self.require(function.name_strindex != 0, "function-name", function);
            self.require(function.start_line >= 0, "function-line", function);
        }
        for location in it.location_table.iter().skip(1) {
            self.location(location);
        }
        for stack in &it.stack_table {
            for location in &stack.location_indices {
                self.refers("location", *location);
                self.require(*location != 0, "stack-location", stack);
            }
        }
        for link in it.link_table.iter().skip(1) {
            let sizes = (link.trace_id.len(), link.span_id.len());
            self.require(sizes == (16, 8), "link-size", sizes);
        }
    }

    fn location(
        &mut self,
        location: &opentelemetry_proto::tonic::profiles::v1development::Location,
    ) {
        if let Some(place) = self.refers("mapping", location.mapping_index)
            && let Some(mapping) = self.dictionary.mapping_table.get(place)
        {
            let range = mapping.memory_start..mapping.memory_limit;
            let inside = place == 0 || range.contains(&location.address);
            self.require(inside, "location-in-mapping", location);
        }
        let named = location.mapping_index != 0 || !location.lines.is_empty();
        self.require(named, "location-says-something", location);
        for line in &location.lines {
            self.refers("function", line.function_index);
            self.require(line.function_index != 0, "line-function", line);
            self.require(line.line >= 0 && line.column >= 0, "line-number", line);
        }
        self.attributes(&location.attribute_indices);
        for place in &location.attribute_indices {
            let attribute = self.dictionary.attribute_table.get(*place as usize);
            let Some(attribute) = attribute else { continue };
            if self.text(attribute.key_strindex) == "profile.frame.type" {
                let known = FRAME_TYPES.iter().any(|kind| {
                    let value = format!("{:?}", attribute.value);
                    value.contains(&format!("{kind:?}"))
                });
                self.require(known, "frame-type", attribute);
            }
        }
    }

    /// The keys of these attributes, each of which may be there once.
    fn attributes(&mut self, places: &[i32]) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        for place in places {
            self.require(*place != 0, "attribute-zero", places);
            let Some(place) = self.refers("attribute", *place) else {
                continue;
            };
            let key = self.text(self.dictionary.attribute_table[place].key_strindex);
            let new = keys.insert(key.clone());
            self.require(new, "attribute-key-twice", key);
        }
        keys
    }

    fn text(&self, place: i32) -> String {
        let text = self.dictionary.string_table.get(place as usize);
        text.cloned().unwrap_or_default()
    }

    fn envelopes(&mut self, data: &ProfilesData) {
        self.require(!data.resource_profiles.is_empty(), "no-resource", ());
        for resource in &data.resource_profiles {
            let attributes = resource.resource.iter().flat_map(|it| &it.attributes);
            let keys: Vec<&str> = attributes.map(|attribute| &*attribute.key).collect();
            let distinct = keys.iter().collect::<HashSet<_>>().len();
            self.require(distinct == keys.len(), "resource-key-twice", keys);
            self.require(!resource.scope_profiles.is_empty(), "no-scope", ());
            for scope in &resource.scope_profiles {
                self.require(!scope.profiles.is_empty(), "no-profile", ());
                let named = scope
                    .scope
                    .as_ref()
                    .is_some_and(|scope| !scope.name.is_empty());
                self.require(named, "scope-name", ());
            }
        }
    }

    fn profile(&mut self, profile: &Profile) {
        let kind = self.value_type(profile.sample_type);
        let period = self.value_type(profile.period_type);
        let cpu = kind == "samples:count" && period == "cpu:nanoseconds" && profile.period > 0;
        let sum = period.is_empty() && profile.period == 0;
        self.require(
            cpu || sum,
            "type-that-receivers-know",
            (&kind, &period, profile.period),
        );
        self.attributes(&profile.attribute_indices);
        self.require(!profile.samples.is_empty(), "no-sample", ());
        let mut shapes = HashSet::new();
        let mut identities = HashSet::new();
        for sample in &profile.samples {
            self.sample(sample, profile);
            shapes.insert((
                sample.values.is_empty(),
                sample.timestamps_unix_nano.is_empty(),
            ));
            let attributes: BTreeSet<i32> = sample.attribute_indices.iter().copied().collect();
            let identity = (sample.stack_index, attributes, sample.link_index);
            let new = identities.insert(identity.clone());
            self.require(new, "sample-twice", identity);
        }
        self.require(shapes.len() <= 1, "one-shape", &shapes);
        let several = profile.samples.iter().any(|sample| sample.values.len() > 1);
        self.require(!(cpu && several), "one-value-where-a-period-is", ());
    }

    fn value_type(&mut self, kind: Option<ValueType>) -> String {
        let Some(kind) = kind else {
            return String::new();
        };
        self.refers("string", kind.type_strindex);
        self.refers("string", kind.unit_strindex);
        format!(
            "{}:{}",
            self.text(kind.type_strindex),
            self.text(kind.unit_strindex)
        )
    }

    fn sample(&mut self, sample: &Sample, profile: &Profile) {
        self.refers("stack", sample.stack_index);
        self.require(sample.stack_index != 0, "sample-stack", sample);
        self.refers("link", sample.link_index);
        self.attributes(&sample.attribute_indices);
        let (values, times) = (sample.values.len(), sample.timestamps_unix_nano.len());
        self.require(values + times > 0, "sample-says-something", sample);
        self.require(
            values == 0 || times == 0 || values == times,
            "as-many-values",
            sample,
        );
        self.require(times > 0 || values <= 1, "one-sum", sample);
        self.require(
            sample.values.iter().all(|value| *value >= 0),
            "value",
            sample,
        );
        let end = profile.time_unix_nano.saturating_add(profile.duration_nano);
        let window = profile.time_unix_nano..end;
        let inside = sample
            .timestamps_unix_nano
            .iter()
            .all(|time| window.contains(time));
        self.require(inside, "time-in-window", sample);
    }
}

fn is_zero<T: Default + PartialEq>(table: &[T]) -> bool {
    table.first() == Some(&T::default())
}

/// An entry that is there twice.
fn repeats<T: Debug>(table: &[T]) -> Option<String> {
    let mut seen = HashSet::new();
    let mut texts = table.iter().map(|entry| format!("{entry:?}"));
    texts.find(|text| !seen.insert(text.clone()))
}
