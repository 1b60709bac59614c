//! Whether everything that goes wrong is told, once: worlds in which ten faults overlap (`haldane::sim::CROWD`).
//!
//! Four are the world's, five the candidate's, and one is a true difference that harms nobody and restricts the
//! candidate from its first day. Each world is judged with a pipeline made of nothing but its columns' names.
//!
//! `cargo bench --bench episodes -- [--seeds N] [--seed S] [--rates 2000,500] [--messages]`: worlds seeded S, S + 1, …,
//! with so many requests an hour of either version; `--messages` prints what was said.

#[path = "common/arguments.rs"]
mod arguments;
#[path = "common/crowd.rs"]
mod crowd;

use arguments::{has, is_measuring, option};

fn main() {
    let seeds: u64 = option("--seeds").unwrap_or(if is_measuring() { 10 } else { 1 });
    let first: u64 = option("--seed").unwrap_or(1);
    let rates = option("--rates").map_or((2000, 500), |text: String| rates(&text));
    println!(
        "{:>6} {:>9} {:>6} {:>8} {:>11}  windows from when it could be known, by fault",
        "seed", "messages", "told", "repeats", "wrong side"
    );
    for seed in first..first + seeds {
        let told = crowd::tell(seed, if is_measuring() { 48 } else { 30 }, rates);
        let delays: Vec<String> =
            told.delays.iter().map(|delay| delay.map_or("-".to_owned(), |n| n.to_string())).collect();
        let (messages, found) = (told.messages.len(), told.delays.iter().flatten().count());
        println!(
            "{seed:>6} {messages:>9} {found:>6} {:>8} {:>11}  {}",
            told.repeats,
            told.wrong_side,
            delays.join(" ")
        );
        if has("--messages") {
            told.messages.iter().for_each(|message| println!("       {message}"));
        }
    }
}

fn rates(text: &str) -> (u32, u32) {
    let parsed = text.split_once(',').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    parsed.unwrap_or_else(|| panic!("--rates {text}: two numbers, such as 2000,500"))
}
