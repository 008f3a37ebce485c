"""Read a policy: a preset, a preset with one's own rules, or a table of one's own.

    version = 1
    preset = "strict"

    [[rules]]
    name = "fix-is-a-month-old"
    verdict = "review"
    means = "A fix for a HIGH or CRITICAL vulnerability has been there for a month."
    when.some = { state = "present", at_least = "HIGH", fix_age = 30 }

Rules beside a preset make a table of their own: they can only make it stricter. Without `preset` the rules
are the whole table, read from the top.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from hullmark.errors import InputError
from hullmark.policy.check import faults
from hullmark.policy.rule import Policy, Rule, Selector, When
from hullmark.toml import decode_toml, read_toml

MAX_RULES = 500

_FOLDER = Path(__file__).parent


class Preset(StrEnum):
    """A policy that Hullmark brings."""

    STRICT = "strict"
    RATCHET = "ratchet"


class PolicyTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy as it is written, in a file of its own or as a part of `hullmark.toml`."""

    version: Literal[1] = 1
    preset: Preset | None = None
    rules: tuple[Rule, ...] = ()


class _Ground(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Literal[1]
    rules: tuple[Rule, ...]
    caps: tuple[Rule, ...]


def load_policy(path: Path) -> Policy:
    """Read a policy's file, or raise InputError naming the first key that does not fit."""
    return make_policy(read_toml(path, PolicyTable), file=path)


def parse_policy(data: bytes, *, file: Path | str) -> Policy:
    """Read the bytes of a policy's file, for example of another revision."""
    return make_policy(decode_toml(data, PolicyTable, file=file), file=file)


def make_policy(table: PolicyTable, *, file: Path | str, key: str = "") -> Policy:
    """Check a policy that was read. `key` is where it stands in `file`; empty for all of it."""
    prefix = f"{key}." if key else ""
    if table.preset is None and not table.rules:
        raise InputError(
            "a policy without rules would pass nothing",
            file=file,
            key=f"{prefix}rules",
            hint='Choose preset = "strict" or "ratchet", or add [[rules]].',
        )
    if len(table.rules) > MAX_RULES:
        raise InputError(f"more than {MAX_RULES} rules", file=file, key=f"{prefix}rules")
    for place, message in _all_faults(table):
        raise InputError(message, file=file, key=prefix + place)
    if table.preset is None:
        return _with_ground("own", rules=table.rules)
    rules = preset(table.preset).rules
    name = f"{table.preset.value}+own" if table.rules else table.preset.value
    return _with_ground(name, rules=rules, extra=table.rules)


def _all_faults(table: PolicyTable) -> list[tuple[str, str]]:
    taken = {rule.name for rule in (*_ground().rules, *_ground().caps)}
    if table.preset is not None:
        taken |= {rule.name for rule in preset(table.preset).rules}
    found = [
        (f"rules[{place}].name", f"`{rule.name}` is the name of a rule that is already there")
        for place, rule in enumerate(table.rules)
        if rule.name in taken
    ]
    return found + list(faults(table.rules, beside_preset=table.preset is not None))


@cache
def preset(name: Preset) -> Policy:
    """The policy that Hullmark brings under this name."""
    table = read_toml(_FOLDER / f"{name.value}.toml", PolicyTable)
    return _with_ground(name.value, rules=table.rules)


@cache
def ground_policy() -> Policy:
    """What still holds when no policy can be read."""
    return _with_ground("none", rules=())


def _with_ground(name: str, *, rules: tuple[Rule, ...], extra: tuple[Rule, ...] = ()) -> Policy:
    ground = _ground()
    return Policy(name=name, ground=ground.rules, caps=ground.caps, rules=rules, extra=extra)


@cache
def _ground() -> _Ground:
    return read_toml(_FOLDER / "ground.toml", _Ground)


def format_policy(policy: Policy) -> str:
    """The whole policy as a person reads it, with the rules that none can leave out."""
    parts = (
        ("Under every policy, for each image and for the change itself:", policy.ground),
        (f"Policy `{policy.name}`; the first rule that matches gives the verdict:", policy.rules),
        ("Beside it, and only ever stricter:", policy.extra),
        ("Instead of `allow`, where evidence is missing:", policy.caps),
    )
    lines: list[str] = []
    for head, rules in parts:
        if rules:
            lines += [*([""] if lines else []), head]
            lines += [f"  {rule.verdict.value:<7} {rule.name}: {_meaning(rule)}" for rule in rules]
    return "\n".join(lines)


def _meaning(rule: Rule) -> str:
    return rule.means or describe(rule.when)


def describe(when: When) -> str:
    """The conditions of a rule in words, for a rule that brings no sentence of its own."""
    parts = [
        f"`{when.fact.value}`" if when.fact else "",
        f"some vulnerability is {_selector(when.some)}" if when.some else "",
        f"no vulnerability is {_selector(when.none)}" if when.none else "",
        f"the number of relevant vulnerabilities {when.relevant.replace('-', ' ')}" if when.relevant else "",
        "" if when.differs is None else ("findings differ" if when.differs else "no finding differs"),
    ]
    text = ", and ".join(part for part in parts if part)
    return f"{text[:1].upper()}{text[1:]}."


def _selector(selector: Selector) -> str:
    severities = " or ".join(severity.value for severity in selector.severity)
    parts = [
        selector.state.value,
        severities,
        f"{selector.at_least.value} or worse" if selector.at_least else "",
        f"of cause {selector.cause.value}",
        f"of kind {selector.kind.value}" if selector.kind else "",
        f"in package {selector.package}" if selector.package else "",
        "" if selector.fix is None else ("with a fix" if selector.fix else "without a fix"),
        f"first seen {selector.age} days ago or earlier" if selector.age else "",
        f"fixable for {selector.fix_age} days or longer" if selector.fix_age else "",
        ""
        if selector.kev is None
        else ("known to be exploited" if selector.kev else "not known as exploited"),
    ]
    return ", ".join(part for part in parts if part)
