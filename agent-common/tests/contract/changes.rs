//! Values that differ a little, and what has to tell them apart.

use std::collections::HashMap;

/// Every copy of a value with one bit of one field changed, beside the name of that change. All
/// fields have to be named: one that is new to the type does not compile until someone decides
/// whether it is part of the identity or stands `besides` it.
macro_rules! changes {
    (
        $value:expr,
        $Type:ident { $($field:ident),* $(,)? }
        $(besides { $($other:ident),* })?
    ) => {{
        let value: $Type = $value;
        let $Type { $($field: _,)* $($($other: _,)*)? } = value;
        let mut changed: Vec<(String, $Type)> = Vec::new();
        $(
            for bit in 0..8 * size_of_val(&value.$field) {
                let mut copy = value;
                copy.$field ^= 1 << bit;
                let name = concat!(stringify!($Type), "::", stringify!($field));
                changed.push((format!("{name} with bit {bit} changed"), copy));
            }
        )*
        changed
    }};
}

/// Where each field lies, and that nothing lies between. All fields have to be named, with their
/// types.
macro_rules! layout {
    ($Type:ident, $size:literal, { $($field:ident: $Field:ty = $offset:literal),* $(,)? }) => {{
        let _types = |value: $Type| {
            let $Type { $($field),* } = value;
            $(let _: $Field = $field;)*
        };
        $(assert_eq!(
            std::mem::offset_of!($Type, $field),
            $offset,
            "offset of {}::{}",
            stringify!($Type),
            stringify!($field),
        );)*
        assert_eq!(size_of::<$Type>(), $size, "size of {}", stringify!($Type));
        let fields = [$(size_of::<$Field>()),*].iter().sum::<usize>();
        assert_eq!(fields, $size, "{} has implicit padding", stringify!($Type));
        assert!(align_of::<$Type>() <= 8, "the ring buffer aligns to 8 bytes");
    }};
}

/// Ids that must all be different.
#[derive(Default)]
pub struct Ids(HashMap<u64, String>);

impl Ids {
    #[track_caller]
    pub fn add(&mut self, name: impl Into<String>, id: u64) {
        let name = name.into();
        if let Some(other) = self.0.get(&id) {
            panic!("the same id for: {name}; {other}");
        }
        self.0.insert(id, name);
    }
}
