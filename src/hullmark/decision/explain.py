"""Tell a decision in sentences. They are made from its values and change nothing.

Text from a scanner (ids, package names) stands in them as it came; whoever prints escapes it for the place.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hullmark.decision.inputs import Absence, KevState, Seen, SmokeResult
from hullmark.decision.packages import Move, PackageGroup, group_packages
from hullmark.decision.result import Silence
from hullmark.finding import Cause, Kind
from hullmark.policy import Policy, Preset, Remedy, State, Verdict, describe, preset
from hullmark.scan import Gap, GapReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hullmark.decision.concern import Concern, Place
    from hullmark.decision.result import Decision, Outcome, Reason
    from hullmark.policy import Rule

SHOWN = 20
"""Vulnerabilities that are told of one reason; a kernel's headers bring hundreds of one kind."""
SHOWN_IDS = 5

_VERDICTS = {
    Verdict.ALLOW: "Allow: the change makes the images measurably better, and may merge by itself.",
    Verdict.REVIEW: "Review: a person decides.",
    Verdict.BLOCK: "Block: the change must not be merged as it is.",
}
_SILENCE = {
    Silence.INPUTS_UNCHANGED: "not judged: nothing that it is built from has changed",
    Silence.NOTHING_DIFFERS: "not judged: no finding differs",
}
_REMEDIES = {
    Remedy.UPGRADE: "move to a version that fixes it",
    Remedy.KEEP_BASE_VERSION: "keep the version that base has",
    Remedy.REMOVE_PACKAGE: "remove the package",
    Remedy.EXEMPT: "accept the risk in `exemptions.toml`, with owner, reason and end",
    Remedy.APPROVE: "have exactly this head approved by a person who may write here and is not its author",
    Remedy.BUILD_AND_SCAN: "build, test and scan the image again",
    Remedy.REPAIR_IMAGE: "repair the image until its smoke test passes",
    Remedy.RESTORE_COVERAGE: "let the scanner see what it saw in base, or declare it in `hullmark.toml`",
    Remedy.RESTORE_RECORDS: "take `audit-logs/` and `cve-baseline/` out of the change",
    Remedy.REPAIR_POLICY: "repair the file, or say in the policy what is meant",
    Remedy.UPDATE_DATABASE: "run `hullmark db update`",
    Remedy.UPDATE_FEED: "configure the KEV feed and run `hullmark db update`",
    Remedy.REPLACE_SCANNER: "test scanner and database with known answers, and replace the one that is wrong",
    Remedy.RECORD_SCAN: "record a scan of base, so that ages are known",
    Remedy.REPAIR_FILE: "change the file so that the rule no longer matches",
    Remedy.REVOKE_SECRET: "take the secret out of the change, and out of use",
    Remedy.PROVIDE_IMAGE: "give the image itself instead of its SBOM or report",
}
_MOVES = {
    Move.ADDED: "added",
    Move.REMOVED: "removed",
    Move.UP: "newer",
    Move.DOWN: "older",
    Move.CHANGED: "another version",
}
_CAUSES = {
    Cause.DATABASE: "disclosed since base was recorded",
    Cause.RATING: "rated higher since base was recorded",
    Cause.SCOPE: "found where base could not be looked at",
    Cause.REBUILD: "brought by the rebuild of base, not by this change",
}


def explain(decision: Decision, policy: Policy | None = None) -> list[str]:
    """The decision in sentences, the verdict first. `policy` brings the sentences of one's own rules."""
    others = [reason for reason in decision.reasons if reason.verdict is not decision.verdict]
    return [
        _VERDICTS[decision.verdict],
        *_reasons(decision.deciding, policy),
        *(line for outcome in decision.outcomes for line in tell_outcome(outcome, decision, policy)),
        *(line for outcome in decision.outcomes for line in _packages(outcome)),
        *(["Beside that:", *_reasons(others, policy)] if others else []),
        _origin(decision),
    ]


def _reasons(reasons: Iterable[Reason], policy: Policy | None) -> Iterator[str]:
    told: set[tuple[Concern, ...]] = set()
    for reason in reasons:
        where = f"{reason.image} ({reason.platform}): " if reason.image else ""
        yield f"{where}{meaning(reason.rule, policy)} [{reason.rule}]"
        if reason.concerns and reason.concerns in told:
            yield "  The same as above."
            continue
        told.add(reason.concerns)
        yield from (f"  {tell_concern(concern)}" for concern in reason.concerns[:SHOWN])
        if len(reason.concerns) > SHOWN:
            yield f"  And {len(reason.concerns) - SHOWN:,} more like these."
        if reason.details:
            yield f"  {'; '.join(map(tell_detail, reason.details))}."
        if reason.remedies:
            yield f"  To satisfy it: {'; or '.join(map(tell_remedy, reason.remedies))}."


def meaning(rule: str, policy: Policy | None = None) -> str:
    """What a rule says, in a sentence: from `policy`, or from those that Hullmark brings."""
    for known in (policy, *map(preset, Preset)):
        if known is not None and (found := known.rule(rule)) is not None:
            return _sentence(found)
    return f"The rule `{rule}` matches."


def _sentence(rule: Rule) -> str:
    return rule.means or describe(rule.when)


def tell_concern(concern: Concern) -> str:
    """One vulnerability in a sentence: what, how bad, where, since when, and what fixes it."""
    if concern.kind is not Kind.VULNERABILITY:
        return _tell_check(concern)
    name = f"{concern.id} ({concern.renamed_from} in base)" if concern.renamed_from else concern.id
    was = concern.was
    rated = f", {was.value} in base" if was is not None and was is not concern.severity else ""
    parts = [
        f"{name}, {concern.severity.value}{rated}, in {_places(concern)}",
        _CAUSES.get(concern.cause or concern.disclosed or Cause.IMAGE, ""),
        _fix(concern),
    ]
    return "; ".join(part for part in parts if part) + "."


def _tell_check(concern: Concern) -> str:
    """One finding of a file: what, how bad, where, who found it, and what the rule says."""
    was = concern.was
    rated = f", {was.value} in base" if was is not None and was is not concern.severity else ""
    place = f"{concern.path} line {concern.line}" if concern.line else concern.path
    where = f" in {place}" if place else ""
    gone = ", no longer there" if concern.state is State.RESOLVED else ""
    title = f": {concern.title.rstrip('.')}" if concern.title else ""
    severity = f"{concern.severity.value}{rated}"
    return f"{concern.kind.value} {concern.id}, {severity}{where} ({concern.type}){gone}{title}."


def _fix(concern: Concern) -> str:
    if concern.state is State.RESOLVED:
        return "no longer there"
    if concern.now_fixable:
        return f"a fix is known now: {_or(list(concern.fixed))}"
    return f"fixed in {_or(list(concern.fixed))}" if concern.fixed else "no fix is known"


def _places(concern: Concern) -> str:
    """`libssl3 3.5.0 (3.5.1 in base)`; with both sides where a package is affected in one only."""
    source = (
        f" (source {concern.source})" if concern.source not in {p.package for p in concern.places} else ""
    )
    return ", ".join(map(_place, concern.places)) + source


def _place(place: Place) -> str:
    name = f"{place.package} at {place.path}" if place.path else place.package
    head, base = _versions(place.head), _versions(place.base)
    if place.is_affected and place.was_affected:
        return f"{name} {head}" if head == base else f"{name} {head} ({base} in base)"
    if place.is_affected:
        return f"{name} {head} ({base} in base, not affected)" if base else f"{name} {head} (not in base)"
    return f"{name} ({base} in base, {head} is not affected)" if head else f"{name} {base} (removed)"


def _versions(versions: tuple[str, ...]) -> str:
    return " and ".join(versions)


def tell_remedy(remedy: Remedy) -> str:
    """What would satisfy a rule, as a part of a sentence."""
    return _REMEDIES[remedy]


_CODES: dict[str, str] = {
    Absence.NOT_BUILT: "it was not built",
    Absence.NOT_SCANNED: "it was not scanned",
    Absence.NEVER_RECORDED: "no scan of it was ever recorded",
    Absence.NO_CONFIGURATION: "base has no `hullmark.toml`",
    Seen.SBOM: "it was given as an SBOM",
    Seen.REPORT: "it was given as a report",
    Seen.IMAGE: "nobody looked for programs that no package owns",
    KevState.STALE: "the list is too old",
    KevState.NOT_CONFIGURED: "no list is configured",
    SmokeResult.FAILED: "its smoke test failed",
    SmokeResult.NOT_RUN: "its smoke test did not run",
}


def tell_detail(detail: str) -> str:
    """A gap in words, or the detail as it is."""
    if detail in _CODES:
        return _CODES[detail]
    code, _, rest = detail.partition(": ")
    return str(Gap(GapReason(code), rest)) if code in set(GapReason) else detail


def tell_outcome(outcome: Outcome, decision: Decision, policy: Policy | None = None) -> Iterator[str]:
    """What is to be known of one image beside the reasons: counts, exemptions, disclosures, gaps."""
    where = f"{outcome.image} ({outcome.platform})"
    if outcome.silence:
        yield f"{where}: {_SILENCE[outcome.silence]}."
    if outcome.before is not None and outcome.after is not None:
        before, after = outcome.before, outcome.after
        for other in outcome.others:
            yield (
                f"{where}: findings of kind {other.kind.value}: {other.before.total} in base, "
                f"{other.after.total} in head."
            )
        yield (
            f"{where}: relevant vulnerabilities: {before.relevant} in base, {after.relevant} in head; "
            f"of any severity: {before.total} and {after.total}{_findings(outcome)}."
        )
    for applied in outcome.exempted:
        entry = applied.exemption
        yield (
            f"{where}: {entry.id} is left out: exemption of {entry.owner} "
            f"until {entry.expires.isoformat()}, {entry.status.value}: {entry.reason}"
        )
    for entry in outcome.expired:
        yield f"{where}: the exemption of {entry.id} by {entry.owner} expired on {entry.expires.isoformat()}."
    yield from (f"{where}: {line}." for line in _beside(outcome))
    shown = {reason.rule for reason in decision.reasons_of(outcome)}
    for note in outcome.notes:
        if note.value not in shown:
            yield f"{where}: {meaning(note.value, policy)}"


def _beside(outcome: Outcome) -> Iterator[str]:
    """What became known, or came otherwise, since base was recorded: nothing of the change."""
    rebuilt = [concern for concern in outcome.disclosed if concern.disclosed is Cause.REBUILD]
    learned = [concern for concern in outcome.disclosed if concern.disclosed is not Cause.REBUILD]
    for concerns, said in (
        (learned, "not of this change, but learned since base was recorded"),
        (rebuilt, "not of this change, but of the rebuild of base"),
        (outcome.now_fixable, "in base too, and a fix is known now"),
    ):
        if concerns:
            yield f"{said}: {_and(list(dict.fromkeys(concern.id for concern in concerns)))}"
    if outcome.drift:
        groups = group_packages(outcome.drift)
        told = "; ".join(map(tell_packages, groups[:SHOWN_IDS]))
        more = f"; and {len(groups) - SHOWN_IDS:,} more" if len(groups) > SHOWN_IDS else ""
        yield (
            "base was built again from the same inputs and is not what was recorded (cause `rebuild`, not "
            f"judged): {told}{more}"
        )


def _findings(outcome: Outcome) -> str:
    before, after = outcome.findings_before, outcome.findings_after
    return f", in {before.total} and {after.total} findings" if before and after else ""


def _packages(outcome: Outcome) -> Iterator[str]:
    """The package changes that explain what came and went, and how many others there are."""
    where = f"{outcome.image} ({outcome.platform})"
    groups = group_packages(outcome.packages)
    for group in groups:
        if group.explains:
            yield f"{where}: {tell_packages(group)}."
    others: Counter[Move] = Counter()
    for group in groups:
        if not group.explains:
            others[group.move] += len(group.packages)
    if others:
        told = ", ".join(f"{others[move]} {_MOVES[move]}" for move in Move if others[move])
        yield f"{where}: packages that differ without bringing or resolving anything: {told}."


def tell_packages(group: PackageGroup) -> str:
    """What became of the packages of one source, and which vulnerabilities came or went with them."""
    names = "" if group.packages == (group.source,) else f" ({', '.join(group.packages)})"
    where = f" at {group.path}" if group.path else ""
    effects = [
        told.format(_some(ids))
        for told, ids in (
            ("introduces {}", group.introduces),
            ("resolves {}", group.resolves),
            ("carries {} too, as another package of base did", group.spreads),
            ("no longer carries {}, which another package still does", group.eases),
        )
        if ids
    ]
    return f"{group.source}{where}{names} {_moved(group)}: {' and '.join(effects) or 'nothing comes or goes'}"


def _moved(group: PackageGroup) -> str:
    base, head = _versions(group.base), _versions(group.head)
    match group.move:
        case Move.ADDED:
            return f"{head} added"
        case Move.REMOVED:
            return f"{base} removed"
        case _:
            return f"{base} -> {head} ({_MOVES[group.move]})"


def _some(ids: tuple[str, ...]) -> str:
    shown = ", ".join(ids[:SHOWN_IDS])
    return f"{shown} and {len(ids) - SHOWN_IDS:,} more" if len(ids) > SHOWN_IDS else shown


def _origin(decision: Decision) -> str:
    inputs = decision.inputs
    kind = "the sample database" if inputs.database.sample else "the database"
    return (
        f"Decided by policy `{decision.policy}` at {inputs.now.isoformat(timespec='seconds')} "
        f"with {inputs.scanner.name} {inputs.scanner.version} and {kind} of {inputs.database.updated_at}, "
        f"by Hullmark {decision.hullmark}."
    )


def _or(parts: list[str]) -> str:
    return _join(parts, "or")


def _and(parts: list[str]) -> str:
    return _join(parts, "and")


def _join(parts: list[str], word: str) -> str:
    return f" {word} ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
