//! Names that records hold.
//!
//! What this release knows is a variant of an enum, and `named!` writes the enum as one table: variant, name, meaning.
//! Records outlive releases. A name that another release wrote is kept as a text, and written again as it was read.

use std::cmp::Ordering;
use std::fmt;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// Something that records call by a name.
pub trait Name: Copy + PartialEq + 'static {
    /// All of them, in the order of their table.
    const ALL: &'static [Self];

    /// The name in records.
    fn name(self) -> &'static str;

    /// What it means, for people.
    fn meaning(self) -> &'static str;
}

/// A name in a record: one that is known, or a text.
#[derive(Clone)]
pub struct NameOf<T>(Held<T>);

#[derive(Clone)]
enum Held<T> {
    Known(T),
    Other(String),
}

impl<T: Name> NameOf<T> {
    /// What it names; `None` where this release does not know the name.
    #[must_use]
    pub fn known(&self) -> Option<T> {
        match &self.0 {
            Held::Known(known) => Some(*known),
            Held::Other(_) => None,
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Held::Known(known) => known.name(),
            Held::Other(text) => text,
        }
    }
}

/// No name: an empty text.
impl<T> Default for NameOf<T> {
    fn default() -> Self {
        Self(Held::Other(String::new()))
    }
}

impl<T: Name> From<T> for NameOf<T> {
    fn from(known: T) -> Self {
        Self(Held::Known(known))
    }
}

impl<T: Name> From<&str> for NameOf<T> {
    fn from(name: &str) -> Self {
        let known = T::ALL.iter().find(|known| known.name() == name);
        Self(known.map_or_else(|| Held::Other(name.to_owned()), |known| Held::Known(*known)))
    }
}

impl<T: Name> From<String> for NameOf<T> {
    fn from(name: String) -> Self {
        Self::from(name.as_str())
    }
}

impl<T: Name> fmt::Display for NameOf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<T: Name> fmt::Debug for NameOf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<T: Name> PartialEq for NameOf<T> {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl<T: Name> Eq for NameOf<T> {}

impl<T: Name> PartialEq<T> for NameOf<T> {
    fn eq(&self, other: &T) -> bool {
        self.known() == Some(*other)
    }
}

/// Names are in the order of their letters, known or not.
impl<T: Name> Ord for NameOf<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl<T: Name> PartialOrd for NameOf<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Name> Serialize for NameOf<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, T: Name> Deserialize<'de> for NameOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// An enum as a table: a row is what a variant means, the variant, and its name in records.
macro_rules! named {
    ($(#[$about:meta])* $vis:vis enum $type:ident { $(#[doc = $meaning:literal] $variant:ident = $name:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $type { $(#[doc = $meaning] $variant,)+ }

        impl $crate::name::Name for $type {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning.trim_ascii(),)+ }
            }
        }
    };
}
pub(crate) use named;

#[cfg(test)]
mod tests {
    use super::*;

    named! {
        /// Two of them.
        enum Colour {
            /// The first.
            Red = "RED",
            /// The second.
            Blue = "BLUE",
        }
    }

    #[test]
    fn names_of_this_release_and_of_others_are_read_and_written_as_they_are() {
        for (text, known) in [("RED", Some(Colour::Red)), ("BLUE", Some(Colour::Blue)), ("GREEN", None), ("", None)] {
            let json = format!("{text:?}");
            let read: NameOf<Colour> = serde_json::from_str(&json).expect("a name");
            assert_eq!((read.known(), read.as_str()), (known, text));
            assert_eq!(serde_json::to_string(&read).expect("a text"), json);
        }
        assert_eq!((Colour::Red.meaning(), Colour::ALL.len()), ("The first.", 2));
    }

    #[test]
    fn names_are_in_the_order_of_their_letters() {
        let mut names: Vec<NameOf<Colour>> = ["GREEN", "RED", "BLUE"].map(NameOf::from).to_vec();
        names.sort();
        assert_eq!(format!("{names:?}"), r#"["BLUE", "GREEN", "RED"]"#);
        assert!(names[0] == Colour::Blue && names[1] != Colour::Red && NameOf::<Colour>::default().as_str().is_empty());
    }
}
