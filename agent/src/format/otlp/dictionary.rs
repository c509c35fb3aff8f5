//! The dictionary that all profiles of a message share: each entry once, none that nothing refers
//! to, and the zero value at place 0 of every table.

use std::collections::HashMap;
use std::hash::Hash;

use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::profiles::v1development::{
    Function, KeyValueAndUnit, Line, Link, Location, Mapping, ProfilesDictionary, Stack, ValueType,
};
use prost::Message;

/// What an entry costs besides itself: its tag and its length.
const ENTRY_BYTES: usize = 5;

/// A table and the places of its entries.
struct Table<K, V> {
    entries: Vec<V>,
    places: HashMap<K, i32>,
    /// What the entries take when they are encoded, or a little more.
    bytes: usize,
}

impl<K: Eq + Hash + Default, V: Message + Default> Table<K, V> {
    fn new() -> Self {
        Self {
            entries: vec![V::default()],
            places: HashMap::from([(K::default(), 0)]),
            bytes: ENTRY_BYTES,
        }
    }

    fn place(&mut self, key: K, make: impl FnOnce(&K) -> V) -> i32 {
        let entries = &mut self.entries;
        let found = self.places.entry(key);
        match found {
            std::collections::hash_map::Entry::Occupied(found) => *found.get(),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                // A message of 2^31 entries is far above every limit of its size.
                let place = i32::try_from(entries.len()).unwrap_or(i32::MAX);
                let entry = make(vacant.key());
                self.bytes += entry.encoded_len() + ENTRY_BYTES;
                entries.push(entry);
                *vacant.insert(place)
            }
        }
    }
}

/// The value of an attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Content {
    #[default]
    None,
    Text(String),
    Integer(i64),
}

impl Content {
    pub fn value(&self) -> Option<AnyValue> {
        let value = match self {
            Self::None => return None,
            Self::Text(text) => any_value::Value::StringValue(text.clone()),
            Self::Integer(number) => any_value::Value::IntValue(*number),
        };
        Some(AnyValue { value: Some(value) })
    }
}

/// What makes a location: mapping, address, functions with lines, attributes.
pub type Place = (i32, u64, Vec<(i32, i64)>, Vec<i32>);

pub struct Dictionary {
    strings: Table<String, String>,
    attributes: Table<(i32, Content), KeyValueAndUnit>,
    functions: Table<Function, Function>,
    mappings: Table<Mapping, Mapping>,
    locations: Table<Place, Location>,
    stacks: Table<Vec<i32>, Stack>,
    links: Table<Link, Link>,
}

impl Dictionary {
    pub fn new() -> Self {
        Self {
            strings: Table::new(),
            attributes: Table::new(),
            functions: Table::new(),
            mappings: Table::new(),
            locations: Table::new(),
            stacks: Table::new(),
            links: Table::new(),
        }
    }

    pub fn string(&mut self, text: &str) -> i32 {
        // Looked up first, so that a known text is not copied.
        match self.strings.places.get(text) {
            Some(place) => *place,
            None => self.strings.place(text.to_owned(), String::clone),
        }
    }

    pub fn value_type(&mut self, name: &str, unit: &str) -> ValueType {
        ValueType {
            type_strindex: self.string(name),
            unit_strindex: self.string(unit),
        }
    }

    pub fn attribute(&mut self, key: &str, content: Content) -> i32 {
        let key = self.string(key);
        self.attributes
            .place((key, content), |(key, content)| KeyValueAndUnit {
                key_strindex: *key,
                value: content.value(),
                unit_strindex: 0,
            })
    }

    pub fn function(&mut self, function: Function) -> i32 {
        self.functions.place(function, |function| *function)
    }

    pub fn mapping(&mut self, mapping: Mapping) -> i32 {
        self.mappings.place(mapping, Mapping::clone)
    }

    pub fn location(&mut self, place: Place) -> i32 {
        self.locations
            .place(place, |(mapping, address, lines, attributes)| Location {
                mapping_index: *mapping,
                address: *address,
                lines: lines
                    .iter()
                    .map(|(function, line)| Line {
                        function_index: *function,
                        line: *line,
                        column: 0,
                    })
                    .collect(),
                attribute_indices: attributes.clone(),
            })
    }

    /// A stack by its locations, the innermost first.
    pub fn stack(&mut self, locations: Vec<i32>) -> i32 {
        self.stacks.place(locations, |locations| Stack {
            location_indices: locations.clone(),
        })
    }

    pub fn link(&mut self, trace_id: &[u8], span_id: &[u8]) -> i32 {
        let link = Link {
            trace_id: trace_id.to_vec(),
            span_id: span_id.to_vec(),
        };
        self.links.place(link, Link::clone)
    }

    /// What it takes when it is encoded, or a little more.
    pub fn bytes(&self) -> usize {
        self.strings.bytes
            + self.attributes.bytes
            + self.functions.bytes
            + self.mappings.bytes
            + self.locations.bytes
            + self.stacks.bytes
            + self.links.bytes
    }

    pub fn finish(self) -> ProfilesDictionary {
        ProfilesDictionary {
            mapping_table: self.mappings.entries,
            location_table: self.locations.entries,
            function_table: self.functions.entries,
            link_table: self.links.entries,
            string_table: self.strings.entries,
            attribute_table: self.attributes.entries,
            stack_table: self.stacks.entries,
        }
    }
}
