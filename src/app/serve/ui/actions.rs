//! What somebody may do to a candidate now: real forms with real buttons, which work without script.

use super::words::count;
use crate::markup::{Html, html};
use crate::name::Name;
use crate::plan::Action;
use crate::serve::Shared;
use crate::serve::access::Identity;
use crate::serve::commands::new_id;
use crate::serve::entrance::Caller;
use crate::verdict::{CommandName, CommandResult, Outcome, RolloutState, State};

/// A button.
struct Button {
    command: CommandName,
    text: String,
    tone: &'static str,
}

fn button(command: CommandName, text: impl Into<String>, tone: &'static str) -> Button {
    Button { command, text: text.into(), tone }
}

/// The buttons of whoever asks; a word where there are none.
pub(super) fn actions(shared: &Shared, caller: &Caller, state: &RolloutState) -> Html {
    if shared.access().is_none() {
        return html!("<p class=\"hint\">Nobody may act from here: the pipeline names no `serve.approvers`.</p>");
    }
    match &caller.known {
        None => html!("<p class=\"hint\"><a href=\"/ui/login\">Log in</a> to act.</p>"),
        Some(known) if !known.may_act() => html!("<p class=\"hint\">{} may look, and not act.</p>", known.name),
        Some(known) => form(known, state),
    }
}

fn form(person: &Identity, state: &RolloutState) -> Html {
    let buttons: Vec<Button> = buttons(state).into_iter().filter(|button| person.may(button.command)).collect();
    if buttons.is_empty() {
        return html!("<p class=\"hint\">There is nothing for {} to do here now.</p>", person.name);
    }
    let decision = state.pending.as_ref().map_or("", |pending| pending.decision.as_str());
    let hidden = [
        ("id", new_id()),
        ("rollout", state.rollout.clone()),
        ("model", state.model.clone()),
        ("candidate", state.candidate.clone()),
        ("if_sequence", state.sequence.to_string()),
        ("decision", decision.to_owned()),
    ];
    let field = |(name, value): &(&str, String)| html!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", name, value);
    let shown = |button: &Button| {
        html!(
            "<button name=\"kind\" value=\"{}\" class=\"{}\">{}</button> ",
            button.command.name(),
            button.tone,
            button.text
        )
    };
    let asks = state.pending.is_some() && !person.may(CommandName::Approve);
    let asks = if asks {
        html!("<p class=\"hint\">Approving and rejecting is for the role approver.</p>")
    } else {
        Html::default()
    };
    let resumes = buttons.iter().any(|button| button.command == CommandName::Resume);
    html!(
        "<form class=\"act\" method=\"post\" action=\"/v1/commands\">{}<label for=\"reason\">Reason, as it will stand in the "
        "decision</label><textarea id=\"reason\" name=\"reason\" rows=\"2\" maxlength=\"1000\" required></textarea>{}"
        "<p class=\"buttons\">{}</p>{}<p class=\"hint\">Counts only while decision {} is the last one. Acts as {}.</p>"
        "<p class=\"moved\" hidden role=\"alert\">▲ The rollout has moved on since you began. "
        "<a href=\"\">Look again</a> before you act: this would be refused.</p></form>",
        hidden.iter().map(field).collect::<Html>(),
        cap(resumes),
        buttons.iter().map(shown).collect::<Html>(),
        asks,
        count(state.sequence),
        person.name,
    )
}

/// How far a resumption lets exposure rise.
fn cap(resumes: bool) -> Html {
    if !resumes {
        return Html::default();
    }
    html!(
        "<label for=\"cap\">Cap for resume, percent <small>(empty: the next step)</small></label>"
        "<input id=\"cap\" name=\"cap_pct\" inputmode=\"decimal\" size=\"6\" autocomplete=\"off\">"
    )
}

/// What can be asked of a candidate where it stands, the most likely first.
fn buttons(state: &RolloutState) -> Vec<Button> {
    let mut buttons = Vec::new();
    if let Some(pending) = &state.pending {
        let what = pending.signal.name();
        buttons.push(button(CommandName::Approve, format!("✓ Approve {what}"), "strong"));
        buttons.push(button(CommandName::Reject, format!("✕ Reject {what}"), ""));
    }
    let severity = state.state.severity();
    let live = state.state.is_live();
    if live && severity < Action::Hold {
        buttons.push(button(CommandName::Hold, "■ Hold", ""));
    }
    if live && severity >= Action::Warn {
        buttons.push(button(CommandName::Resume, "▶ Resume", ""));
    }
    if live && state.state != State::RollingBack {
        buttons.push(button(CommandName::ForceRollback, format!("◀ Force rollback to {}", state.baseline), "danger"));
    }
    if severity == Action::Rollback {
        buttons.push(button(CommandName::ClearDenial, "↺ Clear the denial", ""));
    }
    if state.people.frozen_until.is_some() {
        buttons.push(button(CommandName::Unfreeze, "● Unfreeze", ""));
    }
    buttons
}

/// What became of a command that this page sent.
pub(super) fn outcome(id: &str, result: Option<&CommandResult>) -> Html {
    let Some(result) = result else {
        return html!("<p class=\"outcome watch\" role=\"status\">● Sent, not answered yet: command {}.</p>", id);
    };
    let (icon, tone) = match result.outcome {
        Outcome::Accepted | Outcome::Duplicate => ("✓", "good"),
        Outcome::Pending => ("●", "watch"),
        Outcome::Rejected | Outcome::Conflict | Outcome::Expired => ("✕", "bad"),
    };
    html!(
        "<p class=\"outcome {}\" role=\"status\">{} {} of {}: <b>{}</b>, {}.</p>",
        tone,
        icon,
        result.command.kind.which().words(),
        result.command.actor,
        result.outcome.name(),
        result.text
    )
}

/// The last things that people asked for.
pub(super) fn asked(results: &[CommandResult]) -> Html {
    if results.is_empty() {
        return Html::default();
    }
    let line = |result: &CommandResult| {
        let command = &result.command;
        html!(
            "<li>{} by {}: {}, {}{}</li>",
            command.kind.which().words(),
            command.actor,
            result.outcome.name(),
            result.text,
            if command.reason.is_empty() { String::new() } else { format!(" — “{}”", command.reason) }
        )
    };
    html!("<h2>Asked for by people</h2><ul class=\"plain-list\">{}</ul>", results.iter().map(line).collect::<Html>())
}
