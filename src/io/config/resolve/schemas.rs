//! What knows the schemas of records.

use std::path::Path;

use crate::config::document::Document;
use crate::config::message::SchemaSection;
use crate::config::problem::{Problems, Spot};
use crate::config::value::At;
use crate::decode::protobuf::OTLP;
use crate::plan::{Format, Frame, Mapping, MessageSchema, SourcePlan};

/// A source that knows what names the schemas of its records, and what they are where nothing does.
pub(super) fn known(
    source: SourcePlan,
    said: Option<&At<SchemaSection>>,
    (document, base): (&Document, &Path),
    spot: Spot,
    problems: &mut Problems,
) -> SourcePlan {
    if source.format == Format::Otlp && said.is_none() {
        return of_otlp(source, spot, problems);
    }
    if let Some(said) = said.filter(|_| source.format != Format::Protobuf) {
        problems
            .add(said.spot, "`schema` is about records of Protobuf")
            .help("add `format: protobuf`, or leave `schema` out; `registry` knows the schemas of Avro");
        return source;
    }
    let schema = said.map(|said| said.value.resolve(base, problems));
    let is_bare = said.is_some_and(|said| said.file.is_some());
    let may_have = matches!(source.format, Format::Avro | Format::Json | Format::Protobuf) && !is_bare;
    let frame = document.registry.as_ref().filter(|_| may_have).map(|registry| registry.frame);
    if !is_bare {
        check(source.format, frame, spot, problems);
    }
    SourcePlan { mapping: Mapping { frame, schema, ..source.mapping }, ..source }
}

/// A source of requests of OpenTelemetry, whose schema is known: of traces or of logs, as its rows say.
fn of_otlp(source: SourcePlan, spot: Spot, problems: &mut Problems) -> SourcePlan {
    let lists = source.mapping.lists();
    let message = match lists.first().and_then(|list| list.first()) {
        Some("resourceSpans") => "Traces",
        Some("resourceLogs") => "Logs",
        _ => {
            problems.add(spot, "records of OTLP, and nothing that says whether they are traces or logs").help(
                "add `rows: resourceSpans[*].scopeSpans[*].spans[*]` or `rows: \
                 resourceLogs[*].scopeLogs[*].logRecords[*]`",
            );
            return source;
        }
    };
    let schema = Some(MessageSchema { texts: vec![OTLP.to_owned()], message: Some(message.to_owned()) });
    SourcePlan { mapping: Mapping { schema, ..source.mapping }, ..source }
}

/// Whether schemas are known where records name them.
fn check(format: Format, frame: Option<Frame>, spot: Spot, problems: &mut Problems) {
    let (what, help) = match (format, frame) {
        (Format::Avro, None) => (
            "records of Avro, and nothing that knows their schemas",
            "add `registry: { url: … }`, or `registry: { schemas: folder }` with files of schemas",
        ),
        (Format::Protobuf, None) => (
            "records of Protobuf, and nothing that knows their schemas",
            "add `registry: { url: … }`, or to this section `schema: { file: scored.proto, message: Scored }`",
        ),
        (Format::Protobuf, Some(Frame::Glue)) => (
            "records of Protobuf in frames of AWS Glue, which are not read",
            "name another `frame`, or add `schema: { file: … }` where records have none",
        ),
        _ => return,
    };
    problems.add(spot, what).help(help);
}
