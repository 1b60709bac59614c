//! Tests of the rollout state machine.
