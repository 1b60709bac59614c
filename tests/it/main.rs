//! Integration tests, in one binary.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::doc_markdown,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "tests work on small numbers they made themselves, fail loudly, and share items nobody else can reach"
)]

mod act;
mod act_alerts;
mod act_exposure;
mod act_role;
mod act_targets;
mod alerts;
mod api;
mod archive;
mod authority;
mod avro;
mod broker;
mod browser;
#[cfg(feature = "s3")]
mod bucket;
#[cfg(all(feature = "pg", target_os = "linux"))]
mod cancel;
mod cells;
mod classes;
#[cfg(feature = "ballista")]
mod cluster;
mod columns;
mod command;
mod command_replay;
mod compaction;
mod config;
mod corrections;
#[path = "../../benches/common/counting.rs"]
mod counting;
mod dashboard;
mod decode;
mod decode_columnar;
mod decode_oracle;
mod demo;
mod dependencies;
mod detect;
mod diff;
mod distances;
mod dlq;
mod doctor;
mod entrance;
mod envelope;
mod episodes;
mod explain;
mod failover;
mod files;
mod flagd;
mod flagger;
mod flights;
mod formats;
mod fuzz;
mod fuzz_service;
mod gate;
mod generate;
mod grafana;
mod heap;
mod helm;
mod http;
mod init;
mod init_laws;
mod kafka;
mod kayenta;
mod known;
mod lists;
mod live;
mod live_store;
mod log_faults;
mod losses;
mod many_rows;
mod maturity;
mod memory;
mod model_servers;
mod mutants;
mod named;
mod nested_rows;
mod notify;
mod oauth;
mod one_answer;
mod one_log;
mod one_topic;
mod open_inference;
mod oracle;
mod otlp;
mod outage;
mod passed;
mod pipeline_diff;
mod pipeline_versions;
#[cfg(feature = "pg")]
mod postgres;
#[cfg(feature = "pg")]
mod postgres_login;
mod power;
mod printed;
mod prose;
mod protobuf;
mod recorded;
#[cfg(feature = "query")]
mod registry;
#[cfg(feature = "query")]
mod registry_double;
mod release;
mod release_note;
mod replay;
mod replay_laws;
mod report;
mod report_events;
mod run;
mod runbooks;
mod sample;
mod schema;
mod secrets;
mod selected;
mod serve;
mod service;
mod shadow;
#[cfg(feature = "query")]
mod sql;
#[cfg(feature = "query")]
mod sql_files;
mod stage;
mod store;
mod systemd;
mod telemetry;
mod throttled;
mod tidy;
mod timeouts;
mod tls;
mod tolerance;
mod trust;
mod upgrade;
mod verdict;
mod webdriver;
mod world;
mod zones;
