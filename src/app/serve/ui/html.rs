//! Markup that cannot be broken by what it shows: only literals of ours are markup, everything put into them is
//! escaped.

use std::fmt;

use crate::name::{Name, NameOf};

/// Markup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Html(String);

impl Html {
    /// Markup from a literal and escaped pieces; made by [`html!`] only.
    pub(super) fn of(pieces: fmt::Arguments<'_>) -> Self {
        Self(pieces.to_string())
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Html> for Html {
    fn from_iter<I: IntoIterator<Item = Html>>(parts: I) -> Self {
        Self(parts.into_iter().map(|part| part.0).collect())
    }
}

/// Markup: a literal with `{}` for each piece. `concat!` keeps names out of the literal's braces, which would not be
/// escaped.
macro_rules! html {
    ($($markup:literal)+ $(, $piece:expr)* $(,)?) => {
        $crate::serve::ui::html::Html::of(format_args!(
            concat!($($markup),+) $(, $crate::serve::ui::html::Shown(&$piece))*
        ))
    };
}
pub(super) use html;

/// Something that can stand in markup.
pub(super) trait Piece {
    /// Writes it so that it can neither open nor close an element or a quoted attribute.
    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// A piece on its way into markup.
pub(super) struct Shown<'a, T: ?Sized>(pub(super) &'a T);

impl<T: Piece + ?Sized> fmt::Display for Shown<'_, T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(out)
    }
}

impl Piece for Html {
    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Piece for str {
    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            out.write_str(&rest[..at])?;
            out.write_str(match rest.as_bytes()[at] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            })?;
            rest = &rest[at + 1..];
        }
        out.write_str(rest)
    }
}

impl Piece for String {
    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().show(out)
    }
}

impl<T: Name> Piece for NameOf<T> {
    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().show(out)
    }
}

impl<T: Piece + ?Sized> Piece for &T {
    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).show(out)
    }
}

macro_rules! numbers {
    ($($number:ty)+) => { $(
        impl Piece for $number {
            fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, out)
            }
        }
    )+ };
}
numbers!(u16 u32 u64 usize i64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_cannot_be_markup() {
        let name = r#"<script>alert("1")</script> & 'x'"#;
        let shown = html!("<td title=\"{}\">{}</td>", name, String::from("a<b"));
        let escaped = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;";
        assert_eq!(shown.into_string(), format!("<td title=\"{escaped}\">a&lt;b</td>"));
    }

    #[test]
    fn markup_stays_markup() {
        let cells: Html = [1_u32, 2].iter().map(|n| html!("<td>{}</td>", n)).collect();
        assert_eq!(html!("<tr>" "{}" "</tr>", cells).into_string(), "<tr><td>1</td><td>2</td></tr>");
    }
}
