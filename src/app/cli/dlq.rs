//! `haldane dlq`: what was refused, record by record, and the way back once the cause is mended.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{command, print};
use crate::config::{self, KafkaConfig, Pipeline, span};
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::kafka::Connection;
use crate::kafka::clock::wall_clock;
use crate::kafka::dead_letter::{self, DeadLetter};
use crate::kafka::producer::Producer;
use crate::output::count;
use crate::output::text::{aligned, instant, plural};

/// So much of a payload is shown.
const SHOWN_BYTES_MAX: usize = 2_000;

/// What to do with records that were refused.
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// Count them by topic and reason, with an example of each.
    #[command(after_help = "Examples:
  haldane dlq list -c pipelines/fraud.yaml
  haldane dlq list -c pipelines/fraud.yaml --since 2h")]
    List(LetterSelection),
    /// Print them with their payloads, the newest last.
    #[command(after_help = "Examples:
  haldane dlq show -c pipelines/fraud.yaml --reason missing_field --last 3")]
    Show {
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 10)]
        last: usize,
        /// Which of them.
        #[command(flatten)]
        selection: LetterSelection,
    },
    /// Send them back to the partitions that they came from.
    ///
    /// A record of several rows goes back as a whole; those that were counted before are recognised by their ids, where
    /// the source has any. What is refused again comes back as a new letter, whose header `haldane.redriven` says how
    /// often that was.
    #[command(after_help = "Examples:
  haldane dlq redrive -c pipelines/fraud.yaml --reason missing_field --since 2h
  haldane dlq redrive -c pipelines/fraud.yaml --reason missing_field --since 2h --yes")]
    Redrive {
        /// Do it; without this, what would be sent is counted.
        #[arg(long)]
        yes: bool,
        /// Which of them.
        #[command(flatten)]
        selection: LetterSelection,
    },
}

/// Which of them.
#[derive(Debug, Args)]
pub struct LetterSelection {
    /// Pipeline file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Only those with this reason.
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// Only those that came from this topic.
    #[arg(long, value_name = "TOPIC")]
    source: Option<String>,
    /// Only those that were refused since then, as `2h` or `30m` ago.
    #[arg(long, value_name = "TIME", value_parser = span)]
    since: Option<Micros>,
}

impl LetterSelection {
    fn open(&self) -> Result<(Pipeline, KafkaConfig)> {
        let pipeline = config::load(&self.config)?;
        let kafka = command::cluster(&pipeline, &self.config)?;
        Ok((pipeline, kafka))
    }

    fn has(&self, letter: &DeadLetter, now: Micros) -> bool {
        let is = |asked: &Option<String>, value: &str| asked.as_ref().is_none_or(|asked| asked == value);
        is(&self.reason, &letter.reason)
            && is(&self.source, &letter.source.0)
            && self.since.is_none_or(|since| letter.time >= now - since)
    }

    /// Calls `take` with every letter that is asked for at a time, and warns of records that are no letters.
    fn each(&self, kafka: &KafkaConfig, now: Micros, mut take: impl FnMut(DeadLetter)) -> Result<()> {
        let connection = Connection::open(kafka)?;
        let others = dead_letter::read(&connection, &kafka.topics.dead_letter, |letter| {
            if self.has(&letter, now) {
                take(letter);
            }
        })?;
        if others > 0 {
            tracing::warn!(records = others, topic = kafka.topics.dead_letter, "some records are no dead letters");
        }
        Ok(())
    }
}

/// Runs the command.
pub fn run(command: &DlqCommand, out: &mut dyn Write) -> Result<()> {
    match command {
        DlqCommand::List(selection) => list(selection, out),
        DlqCommand::Show { last, selection } => show(selection, *last, out),
        DlqCommand::Redrive { yes, selection } => redrive(selection, *yes, out),
    }
}

/// Letters of one topic and reason.
struct LetterGroup {
    n: u64,
    newest: DeadLetter,
}

fn list(selection: &LetterSelection, out: &mut dyn Write) -> Result<()> {
    let mut kinds: BTreeMap<(String, String), LetterGroup> = BTreeMap::new();
    selection.each(&selection.open()?.1, wall_clock(), |letter| {
        let of = (letter.source.0.clone(), letter.reason.clone());
        let n = kinds.get(&of).map_or(0, |kind| kind.n) + 1;
        kinds.insert(of, LetterGroup { n, newest: letter });
    })?;
    let head = ["topic", "reason", "records", "newest", "example"].map(str::to_owned);
    let line = |((topic, reason), LetterGroup { n, newest }): (&(String, String), &LetterGroup)| {
        let (_, partition, offset) = &newest.source;
        let example = format!("partition {partition}, offset {offset}: {}", newest.detail);
        [topic.clone(), reason.clone(), count(*n), instant(newest.time), example]
    };
    let lines: Vec<_> = std::iter::once(head).chain(kinds.iter().map(line)).collect();
    print(out, &if kinds.is_empty() { "no dead letters\n".to_owned() } else { aligned(&lines, 0) })
}

fn show(selection: &LetterSelection, last: usize, out: &mut dyn Write) -> Result<()> {
    let mut newest = VecDeque::new();
    selection.each(&selection.open()?.1, wall_clock(), |letter| {
        newest.push_back(letter);
        if newest.len() > last {
            newest.pop_front();
        }
    })?;
    newest.iter().try_for_each(|letter| print(out, &told(letter)))
}

fn told(letter: &DeadLetter) -> String {
    let DeadLetter { place, source, row, .. } = letter;
    let part =
        |name: &str, bytes: Option<&[u8]>| format!("{name}: {}", bytes.map_or_else(|| "none".to_owned(), readable));
    let mut lines = vec![
        format!("{} {}: {}", instant(letter.time), letter.reason, letter.detail),
        format!(
            "from {}, partition {}, offset {}, row {row}; here partition {}, offset {}",
            source.0, source.1, source.2, place.0, place.1
        ),
        part("key", letter.key.as_deref()),
    ];
    lines.extend(letter.headers.iter().map(|(name, value)| part(&format!("header {name}"), Some(value))));
    lines.push(part("payload", letter.payload.as_deref()));
    lines.extend(letter.cut_from.iter().map(|bytes| format!("only the beginning of {bytes} bytes was kept")));
    lines.join("\n  ") + "\n"
}

/// Bytes as a text on one line, if they are one, else in hexadecimal digits.
fn readable(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    // A letter that the end cuts in two makes no other text of what stands before it.
    let shown = match std::str::from_utf8(shown) {
        Err(error) if error.error_len().is_none() && shown.len() < bytes.len() => &shown[..error.valid_up_to()],
        _ => shown,
    };
    let text = match std::str::from_utf8(shown) {
        Ok(text) if !text.contains(|letter: char| letter.is_control() && !letter.is_whitespace()) => {
            text.escape_debug().to_string().replace("\\\"", "\"")
        }
        _ => shown.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
    };
    if shown.len() < bytes.len() { format!("{text}… ({} bytes)", count(bytes.len() as u64)) } else { text }
}

fn redrive(selection: &LetterSelection, yes: bool, out: &mut dyn Write) -> Result<()> {
    let ((pipeline, kafka), now) = (selection.open()?, wall_clock());
    let is_whole = |letter: &DeadLetter| letter.cut_from.is_none();
    // Whatever a header says, nothing goes to other topics, such as that of commands.
    let is_input = |letter: &DeadLetter| pipeline.plan.sources.iter().any(|source| source.topic == letter.source.0);
    // What is refused again is not sent in turn: the way ends where the topic ended at first.
    let (mut ends, mut sent, mut cut, mut foreign) = (BTreeMap::new(), 0_u64, 0_u64, 0_u64);
    selection.each(&kafka, now, |letter| {
        ends.insert(letter.place.0, letter.place.1);
        *match (is_input(&letter), is_whole(&letter)) {
            (false, _) => &mut foreign,
            (true, false) => &mut cut,
            (true, true) => &mut sent,
        } += 1;
    })?;
    let stay = [(cut, "too long to be whole here"), (foreign, "of topics that this pipeline does not read")];
    let stay = stay.iter().filter(|(n, _)| *n > 0).map(|(n, why)| format!("; {} {why} stay", count(*n)));
    let stay: String = stay.collect();
    if !yes {
        return print(out, &format!("{} would be sent back{stay}; --yes does it\n", plural(sent, "record")));
    }
    let producer = Producer::open(&Connection::open(&kafka)?)?;
    let mut failure: Option<Error> = None;
    selection.each(&kafka, now, |letter| {
        let is_meant = ends.get(&letter.place.0).is_some_and(|end| letter.place.1 <= *end);
        if is_meant && is_input(&letter) && is_whole(&letter) && failure.is_none() {
            failure = letter.redrive(&producer).err();
        }
    })?;
    failure.map_or(Ok(()), Err)?;
    producer.settle()?;
    print(out, &format!("sent back: {}{stay}\n", plural(sent, "record")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> DeadLetter {
        DeadLetter {
            place: (1, 42),
            time: 1_700_000_000_000_000,
            reason: "missing_field".to_owned(),
            detail: "no `id`".to_owned(),
            source: ("p".to_owned(), 3, 77),
            row: "0".to_owned(),
            key: Some(b"k".to_vec()),
            payload: Some(b"{}".to_vec()),
            cut_from: None,
            redriven: 0,
            headers: Vec::new(),
        }
    }

    #[test]
    fn bytes_are_shown_as_a_text_on_one_line_where_they_are_one() {
        let cases: [(&[u8], &str); 8] = [
            (b"", ""),
            (b"{\"a\": 1}", "{\"a\": 1}"),
            (b"a\nb\tc\r", "a\\nb\\tc\\r"),
            ("é 漢 😀".as_bytes(), "é 漢 😀"),
            (b"a\\b'", "a\\\\b\\'"),
            (b"a\x00b", "61 00 62"),
            (b"a\x1b[31m", "61 1b 5b 33 31 6d"),
            (b"\xff\xfe", "ff fe"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(readable(bytes), shown, "{bytes:?}");
        }
    }

    #[test]
    fn a_long_payload_is_cut_between_two_letters() {
        assert_eq!(readable(&[b'x'; SHOWN_BYTES_MAX]), "x".repeat(SHOWN_BYTES_MAX));
        assert_eq!(readable(&[b'x'; SHOWN_BYTES_MAX + 1]), format!("{}… (2,001 bytes)", "x".repeat(SHOWN_BYTES_MAX)));
        // Three bytes each, of which 2,000 is no multiple.
        let letters = "漢".repeat(SHOWN_BYTES_MAX);
        assert_eq!(readable(letters.as_bytes()), format!("{}… (6,000 bytes)", "漢".repeat(SHOWN_BYTES_MAX / 3)));
        let mut cut_off = "漢".as_bytes().to_vec();
        cut_off.pop();
        assert_eq!(readable(&cut_off), "e6 bc", "nothing was left out of what is no text");
        let noise = [0xff; SHOWN_BYTES_MAX + 1];
        assert!(readable(&noise).ends_with("ff ff… (2,001 bytes)"));
    }

    #[test]
    fn a_letter_says_where_it_comes_from_and_what_was_left_out() {
        let whole = told(&letter());
        assert_eq!(
            whole,
            "2023-11-14 22:13:20 UTC missing_field: no `id`\n  from p, partition 3, offset 77, row 0; \
             here partition 1, offset 42\n  key: k\n  payload: {}\n"
        );
        let headers = vec![("trace".to_owned(), b"\x01".to_vec()), ("trace".to_owned(), b"x".to_vec())];
        let cut = DeadLetter { key: None, payload: None, cut_from: Some("1000000".to_owned()), headers, ..letter() };
        let lines: Vec<String> = told(&cut).lines().skip(2).map(|line| line.trim().to_owned()).collect();
        let expected = [
            "key: none",
            "header trace: 01",
            "header trace: x",
            "payload: none",
            "only the beginning of 1000000 bytes was kept",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn letters_are_asked_for_by_reason_topic_and_age_together() {
        let all = || LetterSelection { config: PathBuf::new(), reason: None, source: None, since: None };
        let (letter, now) = (letter(), letter().time + 100);
        let some = |text: &str| Some(text.to_owned());
        let cases = [
            (all(), true),
            (LetterSelection { reason: some("missing_field"), ..all() }, true),
            (LetterSelection { reason: some("malformed"), ..all() }, false),
            (LetterSelection { source: some("p"), ..all() }, true),
            (LetterSelection { source: some("o"), ..all() }, false),
            (LetterSelection { since: Some(100), ..all() }, true),
            (LetterSelection { since: Some(99), ..all() }, false),
            (LetterSelection { reason: some("missing_field"), source: some("o"), ..all() }, false),
            (LetterSelection { source: some("p"), since: Some(99), ..all() }, false),
        ];
        for (selection, expected) in cases {
            assert_eq!(selection.has(&letter, now), expected, "{selection:?}");
        }
    }
}
