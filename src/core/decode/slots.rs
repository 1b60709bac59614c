//! One JSON value into the column that it feeds.

use std::borrow::Cow;

use crate::event::{Poison, TEXT_BYTES_MAX, stable_hash};
use crate::plan::{ROWS_MAX, TimeFormat};

use super::binding::{LABEL, ROW_NUMBER, Slot, blank_is_missing, is_category};
use super::cell::{self, Classes};
use super::column::ColumnBuilder;
use super::cursor::check_depth;
use super::flaw::Flaw;
use super::origin::is_allowed;
use super::rows::RowBuilder;
use super::scanner::RecordScan;
use super::time;
use super::trie::KeyTarget;

impl RecordScan<'_> {
    /// Reads one value for one column; `null` is the same as no value, and so is NaN where no number is wanted.
    #[inline]
    pub(super) fn take(&mut self, target: KeyTarget, depth: u32) -> Result<(), Flaw> {
        let taken = match target.slot {
            _ if self.cursor.peek() == b'n' => self.cursor.literal("null"),
            Slot::Number { column, factor } => self.number(column, factor),
            Slot::Text(column) => self.text(column),
            _ if self.cursor.peek() == b'N' => self.cursor.literal("NaN"),
            _ => self.take_rare(target, depth),
        };
        taken.map_err(|flaw| flaw.of(target.binding))
    }

    fn take_rare(&mut self, target: KeyTarget, depth: u32) -> Result<(), Flaw> {
        match target.slot {
            Slot::Number { column, factor } => self.number(column, factor),
            Slot::Text(column) => self.text(column),
            Slot::TruthName(column) => self.truth_name(column),
            Slot::Id => self.id(|rows| &mut rows.id),
            Slot::Entity => self.id(|rows| &mut rows.entity),
            Slot::Producer => self.id(|rows| &mut rows.producer),
            Slot::Time(format) => self.time(format),
            Slot::Truth => self.truth(),
            Slot::Class { column, binary } => self.class(column, binary),
            Slot::BestScore(column) => self.best_score(column, depth + 1),
            Slot::BestClass(column) => self.best_class(column, depth + 1),
            Slot::Status => self.status(),
            Slot::Failed => self.failed(),
            Slot::Condition(at) => self.condition(at, depth),
            Slot::Part => self.part(target, depth),
            Slot::Rows => self.row_list(depth + 1),
            Slot::Row => self.row(),
        }
    }

    /// Notes whether a condition holds.
    fn condition(&mut self, at: usize, depth: u32) -> Result<(), Flaw> {
        if matches!(self.cursor.peek(), b'{' | b'[') {
            return self.cursor.skip(depth);
        }
        let allowed = &self.layout.selection.conditions[at].allowed;
        let is_allowed = is_allowed(allowed, &self.scalar("expected a value")?);
        self.noted.held |= u64::from(is_allowed) << at;
        Ok(())
    }

    /// Notes where the list of rows stands, and passes it.
    fn row_list(&mut self, depth: u32) -> Result<(), Flaw> {
        check_depth(depth)?;
        if self.cursor.peek() != b'[' {
            return Err(self.cursor.not("expected a list of rows"));
        }
        self.noted.rows = Some((self.cursor.at, depth));
        let mut n = 0_u32;
        let mut more = self.cursor.first_member(b']');
        while more {
            self.cursor.skip(depth)?;
            n = n.saturating_add(1);
            more = self.cursor.next_member(b']')?;
        }
        if n > ROWS_MAX { Err(Flaw::new(Poison::TooLong, "a list of more than 65536 rows")) } else { Ok(()) }
    }

    /// The place of a row in its record.
    fn row(&mut self) -> Result<(), Flaw> {
        if let Some(value) = cell::numeric(&self.scalar("expected the number of a row")?)? {
            self.rows.put_number(ROW_NUMBER, row_number(value)?);
        }
        Ok(())
    }

    /// Reads a part of a text as if it were all of it.
    fn part(&mut self, target: KeyTarget, depth: u32) -> Result<(), Flaw> {
        let text = self.scalar("expected a text, a number or a boolean")?.into_owned();
        let at = usize::from(target.binding);
        let Some(part) = self.patterns[at].as_mut().and_then(|pattern| pattern.part(&text)) else { return Ok(()) };
        let (quoted, slot) = (quoted(&part), self.bindings[at].slot);
        self.within(&quoted, &mut Vec::new()).take(KeyTarget { slot, ..target }, depth)
    }

    #[inline]
    fn number(&mut self, column: usize, factor: f64) -> Result<(), Flaw> {
        let value = match self.cursor.peek() {
            b'"' | b't' | b'f' => cell::numeric(&self.scalar("expected a number")?)?,
            _ => Some(self.cursor.float("expected a number")?),
        };
        if let Some(value) = value {
            self.rows.put_number(column, value * factor);
        }
        Ok(())
    }

    #[inline]
    fn text(&mut self, column: usize) -> Result<(), Flaw> {
        if self.cursor.peek() != b'"' {
            return self.text_of_scalar(column);
        }
        put_name(self.rows, column, self.cursor.text_value("expected a text")?)
    }

    fn truth_name(&mut self, column: usize) -> Result<(), Flaw> {
        let text = self.scalar("expected a boolean, a number or a text")?.into_owned();
        self.rows.put_text(column, bounded(cell::truth_name(&text).as_bytes())?);
        Ok(())
    }

    /// Numbers and booleans are categories, too; NaN is none.
    fn text_of_scalar(&mut self, column: usize) -> Result<(), Flaw> {
        if self.cursor.peek() == b'N' {
            return self.cursor.literal("NaN");
        }
        let text = self.scalar("expected a text, a number or a boolean")?.into_owned();
        self.rows.put_text(column, bounded(text.as_bytes())?);
        Ok(())
    }

    /// A text, a number or a boolean as a text.
    pub(super) fn scalar(&mut self, what: &'static str) -> Result<Cow<'_, str>, Flaw> {
        match self.cursor.peek() {
            b'"' => self.cursor.str_value(what).map(Cow::Borrowed),
            b't' | b'f' => Ok(Cow::Borrowed(if self.cursor.boolean()? { "true" } else { "false" })),
            _ => {
                let number = self.cursor.number(what)?;
                if number.is_plain() {
                    return Ok(Cow::Borrowed(str::from_utf8(number.token).expect("a number is ASCII")));
                }
                Ok(Cow::Owned(cell::named(number.value()).expect("JSON has no other NaN")))
            }
        }
    }

    /// The hash of an id; an empty text is none.
    fn id(&mut self, column: impl Fn(&mut RowBuilder) -> &mut ColumnBuilder<u64>) -> Result<(), Flaw> {
        let text = if self.cursor.peek() == b'"' {
            Cow::Borrowed(cell::id(self.cursor.str_value("expected a text")?))
        } else {
            let number = self.cursor.number("expected a text or a whole number")?;
            if number.is_plain() {
                Cow::Borrowed(str::from_utf8(number.token).expect("a number is ASCII"))
            } else {
                Cow::Owned(cell::id_of(number.value())?.expect("JSON has no other NaN"))
            }
        };
        if !text.is_empty() {
            let hash = stable_hash(bounded(text.as_bytes())?);
            let row = self.rows.len();
            column(self.rows).put(row, hash);
        }
        Ok(())
    }

    fn time(&mut self, format: TimeFormat) -> Result<(), Flaw> {
        let micros = if format == TimeFormat::Rfc3339 || self.cursor.peek() == b'"' {
            cell::dated(
                self.cursor.str_value("expected a time such as 2024-05-01T12:00:00Z")?,
                format,
                self.layout.clock.as_ref(),
            )?
        } else {
            let number = self.cursor.number("expected an epoch number")?;
            let micros = match number.integer() {
                Some(value) => time::from_integer(value, format),
                None => time::from_float(number.value(), format),
            };
            Some(micros.ok_or_else(|| Flaw::new(Poison::AbsurdTime, "a time beyond 64-bit microseconds"))?)
        };
        if let Some(micros) = micros {
            self.rows.event_time.put(self.rows.len(), micros);
        }
        Ok(())
    }

    fn truth(&mut self) -> Result<(), Flaw> {
        let is_number = matches!(self.cursor.peek(), b'-' | b'0'..=b'9');
        let value = if is_number && self.layout.positive.is_empty() {
            Some(self.cursor.float("expected a number or a boolean")?)
        } else {
            let classes = Classes { binary: true, positive: &self.layout.positive };
            let text = self.scalar("expected a number, a boolean or a text")?;
            classes.label(&text).map_err(Flaw::wrong_type)?
        };
        if let Some(value) = value {
            self.rows.put_number(LABEL, value);
        }
        Ok(())
    }

    fn class(&mut self, column: usize, binary: bool) -> Result<(), Flaw> {
        let classes = Classes { binary, positive: &self.layout.positive };
        let text = self.scalar("expected a number, a boolean or a text")?.into_owned();
        if let Some(class) = classes.class(&text) {
            self.rows.put_text(column, bounded(class.as_bytes())?);
        }
        Ok(())
    }

    fn best_score(&mut self, column: usize, depth: u32) -> Result<(), Flaw> {
        if let Some((_, score)) = self.best(depth)? {
            self.rows.put_number(column, score);
        }
        Ok(())
    }

    fn best_class(&mut self, column: usize, depth: u32) -> Result<(), Flaw> {
        if let Some((class, _)) = self.best(depth)? {
            self.rows.put_text(column, &class);
        }
        Ok(())
    }

    /// The first of the largest numbers of an object or a list, and its class.
    fn best(&mut self, depth: u32) -> Result<Option<(Vec<u8>, f64)>, Flaw> {
        const WANTED: &str = "expected an object of class to score, or a list of scores";
        check_depth(depth)?;
        let scores = match self.cursor.peek() {
            b'{' => self.scores(b'}')?,
            b'[' => self.scores(b']')?,
            b'"' => {
                let listed = cell::list(self.cursor.str_value(WANTED)?).ok_or_else(|| Flaw::wrong_type(WANTED))?;
                (0..).zip(listed).map(|(class, score): (usize, f64)| (class.to_string().into(), score)).collect()
            }
            _ => return Err(self.cursor.not(WANTED)),
        };
        Ok(cell::top(scores))
    }

    /// The numbers of an object, or of a list, whose classes are numbers.
    fn scores(&mut self, close: u8) -> Result<Vec<(Vec<u8>, f64)>, Flaw> {
        let mut scores: Vec<(Vec<u8>, f64)> = Vec::new();
        let mut more = self.cursor.first_member(close);
        while more {
            let class = if close == b'}' {
                let class = bounded(self.cursor.text_value("expected a class name")?)?.to_vec();
                self.cursor.colon()?;
                class
            } else {
                scores.len().to_string().into()
            };
            scores.push((class, self.cursor.float("expected a number per class")?));
            more = self.cursor.next_member(close)?;
        }
        Ok(scores)
    }

    fn status(&mut self) -> Result<(), Flaw> {
        let ok = &self.layout.ok;
        if !ok.is_empty() {
            let status = cell::named_status(&self.scalar("expected a status")?, ok);
            status.into_iter().for_each(|status| self.rows.status.put(self.rows.len(), status));
            return Ok(());
        }
        let value = match self.cursor.peek() {
            b'0'..=b'9' => Some(self.cursor.float("expected a status code")?),
            _ => cell::numeric(&self.scalar("expected a status code")?)?,
        };
        if let Some(value) = value {
            self.rows.status.put(self.rows.len(), status(value)?);
        }
        Ok(())
    }

    fn failed(&mut self) -> Result<(), Flaw> {
        let failed = cell::is_failure(&self.scalar("expected a boolean, a number or a text")?);
        self.rows.failed.put(self.rows.len(), failed);
        Ok(())
    }
}

/// Puts a text into the open row as a name or a category. The bytes must be UTF-8.
#[inline]
pub(super) fn put_name(rows: &mut RowBuilder, column: usize, text: &[u8]) -> Result<(), Flaw> {
    let text = bounded(text)?;
    // Only texts that end like this can be spelled in several ways.
    if matches!(text.last(), Some(b'0' | b'e' | b'E')) && is_category(column) {
        let text = str::from_utf8(text).expect("the record is UTF-8");
        rows.put_text(column, cell::category(text).as_bytes());
    } else if !(text.is_empty() && blank_is_missing(column)) {
        rows.put_text(column, text);
    }
    Ok(())
}

/// A text as JSON writes it.
pub(super) fn quoted(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).expect("a text is always JSON")
}

/// Refuses texts that are too long to be a name.
#[inline]
pub(super) fn bounded(text: &[u8]) -> Result<&[u8], Flaw> {
    if text.len() <= TEXT_BYTES_MAX {
        Ok(text)
    } else {
        Err(Flaw::new(Poison::TooLong, "a text of more than 512 bytes"))
    }
}

/// The place of a row in its record that was read as a number.
pub(super) fn row_number(value: f64) -> Result<f64, Flaw> {
    if value.fract() == 0.0 && (0.0..f64::from(ROWS_MAX)).contains(&value) {
        Ok(value)
    } else {
        Err(Flaw::new(Poison::OutOfRange, "expected the number of a row, from 0 to 65535"))
    }
}

/// A status code that was read as a number.
pub(super) fn status(value: f64) -> Result<i16, Flaw> {
    if value.fract() != 0.0 {
        return Err(Flaw::wrong_type("expected a whole status code"));
    }
    if !(f64::from(i16::MIN)..=f64::from(i16::MAX)).contains(&value) {
        return Err(Flaw::new(Poison::OutOfRange, "a status code beyond 16 bits"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
    Ok(value as i16)
}
