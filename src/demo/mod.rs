//! A whole canary rollout on this machine: an in-process broker, made-up traffic, the real Kafka shell and engine over it.

pub mod traffic;
