//! Integration tests, in one binary.
#![expect(unreachable_pub, reason = "test modules share items; nothing outside can reach them anyway")]

mod broker;
mod config;
mod decode;
mod decode_columnar;
mod decode_oracle;
mod demo;
mod envelope;
mod flights;
mod kafka;
mod live;
mod one_log;
mod oracle;
mod recorded;
mod replay;
mod replay_laws;
mod run;
mod sample;
mod schema;
mod serve;
mod telemetry;
mod tidy;
mod world;
