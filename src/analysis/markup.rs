//! Markup that cannot be broken by what it shows: only literals of ours are markup, everything put into them is
//! escaped. The dashboard, reports and `JUnit` files are made of it.

use std::fmt;

use crate::name::{Name, NameOf};

/// Markup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Html(String);

impl Html {
    /// Markup from a literal and escaped pieces; made by [`html!`] only.
    #[doc(hidden)]
    pub fn of(pieces: fmt::Arguments<'_>) -> Self {
        Self(pieces.to_string())
    }

    /// The text, to be written out.
    pub fn into_string(self) -> String {
        self.0
    }

    /// Puts more behind it.
    pub fn push(&mut self, part: &Html) {
        self.0.push_str(&part.0);
    }

    /// Whether it shows nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Html> for Html {
    fn from_iter<I: IntoIterator<Item = Html>>(parts: I) -> Self {
        Self(parts.into_iter().map(|part| part.0).collect())
    }
}

impl Extend<Html> for Html {
    fn extend<I: IntoIterator<Item = Html>>(&mut self, parts: I) {
        self.0.extend(parts.into_iter().map(|part| part.0));
    }
}

/// Markup: a literal with `{}` for each piece, or a file of ours such as a style sheet (`html!(file "style.css")`).
/// `concat!` keeps names out of the literal's braces, which would not be escaped.
#[macro_export]
macro_rules! html {
    (file $path:literal) => {
        $crate::markup::Html::of(format_args!("{}", include_str!($path)))
    };
    ($($markup:literal)+ $(, $piece:expr)* $(,)?) => {
        $crate::markup::Html::of(format_args!(
            concat!($($markup),+) $(, $crate::markup::PieceDisplay(&$piece))*
        ))
    };
}
pub use html;

/// Something that can stand in markup.
pub trait Piece {
    /// Writes it so that it can neither open nor close an element or a quoted attribute.
    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// A piece on its way into markup.
#[doc(hidden)]
#[derive(Debug)]
pub struct PieceDisplay<'a, T: ?Sized>(pub &'a T);

impl<T: Piece + ?Sized> fmt::Display for PieceDisplay<'_, T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(out)
    }
}

impl Piece for Html {
    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// What stands for a letter that markup cannot hold as it is.
fn instead(letter: char) -> Option<&'static str> {
    Some(match letter {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&#39;",
        '\n' | '\r' | '\t' => return None,
        letter if letter.is_control() => "\u{fffd}",
        _ => return None,
    })
}

impl Piece for str {
    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = 0;
        for (at, letter) in self.char_indices() {
            if let Some(instead) = instead(letter) {
                out.write_str(&self[shown..at])?;
                out.write_str(instead)?;
                shown = at + letter.len_utf8();
            }
        }
        out.write_str(&self[shown..])
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

impl<T: Piece> Piece for Option<T> {
    fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().map_or(Ok(()), |piece| piece.show(out))
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
numbers!(u16 u32 u64 usize i64 f64);

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
    fn what_markup_cannot_hold_is_seen_to_be_missing() {
        assert_eq!(html!("<b>{}</b>", "a\0b\u{1b}c\td\ne").into_string(), "<b>a\u{fffd}b\u{fffd}c\td\ne</b>");
    }

    #[test]
    fn markup_stays_markup() {
        let cells: Html = [1_u32, 2].iter().map(|n| html!("<td>{}</td>", n)).collect();
        assert_eq!(html!("<tr>" "{}" "</tr>", cells).into_string(), "<tr><td>1</td><td>2</td></tr>");
        assert_eq!(html!("{}{}{:.1}", None::<Html>, Some(html!("<br>")), 0.25).into_string(), "<br>0.2");
    }
}
