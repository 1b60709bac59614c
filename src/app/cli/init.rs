//! `haldane init`: a pipeline file from a sample of one's own data.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::print;
use crate::config::{RegistryConfig, SchemaFiles};
use crate::error::{Error, Result};
use crate::files::InputFiles;
use crate::init::{self, PipelineDraft, TopicSample};
use crate::kafka::ports::{SchemaLookup, Schemas as _};
use crate::registry::Registry;
use crate::replay::is_archive;

/// How a topic is named among files.
const TOPIC: &str = "kafka://";

/// Write a pipeline file from a sample of your own data.
#[derive(Debug, Args)]
#[command(
    after_help = "Columns are recognised by their names and by what they hold; every guess stands in the file with its \
reason. The result passes `haldane check` and replays the same files, or runs on the same topics.

Examples:
  haldane init predictions.parquet outcomes.parquet -o pipeline.yaml
  haldane init log.jsonl
  haldane init kafka://localhost:9092/predictions kafka://localhost:9092/outcomes -o pipeline.yaml
  haldane init --kafka login.yaml kafka://broker:9093/predictions -o pipeline.yaml

login.yaml, or any pipeline of that cluster; the result says the same, but no password:
  kafka:
    brokers: broker:9093
    security: { protocol: sasl_ssl, mechanism: SCRAM-SHA-512, username: haldane, password_env: KAFKA_PASSWORD }"
)]
pub struct InitArgs {
    /// Parquet, Arrow, CSV or JSON files of predictions and, if there are any, of labels; folders, patterns and pipes
    /// of them, packed by gzip or zstd or not; or topics of JSON, `CloudEvents`, Arrow IPC streams, OTLP, or Avro and
    /// Protobuf that name their schemas, as `kafka://HOST:PORT,HOST:PORT/TOPIC`.
    #[arg(required = true, value_name = "FILES")]
    pub files: Vec<PathBuf>,
    /// A file whose `kafka` section says how to log in: encryption, names and where the password is.
    #[arg(long, value_name = "FILE")]
    pub kafka: Option<PathBuf>,
    /// Where schemas are that records of topics name: the URL of a registry, or a folder of files such as `42.avsc` and
    /// `7.proto`.
    #[arg(long, value_name = "URL|FOLDER")]
    pub registry: Option<String>,
    /// The most events that are read of a topic.
    #[arg(long, value_name = "N", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub records: u32,
    /// How long a topic is read at most.
    #[arg(long, value_name = "S", default_value = "20", value_parser = clap::value_parser!(u16).range(1..))]
    pub seconds: u16,
    /// Where to write the pipeline; default: standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
}

/// Runs the command.
pub fn run(args: &InitArgs, out: &mut dyn Write) -> Result<()> {
    if let Some(path) = args.output.as_deref().filter(|path| path.exists() && !args.force) {
        return Err(
            Error::user(format!("{} is already there", path.display())).hint("name another file, or add --force")
        );
    }
    let topics = args.files.iter().filter_map(|file| topic(file)).collect::<Result<Vec<_>>>()?;
    let draft = match topics.len() {
        0 if args.kafka.is_some() => {
            return Err(
                Error::user("--kafka says how to reach topics, and no topic is named").hint("drop it, or name topics")
            );
        }
        0 => of_files(args)?,
        n if n == args.files.len() => of_topics(args, &topics)?,
        _ => return Err(Error::user("files and topics cannot be mixed").hint("name files, or topics")),
    };
    let Some(path) = &args.output else { return print(out, &draft.text) };
    std::fs::write(path, &draft.text).map_err(|error| {
        Error::user(format!("cannot write {}", path.display()))
            .because(error)
            .hint("check that the directory exists and may be written to")
    })?;
    let summary = draft.summary.iter().map(|line| format!("  {line}\n")).collect::<Vec<_>>().concat();
    let files = args.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ");
    let name = path.display();
    let last = if topics.is_empty() { format!("replay -c {name} {files}") } else { format!("run -c {name}") };
    print(out, &format!("{summary}written to {name}\nnext: haldane check -c {name}\n      haldane {last}\n"))
}

fn of_files(args: &InitArgs) -> Result<PipelineDraft> {
    let files = InputFiles::find(&args.files)?;
    let archived = files.paths().iter().map(|file| is_archive(file)).collect::<Result<Vec<_>>>()?;
    if !archived.contains(&true) {
        return init::draft(files.paths());
    }
    let mut samples = init::archive::read(files.paths(), args.records as usize)?;
    samples.iter_mut().try_for_each(|sample| learn(sample, args.registry.as_deref()))?;
    init::draft_topics(samples)
}

/// The brokers and the name of a topic, if it is one.
fn topic(file: &Path) -> Option<Result<(&str, &str)>> {
    let rest = file.to_str()?.strip_prefix(TOPIC)?;
    let named = rest.split_once('/').filter(|(brokers, topic)| !brokers.is_empty() && !topic.is_empty());
    Some(
        named.ok_or_else(|| {
            Error::user(format!("{} names no topic", file.display())).hint("write kafka://HOST:PORT/TOPIC")
        }),
    )
}

fn of_topics(args: &InitArgs, topics: &[(&str, &str)]) -> Result<PipelineDraft> {
    use crate::config::KafkaConfig;
    use crate::init::topic;
    use crate::kafka::Connection;
    let patience = std::time::Duration::from_secs(args.seconds.into());
    let way = args.kafka.as_deref().map_or_else(|| Ok(KafkaConfig::plain("", "haldane.init")), way)?;
    let read = |&(brokers, topic): &(&str, &str)| {
        let connection = Connection::open(&KafkaConfig { brokers: brokers.to_owned(), ..way.clone() })?;
        let mut sample = topic::read(&connection, topic, args.records as usize, patience)?;
        learn(&mut sample, args.registry.as_deref())?;
        Ok(sample)
    };
    init::draft_topics(topics.iter().map(read).collect::<Result<_>>()?)
}

/// Reads the records of a sample that name schemas.
///
/// # Errors
/// When nothing is known of these.
pub fn learn(sample: &mut TopicSample, place: Option<&str>) -> Result<()> {
    // The pipeline file may come to lie elsewhere.
    let absolute =
        |place: &str| std::path::absolute(place).map_or_else(|_| place.into(), |path| path.display().to_string());
    let place = place.map(|place| if place.contains("://") { place.to_owned() } else { absolute(place) });
    let config = place.as_deref().map(|place| {
        if place.contains("://") {
            RegistryConfig { url: Some(place.trim_end_matches('/').to_owned()), ..RegistryConfig::default() }
        } else {
            RegistryConfig { schemas: SchemaFiles::Folder(place.into()), ..RegistryConfig::default() }
        }
    });
    let registry = config.as_ref().map(Registry::open).transpose()?;
    let find = |id| match registry.as_ref()?.find(id) {
        SchemaLookup::Here(texts) => Some(texts),
        SchemaLookup::Missing | SchemaLookup::Away(_) => None,
    };
    sample.learn(place.as_deref(), &find)
}

/// How a file says that a cluster is reached. What it names by relative paths is near it, wherever the result will be.
fn way(path: &Path) -> Result<crate::config::KafkaConfig> {
    let unreadable = |error| {
        Error::user(format!("cannot read {}", path.display()))
            .because(error)
            .hint("--kafka names a file with a `kafka` section")
    };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let base = std::path::absolute(path).map_err(unreadable)?;
    crate::config::cluster(&text, &path.display().to_string(), base.parent().unwrap_or(Path::new("")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> InitArgs {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            init: InitArgs,
        }
        let words = ["init"].iter().chain(words);
        clap::Parser::try_parse_from(words).map_or_else(|error| panic!("{error}"), |Line { init }| init)
    }

    #[test]
    fn a_topic_is_known_by_its_scheme_and_has_brokers_and_a_name() {
        fn named(text: &str) -> Option<std::result::Result<(&str, &str), String>> {
            topic(Path::new(text)).map(|named| named.map_err(|error| error.to_string()))
        }
        assert_eq!(named("kafka://b:9092/p"), Some(Ok(("b:9092", "p"))));
        assert_eq!(named("kafka://a:1,b:2/p.q"), Some(Ok(("a:1,b:2", "p.q"))));
        for broken in ["kafka://", "kafka://b:9092", "kafka://b:9092/", "kafka:///p"] {
            assert_eq!(named(broken), Some(Err(format!("{broken} names no topic"))));
        }
        assert_eq!(named("p.parquet"), None);
        assert_eq!(named("folder/kafka://b/p"), None);
    }

    #[test]
    fn what_is_there_is_kept_and_files_and_topics_are_not_mixed() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("p.yaml");
        std::fs::write(&path, "mine").expect("a file");
        let file = path.display().to_string();
        let told = |words: &[&str]| run(&args(words), &mut Vec::new()).expect_err("refused").to_string();
        assert_eq!(told(&["a.csv", "-o", &file]), format!("{file} is already there"));
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "mine");
        assert_eq!(told(&["a.csv", "kafka://b:9092/p"]), "files and topics cannot be mixed");
        assert_eq!(told(&["a.csv", "--kafka", "k.yaml"]), "--kafka says how to reach topics, and no topic is named");
        assert!(told(&["a.csv", "-o", &file, "--force"]).starts_with("cannot read "), "it goes on");
    }

    #[test]
    fn a_file_that_says_how_a_cluster_is_reached_is_named_where_it_cannot_be_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let missing = dir.path().join("k.yaml");
        let error = way(&missing).map(|_| ()).expect_err("none");
        assert!(error.to_string().starts_with(&format!("cannot read {}: ", missing.display())));
        assert_eq!(error.advice(), Some("--kafka names a file with a `kafka` section"));
        std::fs::write(&missing, "kafka: { brokers: 'b:9092', group: g }\n").expect("a file");
        let found = way(&missing).expect("a cluster");
        assert_eq!((found.brokers.as_str(), found.group.as_str()), ("b:9092", "g"));
    }
}
