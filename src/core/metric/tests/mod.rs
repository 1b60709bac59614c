//! What holds for every metric, and what each must give for known inputs.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "small counts, and numbers that must be equal to the last bit"
)]

mod away;
mod bound;
mod by_hand;
mod cut;
mod law;
mod reference;
mod size;
mod world;
