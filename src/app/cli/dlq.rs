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

    /// Calls `take` with every letter that is asked for, and warns of records that are no letters.
    fn each(&self, kafka: &KafkaConfig, mut take: impl FnMut(DeadLetter)) -> Result<()> {
        let (connection, now) = (Connection::open(kafka)?, wall_clock());
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
    selection.each(&selection.open()?.1, |letter| {
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
    selection.each(&selection.open()?.1, |letter| {
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
    let text = match std::str::from_utf8(shown) {
        Ok(text) if !text.contains(|letter: char| letter.is_control() && !letter.is_whitespace()) => {
            text.escape_debug().to_string().replace("\\\"", "\"")
        }
        _ => shown.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
    };
    if shown.len() < bytes.len() { format!("{text}… ({} bytes)", count(bytes.len() as u64)) } else { text }
}

fn redrive(selection: &LetterSelection, yes: bool, out: &mut dyn Write) -> Result<()> {
    let (pipeline, kafka) = selection.open()?;
    let is_whole = |letter: &DeadLetter| letter.cut_from.is_none();
    // Whatever a header says, nothing goes to other topics, such as that of commands.
    let is_input = |letter: &DeadLetter| pipeline.plan.sources.iter().any(|source| source.topic == letter.source.0);
    // What is refused again is not sent in turn: the way ends where the topic ended at first.
    let (mut ends, mut sent, mut cut, mut foreign) = (BTreeMap::new(), 0_u64, 0_u64, 0_u64);
    selection.each(&kafka, |letter| {
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
    selection.each(&kafka, |letter| {
        let is_meant = ends.get(&letter.place.0).is_some_and(|end| letter.place.1 <= *end);
        if is_meant && is_input(&letter) && is_whole(&letter) && failure.is_none() {
            failure = letter.redrive(&producer).err();
        }
    })?;
    failure.map_or(Ok(()), Err)?;
    producer.settle()?;
    print(out, &format!("sent back: {}{stay}\n", plural(sent, "record")))
}
