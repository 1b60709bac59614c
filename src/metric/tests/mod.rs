//! What holds for every metric, and what each must give for known inputs.

mod cut;
mod law;
mod reference;
mod size;
mod world;
