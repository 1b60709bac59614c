//! Integration tests, in one binary.

mod replay_laws;
mod world;
