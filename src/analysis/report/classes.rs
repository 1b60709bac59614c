//! How well each of several classes is told, on both sides.

use std::collections::BTreeSet;

use super::figures::rate;
use super::model::{ClassRates, Rate};
use crate::infer::multiplicity::bh;
use crate::summary::Quality;
use crate::summary::classes::ClassCounts;

/// False discoveries among classes that are called worse.
const WORSE_FALSELY: f64 = 0.05;

/// Recall and precision by class, first those that fell most.
pub(super) fn rates([reference, current]: [&Quality; 2]) -> Vec<ClassRates> {
    let names: BTreeSet<&str> =
        [reference, current].into_iter().flat_map(|side| side.classes.iter()).map(|(class, _)| class).collect();
    let of = |class: &str, counted: fn(ClassCounts) -> u64| {
        [reference, current].map(|side| side.classes.of(class)).map(|counts| (counts.right, counted(counts)))
    };
    let both = |class: &str| ClassRates {
        class: class.to_owned(),
        recall: rate("recall", of(class, |counts| counts.labelled)),
        precision: rate("precision", of(class, |counts| counts.answered)),
        worse: Vec::new(),
    };
    let mut classes: Vec<ClassRates> = names.into_iter().map(both).collect();
    tell_worse(&mut classes);
    classes.sort_by(|a, b| fall(a).total_cmp(&fall(b)));
    classes
}

/// The largest fall of a class, below 0.
fn fall(class: &ClassRates) -> f64 {
    let falls = [&class.recall, &class.precision].map(|rate| rate.apart.as_ref().map_or(0.0, |apart| apart.difference));
    falls[0].min(falls[1])
}

/// Says what is lower than in the reference by more than chance, over all classes together.
fn tell_worse(classes: &mut [ClassRates]) {
    let p_value = |rate: &Rate| rate.apart.as_ref().map_or(1.0, |apart| apart.fisher_p_value);
    let p_values: Vec<f64> =
        classes.iter().flat_map(|class| [p_value(&class.recall), p_value(&class.precision)]).collect();
    for place in bh(&p_values, WORSE_FALSELY) {
        let class = &mut classes[place / 2];
        let rate = if place % 2 == 0 { &class.recall } else { &class.precision };
        if rate.apart.as_ref().is_some_and(|apart| apart.difference < 0.0) {
            class.worse.push(rate.metric.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels of three classes, so many of which are answered with the next one.
    fn side(missed: [u32; 3]) -> Quality {
        let names = ["ant", "bee", "cat"];
        let mut quality = Quality::default();
        for (class, missed) in missed.into_iter().enumerate() {
            for n in 0..200 {
                quality.classes.count(names[class], names[(class + usize::from(n < missed)) % 3]);
            }
        }
        quality
    }

    #[test]
    fn classes_that_fell_come_first_and_are_called_worse_beyond_chance() {
        let found = rates([&side([20, 20, 20]), &side([20, 70, 25])]);
        let told: Vec<(&str, Vec<&str>)> =
            found.iter().map(|one| (one.class.as_str(), one.worse.iter().map(String::as_str).collect())).collect();
        assert_eq!(told, [("bee", vec!["recall"]), ("cat", vec!["precision"]), ("ant", vec![])]);
        let [reference, current] =
            [&found[0].recall.reference, &found[0].recall.current].map(|one| one.map(|e| e.value));
        assert_eq!((reference, current, found[0].recall.n), (Some(0.9), Some(0.65), 200));
        assert_eq!(found[1].precision.n, 245, "175 cats of 200, and 70 bees");
    }

    #[test]
    fn a_class_of_one_side_alone_is_told_of_and_is_no_worse() {
        let mut reference = Quality::default();
        reference.classes.count("ant", "ant");
        let found = rates([&reference, &side([0, 0, 0])]);
        assert_eq!(found.iter().map(|one| one.class.as_str()).collect::<Vec<_>>(), ["ant", "bee", "cat"]);
        assert!(found[1].recall.reference.is_none() && found.iter().all(|one| one.worse.is_empty()), "{found:?}");
    }
}
