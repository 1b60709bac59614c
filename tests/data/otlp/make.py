"""Requests of OpenTelemetry's exporters as the SDK fills them, one per file, in the JSON of OTLP and in protobuf.

python -m venv o && o/bin/pip install opentelemetry-sdk==1.45.2 opentelemetry-exporter-otlp-proto-common==1.45.2
o/bin/python make.py
"""

import base64
import json
import pathlib

from google.protobuf.json_format import MessageToDict
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Status, StatusCode

HERE = pathlib.Path(__file__).parent
START = 1_785_585_600_000_000_000
MILLISECOND = 1_000_000


class Ids(RandomIdGenerator):
    """Ids that are the same each time."""

    def __init__(self):
        self.n = 0

    def generate_span_id(self):
        self.n += 1
        return self.n

    def generate_trace_id(self):
        self.n += 1
        return self.n << 64 | self.n


def in_hex(value):
    """OTLP writes ids in hex where protobuf's own JSON has base64 (opentelemetry-proto, "JSON Protobuf Encoding")."""
    if isinstance(value, dict):
        ids = ("traceId", "spanId", "parentSpanId")
        return {key: base64.b64decode(part).hex() if key in ids else in_hex(part) for key, part in value.items()}
    return [in_hex(part) for part in value] if isinstance(value, list) else value


def keep(name, message):
    written = in_hex(MessageToDict(message, use_integers_for_enums=True))
    (HERE / f"{name}.json").write_text(json.dumps(written, separators=(",", ":")))
    (HERE / f"{name}.pb").write_bytes(message.SerializeToString(deterministic=True))


def resource(service):
    return Resource({"service.name": service, "service.version": "7"})


def spans():
    exporter = InMemorySpanExporter()
    for service in ["support", "search"]:
        provider = TracerProvider(resource=resource(service), id_generator=Ids(), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        for scope in ["genai", "http"]:
            tracer = provider.get_tracer(scope, "1.2")
            for n in range(3):
                at = START + n * 1_000 * MILLISECOND
                span = tracer.start_span("chat gpt", start_time=at)
                if scope == "genai":
                    span.set_attributes({
                        "gen_ai.operation.name": "chat",
                        "gen_ai.request.model": "gpt",
                        "gen_ai.response.model": ["gpt-1", "gpt-2"][n % 2],
                        "gen_ai.response.id": f"chatcmpl-{service}-{n}",
                        "gen_ai.response.finish_reasons": ["stop"],
                        "gen_ai.usage.input_tokens": 100 + n,
                        "gen_ai.usage.output_tokens": 20 + n,
                    })
                if n == 2:
                    span.set_attribute("error.type", "timeout")
                    span.set_status(Status(StatusCode.ERROR, "timeout"))
                span.end(at + (n + 1) * MILLISECOND)
    keep("spans", encode_spans(exporter.get_finished_spans()))


def logs():
    exporter = InMemoryLogRecordExporter()
    for service in ["support", "search"]:
        provider = LoggerProvider(resource=resource(service), shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        logger = provider.get_logger("judge")

        def emit(n, name, attributes):
            at = START + n * 1_000 * MILLISECOND
            logger.emit(LogRecord(timestamp=at, observed_timestamp=at, severity_number=SeverityNumber.INFO,
                                  event_name=name, attributes=attributes))

        for n in range(3):
            emit(n, "gen_ai.evaluation.result", {
                "gen_ai.evaluation.name": "relevance",
                "gen_ai.evaluation.score.value": 0.25 * n,
                "gen_ai.evaluation.score.label": "relevant" if n > 1 else "not_relevant",
                "gen_ai.response.id": f"chatcmpl-{service}-{n}",
            })
            emit(n, "feature_flag.evaluation", {
                "feature_flag.key": "ranker",
                "feature_flag.provider.name": "flagd",
                "feature_flag.result.variant": ["stable", "candidate"][n % 2],
                "feature_flag.result.reason": "split",
                "feature_flag.context.id": f"user-{n}",
            })
    keep("logs", encode_logs(exporter.get_finished_logs()))


spans()
logs()
