//! Pipeline files: what a user writes (`document`), and the plan it means (`resolve`).

mod document;
mod kafka;
mod problem;
mod source;
mod value;

pub use kafka::{KafkaConfig, Mechanism, Protocol, Role, Secret, Security, Topics};

#[cfg(test)]
mod tests {
    #[test]
    fn probe() {
        for text in [
            "sources: {}\nfoo: 1\n",
            "sources:\n  predictions:\n    topicx: a\n",
            "sources:\n  predictions:\n    topic: a\n",
            "sources:\n  predictions:\n    topic: a\n    id: b\n    version: v\n    score: {path: a, rang: [0,1]}\n",
            "sources:\n  predictions:\n    topic: a\n    id: b\n    version: v\n    score: {path: a, range: [0,x]}\n",
            "sources:\n  predictions:\n    topic: a\n    id: b\n    version: v\n    score: a..b\n",
            "sources:\n  predictions:\n    topic: a\n    id: b\n    version: v\n    score: 1\n",
            "sources:\n  predictions:\n    topic: a\n    id: b\n    version: {constant: 1}\n    features: {numeric: [a, b..c]}\n",
            "sources:\n  predictions:\n    topic: a\n    id: b\n    version: {constant: 1}\n    features: {numeric: {a: b, a: c}}\n",
            "sources: {}\nwindows: {size: 5x}\n",
            "sources: {}\nwindows: {size: 5}\n",
            "sources: {}\nwindows: {jump_confirmations: -1}\n",
            "sources: {}\ntask: binray\n",
            "sources: {}\nmetrics: {names: al}\n",
            "sources: {}\nmetrics: {names: all, compat: [evidenly]}\n",
            "sources: {}\nmetrics: {names: [a, b]}\npolicy:\n  - {name: x, metric: y, above: 1, action: hold, cap: 5%}\n  - {name: x, metric: y, above: 1, actio: hold}\n",
            "sources: {}\n\tx: 1\n",
            "sources: {\n",
            "",
            "- a\n",
            "sources: {}\n---\nx: 1\n",
            "sources: {}\npolicy:\n",
            "sources: {}\nkafka: {brokers: }\n",
            "sources: {}\nmetrics: {names: [a, b]}\npolicy:\n  - {name: x, metric: y, above: 1, action: hold, cap: 5%}\n",
        ] {
            let result = serde_saphyr::from_str::<super::document::Document>(text);
            match result {
                Ok(d) => println!("OK {d:?}"),
                Err(e) => println!("{text}--> {:?}\n    {:?}\n", e.without_snippet(), e.location().map(super::problem::Spot::from)),
            }
        }
    }
}
