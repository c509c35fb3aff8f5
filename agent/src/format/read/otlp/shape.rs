//! What the messages say, for their size.

use std::mem::size_of;

use opentelemetry_proto::tonic::common::v1::{AnyValue, EntityRef, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::profiles::v1development::{
    Function, KeyValueAndUnit, Line, Link, Location, Mapping, Profile, ProfilesData,
    ResourceProfiles, Sample, ScopeProfiles, Stack, ValueType,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::super::wire::{Holds, Shape};

const NUMBERS: Holds = Holds::Numbers(size_of::<i32>());

macro_rules! shapes {
    ($($name:ident = $size:expr, { $($field:literal: $holds:expr),* };)*) => {
        $(pub static $name: Shape = Shape { size: $size, fields: &[$(($field, $holds)),*] };)*
    };
}

// Messages that are one member of another take no memory of their own.
shapes! {
    DATA = size_of::<ProfilesData>(), { 1: Holds::Message(&RESOURCES), 2: Holds::Message(&TABLES) };
    RESOURCES = size_of::<ResourceProfiles>(), {
        1: Holds::Message(&RESOURCE), 2: Holds::Message(&SCOPES)
    };
    RESOURCE = size_of::<Resource>(), { 1: Holds::Message(&KEY_VALUE), 3: Holds::Message(&ENTITY) };
    ENTITY = size_of::<EntityRef>(), {};
    SCOPES = size_of::<ScopeProfiles>(), { 1: Holds::Message(&SCOPE), 2: Holds::Message(&PROFILE) };
    SCOPE = size_of::<InstrumentationScope>(), { 3: Holds::Message(&KEY_VALUE) };
    PROFILE = size_of::<Profile>(), {
        1: Holds::Message(&VALUE_TYPE), 2: Holds::Message(&SAMPLE), 5: Holds::Message(&VALUE_TYPE),
        11: NUMBERS
    };
    VALUE_TYPE = size_of::<ValueType>(), {};
    SAMPLE = size_of::<Sample>(), { 2: NUMBERS, 4: Holds::Numbers(size_of::<i64>()) };
    TABLES = 0, {
        1: Holds::Message(&MAPPING), 2: Holds::Message(&LOCATION), 3: Holds::Message(&FUNCTION),
        4: Holds::Message(&LINK), 6: Holds::Message(&ATTRIBUTE), 7: Holds::Message(&STACK)
    };
    MAPPING = size_of::<Mapping>(), { 5: NUMBERS };
    LOCATION = size_of::<Location>(), { 3: Holds::Message(&LINE), 4: NUMBERS };
    LINE = size_of::<Line>(), {};
    FUNCTION = size_of::<Function>(), {};
    LINK = size_of::<Link>(), {};
    ATTRIBUTE = size_of::<KeyValueAndUnit>(), { 2: Holds::Message(&ANY) };
    STACK = size_of::<Stack>(), { 1: NUMBERS };
    KEY_VALUE = size_of::<KeyValue>(), { 2: Holds::Message(&ANY) };
    ANY = size_of::<AnyValue>(), { 5: Holds::Message(&LIST), 6: Holds::Message(&PAIRS) };
    LIST = 0, { 1: Holds::Message(&ANY) };
    PAIRS = 0, { 1: Holds::Message(&KEY_VALUE) };
}
