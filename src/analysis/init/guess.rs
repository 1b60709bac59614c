//! What every column is for, by its name and its shape, each guess with its reason.

use super::classes::ClassColumns;
use super::clues::{CLUES, FIELDS_MAX, TIME_NAMES};
use super::facts::{FactKind, Facts};
use super::sample::is_attribute;
use crate::plan::{Side, Task, TimeFormat};

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// When it happened.
    Time(TimeFormat),
    /// When it arrived.
    Arrival,
    /// Which prediction.
    Id,
    /// Who asked.
    Entity,
    /// Which model.
    Model,
    /// Which version of it.
    Version,
    /// A way to split traffic.
    Segment,
    /// The answer: a probability or a quantity.
    Score,
    /// The class that was answered.
    Predicted,
    /// The truth.
    Label,
    /// How long it took, in this unit.
    Latency(&'static str),
    /// How it was answered.
    Status,
    /// Whether it failed.
    Failed,
    /// A model input.
    Feature,
    /// Nothing that is measured.
    Ignored,
}

/// One guess.
#[derive(Debug, Clone)]
pub(crate) struct Guess {
    pub(crate) facts: Facts,
    pub(crate) kind: FactKind,
    pub(crate) usage: Use,
    pub(crate) reason: String,
}

/// Guesses about all columns of a table, in its order.
#[derive(Debug, Clone)]
pub(crate) struct Guesses {
    pub(crate) columns: Vec<Guess>,
    pub(crate) task: Task,
    pub(crate) task_reason: String,
    /// The positive class of a binary task that does not name its classes 1, true or yes, and why it is that one.
    pub(crate) positive: Option<(String, String)>,
    /// The scores of several classes, where no column is the score.
    pub(crate) class_scores: Option<ClassColumns>,
}

impl Guesses {
    /// Guesses about the columns of a sample.
    pub(crate) fn of(sample: Vec<Facts>) -> Self {
        let mut taken: Vec<Option<(Use, String)>> = vec![None; sample.len()];
        for clue in &CLUES {
            let is_split = clue.usage == Use::Segment;
            let is_known = |usage: Use| taken.iter().flatten().any(|(known, _)| *known == usage);
            if is_known(clue.usage) && !is_split {
                continue;
            }
            for name in clue.names {
                if is_split && taken.iter().flatten().filter(|(usage, _)| *usage == Use::Segment).count() >= FIELDS_MAX
                {
                    break;
                }
                let fits = |&at: &usize| taken[at].is_none() && is_named(&sample[at], name) && (clue.fits)(&sample[at]);
                let Some(at) = (0..sample.len()).find(fits) else { continue };
                taken[at] = Some((in_unit(clue.usage, name), by_name(name, &sample[at])));
                if !is_split {
                    break;
                }
            }
        }
        take_id(&sample, &mut taken);
        take_time(&sample, &mut taken);
        let mut columns: Vec<Guess> = sample.into_iter().zip(taken).map(|(facts, taken)| guess(facts, taken)).collect();
        let (mut task, mut task_reason) = task(&columns);
        if task == Task::Multiclass && leave_label(&mut columns) {
            (task, task_reason) = (Task::Binary, "scores from 0 to 1".to_owned());
        }
        let has_score = columns.iter().any(|guess| guess.usage == Use::Score);
        let class_scores = if has_score { None } else { ClassColumns::guessed(&columns) };
        if let Some(found) = &class_scores {
            (task, task_reason) = (Task::Multiclass, format!("columns hold the scores of classes: {}", found.reason()));
        }
        let label = columns.iter().find(|guess| guess.usage == Use::Label).map(|guess| &guess.facts);
        let positive = label.filter(|_| task == Task::Binary).and_then(positive);
        Self { columns, task, task_reason, positive, class_scores }
    }

    /// Takes the only feature for the label, where a file shares its id with that of predictions and brings nothing
    /// else.
    pub(crate) fn take_label(&mut self, id: &str) {
        let shares = self.find(|usage| usage == Use::Id).is_some_and(|guess| guess.facts.name == id);
        let features: Vec<usize> =
            (0..self.columns.len()).filter(|&at| self.columns[at].usage == Use::Feature).collect();
        let has_answers = self.find(|usage| matches!(usage, Use::Label | Use::Score | Use::Version)).is_some();
        if let ([only], true, false) = (features.as_slice(), shares, has_answers) {
            let guess = &mut self.columns[*only];
            guess.usage = Use::Label;
            guess.reason =
                format!("the only other column beside `{id}`, which predictions have too; {}", guess.facts.describe());
        }
    }

    /// Takes the only number for the score, where rows are answers and none has a name that says so.
    pub(crate) fn take_score(&mut self) {
        if self.class_scores.is_some() || self.find(|usage| matches!(usage, Use::Score | Use::Predicted)).is_some() {
            return;
        }
        let is_number = |guess: &&mut Guess| guess.usage == Use::Feature && guess.kind == FactKind::Numeric;
        let mut numbers: Vec<&mut Guess> = self.columns.iter_mut().filter(is_number).collect();
        if let [only] = numbers.as_mut_slice() {
            only.usage = Use::Score;
            only.reason = format!("the only number of an answer; {}", only.facts.describe());
            (self.task, self.task_reason) = task(&self.columns);
        }
    }

    /// The column that is used like this.
    pub(crate) fn find(&self, is: impl Fn(Use) -> bool) -> Option<&Guess> {
        self.columns.iter().find(|guess| is(guess.usage))
    }

    /// All columns that are used like this.
    pub(crate) fn all(&self, usage: Use) -> impl Iterator<Item = &Guess> {
        self.columns.iter().filter(move |guess| guess.usage == usage)
    }
}

/// Leaves the label out where a score stands beside it, but not of which of its classes; whether that was so.
fn leave_label(columns: &mut [Guess]) -> bool {
    let has = |usage: Use| columns.iter().any(|guess| guess.usage == usage);
    let is_useless = has(Use::Score) && !has(Use::Predicted);
    if let Some(label) = columns.iter_mut().find(|guess| guess.usage == Use::Label).filter(|_| is_useless) {
        let n = label.facts.n_distinct();
        label.usage = Use::Ignored;
        label.reason = format!("it names {n} classes, and no column says which of them the score is for");
    }
    is_useless
}

/// A latency's unit stands in its name; without one it is milliseconds.
fn in_unit(usage: Use, name: &str) -> Use {
    let unit = match name.rsplit('_').next() {
        Some("us") => "us",
        Some("ns") => "ns",
        Some("s" | "seconds") => "s",
        _ => "ms",
    };
    if matches!(usage, Use::Latency(_)) { Use::Latency(unit) } else { usage }
}

fn is_named(facts: &Facts, name: &str) -> bool {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', ' '], "_");
    plain(&facts.name) == name || facts.path.last().is_some_and(|last| plain(last) == name)
}

fn by_name(name: &str, facts: &Facts) -> String {
    format!("its name is like `{name}`; {}", facts.describe())
}

/// An id without a usual name: every row has its own, and the name says that it is one.
fn take_id(sample: &[Facts], taken: &mut [Option<(Use, String)>]) {
    if taken.iter().flatten().any(|(usage, _)| *usage == Use::Id) {
        return;
    }
    let fits = |&at: &usize| {
        taken[at].is_none() && sample[at].is_unique() && is_id_like(&sample[at]) && ends_like_id(&sample[at])
    };
    if let Some(at) = (0..sample.len()).find(fits) {
        taken[at] = Some((Use::Id, format!("its name ends like an id's; {}", sample[at].describe())));
    }
}

/// Whether values can be ids: texts, or whole numbers.
pub(super) fn is_id_like(facts: &Facts) -> bool {
    facts.kind() == FactKind::Categorical || facts.kind() == FactKind::Numeric && facts.counts()
}

fn ends_like_id(facts: &Facts) -> bool {
    let last = facts.path.last().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
    last == "id" || last.ends_with("_id") || last.ends_with("uuid") || last.ends_with("_key")
}

/// Whether a column numbers rows, as the index of a pandas table does.
fn is_index(facts: &Facts) -> bool {
    let name = facts.name.to_ascii_lowercase();
    let is_named =
        name.is_empty() || name.starts_with("unnamed:") || name.starts_with("__index_level_") || name == "index";
    facts.is_whole() && (facts.counts_rows() || is_named && facts.is_unique())
}

/// The format of a column that may hold times.
pub(crate) fn time_format(facts: &Facts) -> Option<TimeFormat> {
    match facts.kind() {
        FactKind::Time(format) => Some(format),
        FactKind::Numeric => facts.epoch(),
        _ => None,
    }
}

/// The event time: by name, else the only column that can be one by its shape.
fn take_time(sample: &[Facts], taken: &mut [Option<(Use, String)>]) {
    let free = |at: &usize| taken[*at].is_none() && time_format(&sample[*at]).is_some();
    let named =
        TIME_NAMES.iter().find_map(|name| (0..sample.len()).filter(free).find(|&at| is_named(&sample[at], name)));
    let shaped: Vec<usize> = (0..sample.len()).filter(free).collect();
    let Some(at) = named.or_else(|| shaped.first().copied()) else { return };
    let Some(format) = time_format(&sample[at]) else { return };
    let how = match (named, shaped.len()) {
        (Some(_), _) => "its name, and",
        (None, 1) => "the only column whose",
        (None, _) => "the first column of several whose",
    };
    taken[at] = Some((Use::Time(format), format!("{how} values are {}", format_name(format))));
}

/// A format of time, in words.
pub(crate) fn format_name(format: TimeFormat) -> &'static str {
    match format {
        TimeFormat::Seconds => "seconds since 1970",
        TimeFormat::Millis => "milliseconds since 1970",
        TimeFormat::Micros => "microseconds since 1970",
        TimeFormat::Nanos => "nanoseconds since 1970",
        TimeFormat::Rfc3339 => "times",
    }
}

/// A column that is taken, or else a feature, if it can be one.
fn guess(facts: Facts, taken: Option<(Use, String)>) -> Guess {
    let kind = facts.kind();
    let (usage, reason) = taken.unwrap_or_else(|| match kind {
        _ if is_attribute(&facts.path) => (Use::Ignored, "an attribute of the event's envelope".to_owned()),
        FactKind::Numeric if is_index(&facts) => (Use::Ignored, format!("row numbers: {}", facts.describe())),
        FactKind::Numeric if facts.epoch().is_some() && TIME_NAMES.iter().any(|name| is_named(&facts, name)) => {
            (Use::Ignored, "a time, and not the event's".to_owned())
        }
        FactKind::Numeric if facts.is_unique() && facts.is_whole() && ends_like_id(&facts) => {
            (Use::Ignored, format!("an id by its name; {}", facts.describe()))
        }
        FactKind::Categorical if facts.is_unique() && facts.n > 20 => {
            (Use::Ignored, format!("texts that hardly repeat: {}", facts.describe()))
        }
        FactKind::Numeric | FactKind::Boolean | FactKind::Categorical => (Use::Feature, facts.describe()),
        FactKind::Time(_) => (Use::Ignored, "a time, and not the event's".to_owned()),
        FactKind::Span => (Use::Ignored, facts.describe()),
        FactKind::Nested => match [Side::Request, Side::Response].into_iter().find(|side| side.tensors() == facts.name)
        {
            Some(side) => (Use::Ignored, tensors(side)),
            None => (Use::Ignored, "lists and the like are not measured".to_owned()),
        },
        FactKind::Empty => (Use::Ignored, "no value in the sample".to_owned()),
    });
    Guess { facts, kind, usage, reason }
}

/// What a list of tensors wants of the pipeline file.
fn tensors(side: Side) -> String {
    let (name, tensors) = (side.name(), side.tensors());
    format!(
        "if these are tensors, say `format: open_inference` and `side: {name}`; {tensors}[name=NAME] is the value of \
         each row of one, {tensors}[name=NAME][0] its first"
    )
}

/// Words for classes that models look for, and for the others.
const POSITIVE: [&str; 20] = [
    "positive",
    "pos",
    "fraud",
    "fraudulent",
    "bad",
    "default",
    "defaulted",
    "churn",
    "churned",
    "spam",
    "click",
    "clicked",
    "anomaly",
    "abnormal",
    "attack",
    "malicious",
    "malignant",
    "sick",
    "failed",
    "bought",
];
const NEGATIVE: [&str; 12] =
    ["negative", "neg", "good", "ok", "normal", "legit", "legitimate", "genuine", "benign", "ham", "healthy", "none"];

/// The positive one of two classes that are not 1 and 0 or words for yes and no, and why; nothing where nobody can
/// know.
fn positive(facts: &Facts) -> Option<(String, String)> {
    let [low, high] = facts.two()?;
    if facts.kind() == FactKind::Numeric {
        let is_usual = [low.as_str(), high.as_str()] == ["0", "1"];
        let reason = format!("the larger of {low} and {high}");
        return (!is_usual).then_some((high, reason));
    }
    let says = |class: &str, words: &[&str]| words.contains(&class.to_ascii_lowercase().as_str());
    let is_not = |class: &str, other: &str| {
        let class = class.to_ascii_lowercase();
        ["no", "not", "non"].iter().any(|no| {
            class
                .strip_prefix(no)
                .is_some_and(|rest| rest.trim_start_matches(['_', '-', ' ']) == other.to_ascii_lowercase())
        })
    };
    let speaks = |one: &str, other: &str| says(one, &POSITIVE) || says(other, &NEGATIVE) || is_not(other, one);
    let (one, other) = match (speaks(&low, &high), speaks(&high, &low)) {
        (true, false) => (low, high),
        (false, true) => (high, low),
        _ => return None,
    };
    let reason = format!("of `{one}` and `{other}` what models usually look for");
    Some((one, reason))
}

/// Labels of more than so many different whole numbers are no classes.
const CLASSES_MAX: usize = 1_000;

/// Whether labels are numbers that cannot be classes.
fn is_quantity(label: &Facts) -> bool {
    label.kind() == FactKind::Numeric && (!label.is_whole() || label.n_distinct() > CLASSES_MAX)
}

/// What the model predicts, by its score and its labels.
fn task(columns: &[Guess]) -> (Task, String) {
    let find = |usage: Use| columns.iter().find(|guess| guess.usage == usage).map(|guess| &guess.facts);
    let (score, classes) = (find(Use::Score), [find(Use::Predicted), find(Use::Label)]);
    match score {
        Some(score) if !score.is_within(0.0, 1.0) => {
            (Task::Regression, format!("`{}` leaves the range from 0 to 1", score.name))
        }
        Some(_) if find(Use::Label).is_some_and(is_quantity) => (Task::Regression, "labels are quantities".to_owned()),
        _ => {
            let is_known = find(Use::Label).is_some_and(|facts| positive(facts).is_some());
            let is_alone = find(Use::Predicted).is_none();
            let names = |facts: &&Facts| match facts.n_distinct() {
                3.. => true,
                n => facts.kind() == FactKind::Categorical && !(n == 2 && (is_known || is_alone)),
            };
            let several = classes.into_iter().flatten().find(names);
            several.map_or((Task::Binary, "scores from 0 to 1, and two classes".to_owned()), |facts| {
                (Task::Multiclass, format!("`{}` names {} classes", facts.name, facts.n_distinct()))
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::table::Table;

    /// A column: its name, and the cell of each row as it stands in JSON.
    type Column<'a> = (&'a str, &'a dyn Fn(u32) -> String);

    fn guessed(n: u32, columns: &[Column<'_>]) -> Guesses {
        let cell = |row: u32| move |(name, cell): &Column<'_>| format!("\"{name}\":{}", cell(row));
        let line = |row| format!("{{{}}}", columns.iter().map(cell(row)).collect::<Vec<_>>().join(","));
        let lines = (0..n).map(line).collect::<Vec<_>>().join("\n");
        let table = Table::of_lines(Path::new("sample.jsonl"), lines.into_bytes()).expect("a table");
        Guesses::of(Facts::of(&table).expect("facts"))
    }

    fn uses(guesses: &Guesses) -> Vec<(&str, Use)> {
        guesses.columns.iter().map(|guess| (guess.facts.name.as_str(), guess.usage)).collect()
    }

    fn usage(guesses: &Guesses, name: &str) -> Use {
        guesses.columns.iter().find(|guess| guess.facts.name == name).expect("a column").usage
    }

    fn of<'a>(words: &'a [&'a str]) -> impl Fn(u32) -> String + 'a {
        move |row| format!("\"{}\"", words[row as usize % words.len()])
    }

    fn number(row: u32) -> String {
        (f64::from(row * 37 % 101) + 0.25).to_string()
    }

    fn probability(row: u32) -> String {
        (f64::from(row * 37 % 101) / 101.0).to_string()
    }

    fn id(row: u32) -> String {
        format!("\"id-{row}\"")
    }

    #[test]
    fn columns_are_known_by_name_and_shape() {
        let guesses = guessed(
            60,
            &[
                ("request_id", &id),
                ("event_time", &|row| format!("\"2026-01-02T00:00:{row:02}Z\"")),
                ("Model-Version", &of(&["v1", "v2"])),
                ("country", &of(&["DE", "FR", "IT"])),
                ("amount", &number),
                ("probability", &probability),
                ("label", &of(&["0", "1"])),
                ("latency_us", &number),
                ("status_code", &|_| "200".to_owned()),
                ("error", &of(&["timeout", ""])),
            ],
        );
        assert_eq!(
            uses(&guesses),
            [
                ("Model-Version", Use::Version),
                ("amount", Use::Feature),
                ("country", Use::Segment),
                ("error", Use::Failed),
                ("event_time", Use::Time(TimeFormat::Rfc3339)),
                ("label", Use::Label),
                ("latency_us", Use::Latency("us")),
                ("probability", Use::Score),
                ("request_id", Use::Id),
                ("status_code", Use::Status),
            ]
        );
        assert_eq!((guesses.task, guesses.positive), (Task::Binary, None));
        assert!(guesses.columns[0].reason.starts_with("its name is like `model_version`; 2 distinct"));
    }

    #[test]
    fn a_name_alone_is_not_enough() {
        let guesses = guessed(
            60,
            &[
                ("id", &of(&["a", "b"])),
                ("score", &of(&["high", "low"])),
                ("status", &of(&["open", "shut"])),
                ("latency", &|row| (f64::from(row * 7 % 11) - 5.0).to_string()),
                ("country", &|_| "\"DE\"".to_owned()),
            ],
        );
        for (name, usage) in uses(&guesses) {
            assert_eq!(usage, Use::Feature, "{name}");
        }
    }

    #[test]
    fn latencies_are_in_the_unit_of_their_name() {
        for (name, unit) in [
            ("latency_ns", "ns"),
            ("duration_seconds", "s"),
            ("latency_s", "s"),
            ("response_time", "ms"),
            ("latency", "ms"),
        ] {
            assert_eq!(usage(&guessed(60, &[(name, &number)]), name), Use::Latency(unit), "{name}");
        }
    }

    #[test]
    fn without_a_usual_name_an_id_is_unique_and_says_that_it_is_one() {
        let guesses = guessed(60, &[("comment", &id), ("order_key", &id), ("other_key", &id)]);
        assert_eq!(usage(&guesses, "order_key"), Use::Id);
        assert_eq!(usage(&guesses, "comment"), Use::Ignored, "texts that hardly repeat");
        assert_eq!(usage(&guesses, "other_key"), Use::Ignored);
        let repeats = guessed(60, &[("order_key", &of(&["a", "b"]))]);
        assert_eq!(usage(&repeats, "order_key"), Use::Feature);
        let fractions = guessed(60, &[("order_id", &number)]);
        assert_eq!(usage(&fractions, "order_id"), Use::Feature, "no fractions");
    }

    #[test]
    fn row_numbers_and_other_times_are_no_features() {
        let time = |row: u32| (1_767_225_600 + row).to_string();
        let guesses = guessed(60, &[("Unnamed: 0", &|row| (row * 7).to_string()), ("n", &|row| row.to_string())]);
        assert!(uses(&guesses).iter().all(|(_, usage)| *usage == Use::Ignored), "{:?}", uses(&guesses));
        let guesses = guessed(60, &[("created_at", &time), ("ts", &time), ("x", &number)]);
        assert_eq!(usage(&guesses, "created_at"), Use::Time(TimeFormat::Seconds), "the better name");
        assert_eq!(usage(&guesses, "ts"), Use::Ignored);
        let guesses =
            guessed(60, &[("a", &of(&["2026-01-02", "2026-01-03"])), ("b", &of(&["2026-01-02", "2026-01-04"]))]);
        assert_eq!((usage(&guesses, "a"), usage(&guesses, "b")), (Use::Time(TimeFormat::Rfc3339), Use::Ignored));
        assert!(guesses.columns[0].reason.contains("the first column of several whose values are times"));
    }

    #[test]
    fn the_task_follows_from_scores_and_labels() {
        let task = |columns: &[Column<'_>]| {
            let guesses = guessed(60, columns);
            (guesses.task, guesses.task_reason)
        };
        assert_eq!(task(&[("prediction", &number)]).0, Task::Regression);
        assert_eq!(task(&[("score", &probability), ("label", &number)]).1, "labels are quantities");
        assert_eq!(task(&[("score", &probability), ("label", &of(&["0", "1"]))]).0, Task::Binary);
        let (several, why) = task(&[("predicted_class", &of(&["a", "b", "c"])), ("label", &of(&["a", "b", "c"]))]);
        assert_eq!((several, why.as_str()), (Task::Multiclass, "`predicted_class` names 3 classes"));
        assert_eq!(task(&[("label", &of(&["a", "b"]))]).0, Task::Binary, "two classes, and nothing else");
        assert_eq!(task(&[("score", &probability)]).0, Task::Binary);
    }

    #[test]
    fn labels_that_are_missing_as_nan_are_no_class_of_their_own() {
        let guesses = guessed(60, &[("score", &probability), ("label", &of(&["0", "1", "NaN"]))]);
        assert_eq!((guesses.task, usage(&guesses, "label")), (Task::Binary, Use::Label), "{}", guesses.task_reason);
    }

    #[test]
    fn labels_of_many_classes_beside_one_score_are_left_out() {
        let guesses = guessed(60, &[("score", &probability), ("label", &of(&["a", "b", "c"]))]);
        assert_eq!((guesses.task, usage(&guesses, "label")), (Task::Binary, Use::Ignored));
        let reason = &guesses.columns[0].reason;
        assert_eq!(reason, "it names 3 classes, and no column says which of them the score is for");
        let said = guessed(
            60,
            &[("score", &probability), ("predicted_class", &of(&["a", "b", "c"])), ("label", &of(&["a", "b", "c"]))],
        );
        assert_eq!((said.task, usage(&said, "label")), (Task::Multiclass, Use::Label));
    }

    #[test]
    fn the_positive_class_is_the_one_that_models_look_for() {
        let positive = |words: [&str; 2]| {
            let guesses = guessed(60, &[("score", &probability), ("label", &of(&words))]);
            guesses.positive.map(|(class, _)| class)
        };
        let cases = [
            (["ok", "Fraud"], Some("Fraud")),
            (["spam", "ham"], Some("spam")),
            (["churn", "no_churn"], Some("churn")),
            (["not event", "event"], Some("event")),
            (["nonevent", "event"], Some("event")),
            (["1", "2"], Some("2")),
            (["-1", "1"], Some("1")),
            (["0", "1"], None),
            (["yes", "no"], None),
            (["red", "blue"], None),
            (["fraud", "spam"], None),
            (["good", "normal"], None),
        ];
        for (words, class) in cases {
            assert_eq!(positive(words).as_deref(), class, "{words:?}");
        }
    }

    #[test]
    fn scores_of_classes_are_columns_that_begin_alike_and_add_up_to_one() {
        let third = |_: u32| "0.25".to_owned();
        let rest = |_: u32| "0.5".to_owned();
        let found = guessed(60, &[("prob_cat", &third), ("prob_dog", &third), ("prob_cow", &rest)]);
        let each = ["cat", "cow", "dog"].into_iter().zip(0..).map(|(class, at)| (class.to_owned(), at)).collect();
        assert_eq!((found.task, found.class_scores), (Task::Multiclass, Some(ClassColumns::Each(each))));
        for columns in [
            &[("prob_cat", &third as &dyn Fn(u32) -> String), ("prob_dog", &rest)][..],
            &[("prob_cat", &|_| "1.0".to_owned())],
            &[("cat", &third), ("dog", &third), ("cow", &rest)],
        ] {
            assert_eq!(guessed(60, columns).class_scores, None, "{}", columns[0].0);
        }
        let list = guessed(60, &[("probabilities", &|_| "[0.5, 0.5]".to_owned())]);
        assert_eq!(list.class_scores, Some(ClassColumns::List(0)));
        let with_score = guessed(60, &[("score", &probability), ("p_a", &rest), ("p_b", &rest)]);
        assert_eq!(with_score.class_scores, None, "a score is enough");
    }

    #[test]
    fn the_only_other_column_of_a_file_of_labels_is_the_label() {
        let taken = |columns: &[Column<'_>], id: &str| {
            let mut guesses = guessed(60, columns);
            guesses.take_label(id);
            guesses.find(|usage| usage == Use::Label).map(|guess| guess.facts.name.clone())
        };
        assert_eq!(
            taken(&[("request_id", &id), ("is_fraud", &of(&["0", "1"]))], "request_id").as_deref(),
            Some("is_fraud")
        );
        assert_eq!(taken(&[("request_id", &id), ("is_fraud", &of(&["0", "1"]))], "id"), None, "another id");
        assert_eq!(taken(&[("request_id", &id), ("a", &number), ("b", &number)], "request_id"), None, "one of two");
        let answered = [("request_id", &id as &dyn Fn(u32) -> String), ("score", &probability), ("a", &number)];
        assert_eq!(taken(&answered, "request_id"), None, "a file of predictions");
    }

    #[test]
    fn the_only_number_of_an_answer_is_the_score() {
        let taken = |columns: &[Column<'_>]| {
            let mut guesses = guessed(60, columns);
            guesses.take_score();
            (guesses.find(|usage| usage == Use::Score).map(|guess| guess.facts.name.clone()), guesses.task)
        };
        assert_eq!(taken(&[("out", &number), ("who", &of(&["a", "b"]))]), (Some("out".to_owned()), Task::Regression));
        assert_eq!(taken(&[("out", &number), ("more", &number)]).0, None);
        assert_eq!(taken(&[("out", &number), ("prediction", &of(&["a", "b"]))]).0, None, "the answer is a class");
    }
}
