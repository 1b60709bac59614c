//! Tables of a report: columns of numbers are right-aligned, and where it helps all can be sorted.

use crate::markup::{Html, Piece, html};
use crate::output::text::{count, number, or_dash};

/// A table.
pub(super) struct HtmlTable<'a> {
    pub(super) heads: &'a [ColumnHead],
    pub(super) rows: Vec<Vec<HtmlCell>>,
}

/// The head of a column.
pub(super) struct ColumnHead {
    name: Html,
    is_number: bool,
}

/// The head of a column of texts.
pub(super) fn left(name: impl Piece) -> ColumnHead {
    ColumnHead { name: html!("{}", name), is_number: false }
}

/// The head of a column of numbers.
pub(super) fn right(name: impl Piece) -> ColumnHead {
    ColumnHead { name: html!("{}", name), is_number: true }
}

/// One cell: what is shown, and what it is sorted by.
pub(super) struct HtmlCell {
    shown: Html,
    key: String,
    is_number: bool,
}

impl HtmlCell {
    /// A text, sorted by itself.
    pub(super) fn text(text: &str) -> Self {
        Self::left(text).by(text)
    }

    /// A number, sorted by itself.
    pub(super) fn number(value: Option<f64>) -> Self {
        Self::right(&or_dash(value, number)).by(&value.unwrap_or(-1e308))
    }

    /// A count, sorted by itself.
    pub(super) fn count(n: u64) -> Self {
        Self::right(&count(n)).by(&n)
    }

    pub(super) fn left(shown: &(impl Piece + ?Sized)) -> Self {
        Self { shown: html!("{}", shown), key: String::new(), is_number: false }
    }

    pub(super) fn right(shown: &(impl Piece + ?Sized)) -> Self {
        Self { is_number: true, ..Self::left(shown) }
    }

    /// The same, sorted by this.
    pub(super) fn by(self, key: &(impl ToString + ?Sized)) -> Self {
        Self { key: key.to_string(), ..self }
    }
}

/// How a column of numbers is marked.
fn class(is_number: bool) -> Html {
    if is_number { html!(" class=\"n\"") } else { Html::default() }
}

impl HtmlTable<'_> {
    /// The table as it is.
    pub(super) fn draw(&self) -> Html {
        self.drawn(false)
    }

    /// The table with heads that sort it.
    pub(super) fn draw_sortable(&self) -> Html {
        self.drawn(true)
    }

    fn drawn(&self, sorts: bool) -> Html {
        let head = |head: &ColumnHead| {
            let button = || html!("<button type=\"button\">{}</button>", head.name);
            let inside = if sorts { button() } else { head.name.clone() };
            html!("<th scope=\"col\"{}>{}</th>", class(head.is_number), inside)
        };
        let cell = |cell: &HtmlCell| {
            let key = sorts.then(|| html!(" data-v=\"{}\"", cell.key));
            html!("<td{}{}>{}</td>", class(cell.is_number), key, cell.shown)
        };
        let row = |row: &Vec<HtmlCell>| html!("<tr>{}</tr>", row.iter().map(cell).collect::<Html>());
        html!(
            "<div class=\"scroll\" tabindex=\"0\"><table{}><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>",
            sorts.then(|| html!(" class=\"sort\"")),
            self.heads.iter().map(head).collect::<Html>(),
            self.rows.iter().map(row).collect::<Html>()
        )
    }
}
