"""A decision as Markdown: whole, escaped, and short enough for GitHub."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from hullmark.decision import Decision, decide
from hullmark.finding import Severity
from hullmark.formats.decision_markdown import render_decision
from hullmark.text import ISSUE_BUDGET, utf16_length
from tests.gates import finding, gate, image, package_of, side
from tests.values import digest_of

DIGEST = digest_of("decision")
BRACKETS = re.compile(r"(?<!\\)<(?!/?(?:details|summary|code)>)")


def changed(images: int, findings: int, id_: str = "CVE-2026-") -> Decision:
    """Images that each gain so many findings, each in a package of its own that got older."""
    trials = []
    for number in range(images):
        worse = [
            finding(f"{id_}{n}", Severity.HIGH, f"lib{n}", versions=("1.0",), fixed="1.1")
            for n in range(findings)
        ]
        packages = [package_of(finding("x", package=f"lib{n}", versions=("1.1",))) for n in range(findings)]
        trials.append(image(side(packages=packages), side(*worse), f"app-{number}"))
    return decide(gate(*trials))


def test_a_verdict_a_table_the_reasons_and_the_packages_stand_in_this_order() -> None:
    text = render_decision(changed(2, 3), digest=DIGEST)

    parts = (
        "### ⛔ Block: the change must not be merged as it is.",
        "| app-0 linux/amd64 | **block** | 0 | 3 | 0 | 3 | 3 |",
        "`relevant-rise`",
        "To satisfy it: move to a version that fixes it",
        "#### Packages of app-0 linux/amd64",
        "- lib0 1.1 -\\> 1.0 (older): introduces CVE-2026-0",
        f"Decision `{DIGEST}`.",
    )
    places = [text.find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)
    assert text.count("<details>") == text.count("</details>")


@settings(max_examples=12, deadline=None)
@given(
    images=st.integers(1, 40),
    findings=st.integers(0, 120),
    id_=st.sampled_from(["CVE-", "😀" * 300, "<b>@|`" * 60]),
)
def test_the_text_is_never_longer_than_github_takes_and_says_what_it_left_out(
    images: int, findings: int, id_: str
) -> None:
    decision = changed(images, findings, id_)
    text = render_decision(decision, digest=DIGEST)

    assert utf16_length(text) <= ISSUE_BUDGET
    assert str(DIGEST) in text
    whole = all(f"app-{n} linux/amd64 |" in text for n in range(images))
    assert whole or "left out here" in text or "does not fit here" in text
    assert text.count("<details>") == text.count("</details>")


def test_a_small_budget_still_gives_the_verdict() -> None:
    text = render_decision(changed(3, 5), digest=DIGEST, budget=400)

    assert text.startswith("### ⛔ Block")
    assert utf16_length(text) <= 400
    assert "does not fit here" in text


@given(text=st.text(max_size=40))
def test_all_text_from_outside_is_escaped(text: str) -> None:
    hostile = f"CVE-1 <img src=x>{text}](javascript:1) @somebody"
    worse = finding(hostile, Severity.CRITICAL, f"<b>{text}", versions=(f"</details>{text}",))
    rendered = render_decision(decide(gate(image(side(), side(worse)))), digest=DIGEST)

    assert not BRACKETS.search(rendered)
    assert "@somebody" not in rendered
    assert "](javascript" not in rendered.replace("\\]", "")
