//! An incident in words.

use super::NotifyConfig;
use super::incident::{Incident, Turn};
use crate::output::evidence::proof;
use crate::output::text::{instant, number};
use crate::plan::Authority;
use crate::targets::escaped;
use crate::verdict::decision::Severity;

/// So many numbers are told; the decision's page has all of them.
const EVIDENCE_MAX: usize = 5;

/// What there is to say.
pub(super) struct IncidentText<'a> {
    pub(super) turn: Turn,
    pub(super) incident: &'a Incident,
    pub(super) config: &'a NotifyConfig,
}

impl IncidentText<'_> {
    /// One line: of what, and what was decided.
    pub(super) fn title(&self) -> String {
        let decision = &self.incident.cause;
        let exercise = if decision.drill { "Exercise: " } else { "" };
        let action = decision.action;
        let cap = decision.cap_pct.map(|cap| format!(" to {} %", number(cap))).unwrap_or_default();
        let what = match self.turn {
            Turn::Resolved => format!("over ({})", action.name()),
            _ => format!("{}{cap}", action.name()),
        };
        format!("{exercise}{} of {}: {what} (rollout {})", decision.candidate, decision.model, decision.rollout)
    }

    /// Why; and what is new, where that is something else.
    fn reasons(&self) -> Vec<String> {
        let Incident { cause, last, .. } = self.incident;
        let mut reasons = vec![format!("{}: {}", cause.reason.code, cause.reason.text)];
        if cause.id != last.id {
            reasons.push(format!("Now {}: {}", last.reason.code, last.reason.text));
        }
        reasons
    }

    /// Who may act on it, and until when.
    pub(super) fn who(&self) -> String {
        let decision = &self.incident.last;
        match (decision.authority, &decision.approval) {
            _ if self.turn == Turn::Resolved => "Nothing is to be done.".to_owned(),
            (Authority::Advisory, _) => "This is advice: nobody but you carries it out.".to_owned(),
            (Authority::Frozen, _) => "The rollout is frozen: nobody carries it out until that is over.".to_owned(),
            (Authority::Approval, Some(approval)) => format!(
                "It waits for approval: {} of {} have approved. Without an answer by {} it is {}.",
                approval.granted.len(),
                approval.required,
                instant(approval.deadline),
                approval.on_timeout.name()
            ),
            (Authority::Approval, None) => "It waits for approval.".to_owned(),
            (Authority::Auto, _) => "Machines may carry it out, and people may overrule it.".to_owned(),
        }
    }

    /// The numbers behind it, a line each.
    pub(super) fn evidence(&self) -> Vec<String> {
        let evidence = &self.incident.cause.evidence;
        let mut lines: Vec<String> = evidence.iter().take(EVIDENCE_MAX).map(proof).collect();
        let more = evidence.len().saturating_sub(EVIDENCE_MAX);
        lines.extend((more > 0).then(|| format!("and {more} more")));
        lines
    }

    /// Since when, and how much has happened.
    pub(super) fn course(&self) -> String {
        let since = instant(self.incident.since);
        match self.incident.n_updates {
            0 => format!("Since {since}."),
            1 => format!("Since {since}, with 1 decision after it."),
            n => format!("Since {since}, with {n} decisions after it."),
        }
    }

    /// The decision's page, where people log in and answer.
    pub(super) fn page(&self) -> Option<String> {
        let dashboard = self.config.dashboard.as_ref()?.trim_end_matches('/');
        Some(format!("{dashboard}/ui/decisions/{}", escaped(&self.incident.cause.id)))
    }

    /// What to do: where the pipeline file says, or the dashboard's own page.
    pub(super) fn runbook(&self) -> Option<String> {
        let code = self.incident.last.reason.code.as_str();
        match (&self.config.runbook, &self.config.dashboard) {
            (Some(runbook), _) => Some(runbook.replace("{code}", code)),
            (None, Some(dashboard)) => Some(format!("{}/runbooks/{}", dashboard.trim_end_matches('/'), escaped(code))),
            (None, None) => None,
        }
    }

    /// All of it, a line each.
    pub(super) fn lines(&self) -> Vec<String> {
        let pages = [("Decision", self.page()), ("What to do", self.runbook())];
        let pages = pages.into_iter().filter_map(|(name, link)| Some(format!("{name}: {}", link?)));
        let mut lines = self.reasons();
        lines.push(self.who());
        lines.extend(self.evidence());
        lines.push(self.course());
        lines.extend(pages);
        lines
    }

    /// How urgent it is, as `PagerDuty` and most rules of Alertmanager name it.
    pub(super) fn severity(&self) -> &'static str {
        match self.incident.severity {
            Severity::Info => "info",
            Severity::Warn => "warning",
            Severity::Error => "error",
            Severity::Fatal => "critical",
        }
    }
}
