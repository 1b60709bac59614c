//! Integration tests, in one binary.

mod replay;
mod replay_laws;
mod tidy;
mod world;
