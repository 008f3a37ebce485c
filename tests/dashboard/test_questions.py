"""What each reader wants to know, and where it is: never more than two clicks away from the first page."""

from __future__ import annotations

import re
from html import unescape
from pathlib import PurePosixPath
from typing import NamedTuple

import pytest


class Question(NamedTuple):
    """A question, the links to follow from the first page, and what stands there."""

    reader: str
    asks: str
    clicks: tuple[str, ...]
    place: str
    """The id of a heading or an element; the answer is in what follows it."""
    answers: tuple[str, ...]


APP = ("images/app.html",)
QUESTIONS = (
    Question(
        "engineer",
        "what do I change today, and what does it clear",
        (),
        "first",
        ("Rebuild app with a newer openssl", "openssl 3.5.1 → 3.5.4", "clears 3 findings", "due by"),
    ),
    Question(
        "engineer",
        "which finding, in which package, with which fix, since when, why",
        APP,
        "findings",
        ("CVE-2026-1", "libssl3", "3.5.4", "5 October 2026", "scope"),
    ),
    Question("engineer", "is it exploited", APP, "findings", ("CVE-2026-1 exploited",)),
    Question("engineer", "which package and layer brings them", APP, "where", ("openssl", "sha256:")),
    Question(
        "engineer",
        "where in the image does a language package lie",
        ("images/web.html",),
        "findings",
        ("usr/local/bin/gosu",),
    ),
    Question(
        "engineer",
        "are we affected by this vulnerability",
        ("cve.html",),
        "main",
        ("CVE-2026-20", "legacy", "26 October 2026"),
    ),
    Question(
        "engineer",
        "why was this pull request blocked, and what would satisfy it",
        ("gate.html#d1",),
        "d1",
        ("Block", "pull request 7", "The change introduces a CRITICAL", "To satisfy it"),
    ),
    Question(
        "engineer",
        "what is wrong in our own files",
        ("checks.html#code",),
        "code",
        ("B602", "tools/run.py:5", "bandit"),
    ),
    Question(
        "auditor",
        "what does the policy allow, and how old is what could be fixed",
        (),
        "open",
        ("Fixable for", "Allowed", "30 d", "Half of the relevant findings"),
    ),
    Question(
        "auditor",
        "which decisions were made, and why",
        ("gate.html#all",),
        "all",
        ("CVE-2026-1", "decision sha256:"),
    ),
    Question(
        "auditor",
        "which risks are accepted, by whom, why, until when",
        ("gate.html",),
        "exemptions",
        ("CVE-2026-9", "@platform-team", "MiniZip", "ended 1 November 2026", "1 January 2027"),
    ),
    Question(
        "auditor",
        "was a run missed",
        ("evidence.html#pauses",),
        "runs",
        ("14 days without a run, 12 October 2026 to 26 October 2026",),
    ),
    Question("auditor", "what is in scope", ("evidence.html",), "proof", ("3 of 5 images covered", "legacy")),
    Question("auditor", "did anybody edit the history", (), "evidence", ("Chain intact", "verified")),
    Question(
        "auditor",
        "how do I check that myself",
        ("evidence.html",),
        "yourself",
        ("hullmark verify", "hullmark replay", "git diff --exit-code docs"),
    ),
    Question(
        "auditor",
        "how old are the database and the feeds",
        ("evidence.html",),
        "ages",
        ("Database", "KEV list", "12 October 2026, 21 days old", "a decision asked it on 26 October 2026"),
    ),
    Question(
        "auditor",
        "how did this week's numbers come about",
        (),
        "week",
        ("Previous", "resolved: the database learned or withdrew it"),
    ),
    Question(
        "auditor",
        "where does the image come from, and does a rebuild give the same bytes",
        APP,
        "provenance",
        ("Built from", "Rebuilt", "3 digests of the same inputs"),
    ),
    Question("auditor", "was the image tested", APP, "smoke", ("passed", "it answers")),
    Question(
        "customer", "may I use it", (), "main", ("2 of 5 images are not covered.", "nothing here may be")
    ),
    Question("customer", "may I use this image", APP, "main", ("app can be made better today.",)),
    Question(
        "customer",
        "which document do I file",
        ("evidence.html",),
        "documents",
        ("hullmark report", "PDF", "audit.zip"),
    ),
    Question("customer", "what is in it", APP, "packages", ("libssl3", "MIT")),
    Question("customer", "is this real", (), "main", ("Sample data",)),
)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: each.asks.replace(" ", "-"))
def test_every_question_is_answered_within_two_clicks(site: dict[str, bytes], question: Question) -> None:
    page = "index.html"
    assert len(question.clicks) <= 2
    for href in question.clicks:
        assert f'href="{href}"'.encode() in site[page], f"{page} has no link to {href}"
        page = str(PurePosixPath(page).parent / href.partition("#")[0])
    told = text_after(site[page].decode(), question.place)
    for answer in question.answers:
        assert answer in told, f"{page}#{question.place}"


def text_after(page: str, place: str) -> str:
    """The text from the element `place` to the next section; to the end for the whole page."""
    begin = page.index(f'id="{place}"')
    end = -1 if place == "main" else page.find("</section>", begin)
    text = re.sub(r"<[^>]+>", " ", page[begin:end].partition(">")[2])
    return " ".join(unescape(text).split()).replace(" .", ".").replace(" :", ":")
