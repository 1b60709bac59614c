//! Integration tests, in one binary.

mod decode;
mod decode_columnar;
mod decode_oracle;
mod flights;
mod replay;
mod replay_laws;
mod tidy;
mod world;
