"""What the site says in sentences. Text of a scanner stands in them as it came; the template escapes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hullmark.finding import Cause, Counts, Severity
from hullmark.fleet import Action, Condition, Fleet, Member, State
from hullmark.fleet.action import Means
from hullmark.formats.markdown import in_words, plural
from hullmark.text import shell_word

if TYPE_CHECKING:
    from collections.abc import Sequence

STATES = {
    State.NOT_KNOWN: "Not known",
    State.OVERDUE: "Overdue",
    State.FIXABLE: "Can be fixed",
    State.WAITING: "Waits for fixes",
    State.CLEAR: "Clear",
    State.RETIRED: "Retired",
}
STATE_MEANINGS = {
    State.NOT_KNOWN: "Nobody looked, or not at everything. What is shown is what was last known.",
    State.OVERDUE: "A fix is there, and its deadline has passed.",
    State.FIXABLE: "A relevant finding has a fix, within its deadline.",
    State.WAITING: "Relevant or unrated findings are open, and none has a fix yet.",
    State.CLEAR: "No critical, high, medium or unrated finding is open, but for accepted risks.",
    State.RETIRED: "No longer expected. Its findings count in nothing that is open now.",
}
TONES = {
    State.NOT_KNOWN: "bad",
    State.OVERDUE: "bad",
    State.FIXABLE: "warn",
    State.WAITING: "calm",
    State.CLEAR: "good",
    State.RETIRED: "calm",
}
VERDICT_TONES = {"allow": "good", "review": "warn", "block": "bad"}
CAUSES = {
    Cause.IMAGE: "the image changed",
    Cause.REBUILD: "a rebuild brought other packages",
    Cause.DATABASE: "the database learned or withdrew it",
    Cause.RATING: "it was rated otherwise",
    Cause.SCANNER: "another scanner version",
    Cause.EXEMPTION: "an accepted risk began or ended",
    Cause.SCOPE: "more or less was looked at",
}

CHECK_CAUSES = {
    Cause.IMAGE: "a change of the files",
    Cause.SCANNER: "another version of the tool",
    Cause.SCOPE: "the first look at it",
}
"""What a cause means where files were checked."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The first thing that a page says."""

    title: str
    text: str
    tone: str


def tell_fleet(fleet: Fleet) -> Verdict:
    """The state of everything in one sentence, and what would change it."""
    number = len(fleet.expected)
    if not fleet.as_of or not number:
        return _nothing(fleet)
    if fleet.uncovered:
        names = "; ".join(f"{member.name}: {member.reason}" for member in fleet.uncovered[:3])
        more = f"; and {len(fleet.uncovered) - 3:,} more" if len(fleet.uncovered) > 3 else ""  # noqa: PLR2004
        return Verdict(
            title=f"{_of(len(fleet.uncovered), number)} not covered.",
            text=f"{names}{more}. Their last known findings stand; nothing here may be read as clean.",
            tone="bad",
        )
    late = [member for member in fleet.expected if member.state is State.OVERDUE]
    if late:
        return Verdict(title=f"{_of(len(late), number)} past a deadline.", text=_late(fleet), tone="bad")
    relevant = fleet.counts.relevant
    if any(member.state is State.FIXABLE for member in fleet.expected):
        cleared = _clearing(fleet)
        return Verdict(title="Nothing is late, and there is work to do.", text=cleared, tone="warn")
    if relevant or fleet.counts.unknown:
        text = f"{_findings(fleet.counts)} open in {plural(number, 'image')}. {_clearing(fleet)}"
        return Verdict(title="Nothing relevant can be fixed today.", text=text, tone="calm")
    text = f"{plural(number, 'image')} covered; {plural(fleet.counts.total, 'finding')} of low severity."
    return Verdict(title="No relevant finding is open.", text=text, tone="good")


def _nothing(fleet: Fleet) -> Verdict:
    if fleet.as_of:
        text = "The history knows images, and none of them is expected any more: see hullmark.toml."
        return Verdict(title="No image is looked after.", text=text, tone="calm")
    text = "Run `hullmark run --record`, then `hullmark dashboard`, and this page says what to do."
    return Verdict(title="Nothing has been recorded yet.", text=text, tone="calm")


def _of(some: int, number: int) -> str:
    verb = "is" if some == 1 else "are"
    if some == number:
        return f"The image {verb}" if number == 1 else f"All {number:,} images {verb}"
    return f"{some:,} of {plural(number, 'image')} {verb}"


def _late(fleet: Fleet) -> str:
    worst = max(
        ((member, each) for member in fleet.expected for each in member.overdue),
        key=lambda pair: (pair[1].severity.rank, pair[1].late, pair[0].name),
    )
    member, each = worst
    return (
        f"{member.name} carries {each.finding.id} ({each.severity.value.lower()}) in "
        f"{each.finding.package}, {plural(each.late, 'day')} late. {_clearing(fleet)}"
    )


def _clearing(fleet: Fleet) -> str:
    if not fleet.actions:
        return "No version that fixes one of them is known yet."
    findings = sum(len(action.findings) for action in fleet.actions)
    verb = "clears" if len(fleet.actions) == 1 else "clear"
    what = plural(len(fleet.actions), "change")
    return f"{what} {verb} all {plural(findings, 'finding')} that can be fixed."


def _findings(counts: Counts) -> str:
    parts = [
        f"{number:,} {severity.value.lower()}"
        for severity in Severity
        if (number := getattr(counts, severity.value.lower()))
    ]
    return ", ".join(parts) + (" finding is" if counts.total == 1 else " findings are")


def tell_member(member: Member) -> Verdict:
    """The state of one image in one sentence."""
    titles = {
        State.NOT_KNOWN: "was not covered.",
        State.OVERDUE: "is past a deadline.",
        State.FIXABLE: "can be made better today.",
        State.WAITING: "waits for fixes.",
        State.CLEAR: "is clear.",
        State.RETIRED: "is retired.",
    }
    return Verdict(
        title=f"{member.name} {titles[member.state]}", text=reason(member), tone=TONES[member.state]
    )


def reason(member: Member) -> str:
    """Why an image has its state, in a phrase."""
    state = member.state
    if state is State.RETIRED:
        return f"Not expected since {in_words(member.retired_at)}; its last findings count in nothing."
    if state is State.NOT_KNOWN:
        return f"{member.reason[:1].upper()}{member.reason[1:]}."
    if state is State.OVERDUE:
        latest = max(member.overdue, key=lambda each: (each.severity.rank, each.late))
        return (
            f"{latest.finding.id} in {latest.finding.package} is {plural(latest.late, 'day')} late; "
            f"{len(member.overdue):,} past a deadline."
        )
    if state is State.FIXABLE:
        asked = [each for each in member.findings if each.is_actionable]
        due = min((each.due for each in asked if each.due), default=None)
        until = f", the first by {in_words(due)}" if due else ""
        return f"{plural(len(asked), 'relevant finding')} can be fixed{until}."
    if state is State.WAITING:
        return f"{plural(member.counts.relevant, 'relevant finding')}, none with a fix yet."
    low = member.counts.low
    return f"No relevant finding; {plural(low, 'finding')} of low severity." if low else "No finding at all."


def title(action: Action) -> str:
    """An action as an order."""
    if action.means is Means.REPLACE:
        return f"Replace {action.target} in {action.member}"
    number = len(action.upgrades)
    if action.means is Means.UPDATE:
        return f"Update {plural(number, f'{action.target} package')} in {action.member}"
    if number == 1:
        return f"Rebuild {action.member} with a newer {action.upgrades[0].package}"
    return f"Rebuild {action.member} with {number:,} newer {action.target} packages"


def description(action: Action, shown: int = 3) -> str:
    """Which packages have to reach which versions."""
    parts = [
        f"{upgrade.package} {_or(upgrade.versions)} → {_or(upgrade.fixed)}"
        for upgrade in action.upgrades[:shown]
    ]
    more = len(action.upgrades) - shown
    return ", ".join(parts) + (f" and {more:,} more" if more > 0 else "")


def commands(action: Action) -> Sequence[str]:
    """The commands that make the change, where Hullmark makes it."""
    if not action.is_locked:
        return ()
    image = shell_word(action.image)
    return (f"hullmark lock --refresh {image}", f"hullmark build {image}")


def _or(versions: Sequence[str]) -> str:
    return " or ".join(versions)


def lateness(action: Action) -> str:
    """How the oldest of its findings stands to its deadline."""
    if action.late:
        return f"oldest {plural(action.late, 'day')} late"
    due = min((each.due for each in action.findings if each.due), default=None)
    return f"due by {in_words(due)}" if due else "no deadline"


def is_uncovered(member: Member) -> bool:
    """Whether its numbers are those of an earlier time."""
    return member.condition in {Condition.INCOMPLETE, Condition.OUTDATED, Condition.NEVER_SCANNED}
