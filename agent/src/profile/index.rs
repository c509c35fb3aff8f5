//! Typed indices: no raw integer crosses this room's door.

/// Place of an entry in one of a profile's tables.
pub trait Index: Copy {
    fn new(position: u32) -> Self;
    fn position(self) -> usize;
}

macro_rules! indices {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(u32);

            impl Index for $name {
                fn new(position: u32) -> Self {
                    Self(position)
                }

                fn position(self) -> usize {
                    self.0 as usize
                }
            }
        )*
    };
}

indices! {
    StringId,
    FunctionId,
    FrameId,
    StackId,
    ExecutableId,
    EventId,
    ContextId,
    ProcessIndex,
    ThreadIndex,
}

impl StringId {
    /// The empty string: what is not known.
    pub const EMPTY: Self = Self(0);
}

impl StackId {
    /// The stack without frames.
    pub const EMPTY: Self = Self(0);
}

impl ContextId {
    /// No task, no trace, no labels.
    pub const NONE: Self = Self(0);
}
