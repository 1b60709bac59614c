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
