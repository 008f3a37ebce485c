"""What happened to the original's images, made again with small images, two databases and real Trivy.

The full text of each reason is a golden file: what a newcomer reads. REWRITE_GOLDEN=1 writes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from hullmark.config import ScanSettings
from hullmark.decision import Absence, Decision, Expected, Missing, explain
from hullmark.decision.record import RecordedSide
from hullmark.errors import InputError
from hullmark.gate import record_decision
from hullmark.journal import Journal
from hullmark.pipeline import ScanOptions, open_toolchain, scan_sources
from hullmark.policy import State, Verdict
from hullmark.recorded_scans import record
from tests.gate_images import EARLIER, LABEL, NOW, Bench, debian
from tests.scanners.support import require
from tests.scanners.trivy import craft

if TYPE_CHECKING:
    from collections.abc import Mapping

GOLDEN = Path(__file__).parent / "golden"
SSL_OLD, SSL_NEW = ("libssl3t64", "3.5.1-1", "openssl"), ("libssl3t64", "3.5.9-1", "openssl")
ZLIB_OLD, ZLIB_NEW = ("zlib1g", "1.3-1", "zlib"), ("zlib1g", "1.5-1", "zlib")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    require("trivy")
    return Bench(tmp_path_factory.mktemp("gate"))


def rules(decision: Decision) -> list[str]:
    return [reason.rule for reason in decision.deciding]


def check(name: str, decision: Decision, verdict: Verdict, *expected: str) -> None:
    """The verdict, its rules, and the text of the golden file `gate-NAME.txt`."""
    assert (decision.verdict, rules(decision)) == (verdict, list(expected))
    scanner = decision.inputs.scanner
    text = "\n".join(explain(decision)).replace(f"{scanner.name} {scanner.version}", "trivy") + "\n"
    path = GOLDEN / f"gate-{name}.txt"
    if os.environ.get("REWRITE_GOLDEN"):
        path.write_text(text)
    assert path.read_text() == text


# -- What users of such gates complain of (notes on the original's history) ----------------------------------


def test_database_drift_alone_changes_nothing(bench: Bench, tmp_path: Path) -> None:
    image = bench.image("drift", debian(ZLIB_OLD))
    journal = Journal(tmp_path / "audit-logs")
    record_with(bench, journal, image, "earlier")

    decision = bench.judge(bench.trial(image, image), journal=journal).decision

    check("database-drift", decision, Verdict.REVIEW, "nothing-changed")
    assert {concern.id for concern in decision.outcomes[0].disclosed} == {"CVE-2026-5", "CVE-2026-6"}


def record_with(bench: Bench, journal: Journal, image: Path, database: str) -> None:
    """Record a scan of `image` as `app`, with one of the databases."""
    from concurrent.futures import ThreadPoolExecutor
    from datetime import UTC, datetime, time

    moment = datetime.combine(EARLIER, time(9), UTC)
    settings = ScanSettings()
    tools = open_toolchain(
        ScanOptions(database=bench.folder / database), settings, root=bench.folder, environ={}, now=moment
    )
    sources = [bench.source(image)]
    with ThreadPoolExecutor(1) as executor:
        outcome = scan_sources(tools, sources, executor, tell=lambda _: None)
    record(journal, tools, outcome, expected=sources, home=journal.root.parent, now=moment)


def headers(version: str) -> Mapping[str, bytes]:
    return debian(("linux-libc-dev", version, "linux"))


def test_kernel_headers_up_are_allowed(bench: Bench) -> None:
    decision = bench.compare(headers("6.12.1-1"), headers("6.12.48-1"))

    check("headers-up", decision, Verdict.ALLOW, "relevant-fall")
    assert len(decision.deciding[0].concerns) == 226


def test_kernel_headers_down_are_blocked(bench: Bench) -> None:
    decision = bench.compare(headers("6.12.48-1"), headers("6.12.1-1"))

    check("headers-down", decision, Verdict.BLOCK, "relevant-rise")


def test_an_npm_package_bumped_in_one_of_two_places_is_for_a_person_and_names_the_other_path(
    bench: Bench,
) -> None:
    both = {**debian(), **craft.node("app/node_modules/tar", "tar", "6.2.1")}
    base = {**both, **craft.node("usr/lib/node_modules/tar", "tar", "6.2.1")}
    head = {**base, **craft.node("app/node_modules/tar", "tar", "7.5.3")}

    check("npm-bumped-in-one-place", bench.compare(base, head), Verdict.REVIEW, "findings-differ")


def test_a_renamed_tag_changes_nothing(bench: Bench) -> None:
    base = bench.image("tag-one", debian(ZLIB_OLD), tag="app:8.1-apache-mysql")
    head = bench.image("tag-two", debian(ZLIB_OLD), tag="registry.example/php-mysql:2")
    decision = bench.judge(bench.trial(base, head), database="earlier", max_age=400).decision

    check("tag-renamed", decision, Verdict.REVIEW, "nothing-changed")
    sides = decision.inputs.images[0]
    assert isinstance(sides.base, RecordedSide)
    assert isinstance(sides.head, RecordedSide)
    assert sides.base.findings == sides.head.findings


def test_a_point_release_is_allowed_when_relevant_vulnerabilities_fall(bench: Bench) -> None:
    libraries = [(f"lib{n}", "1.0-1", f"lib{n}") for n in range(4)]
    updated = [(name, "1.0-1+deb13u1", source) for name, _, source in libraries]
    base = debian(ZLIB_OLD, *libraries, release="13.2")
    head = debian(ZLIB_NEW, *updated, release="13.3")

    check("point-release", bench.compare(base, head, database="earlier"), Verdict.ALLOW, "relevant-fall")


def test_an_image_that_joins_is_for_a_person(bench: Bench) -> None:
    never = Missing(reason=Absence.NEVER_RECORDED)
    head = bench.image("joins", debian(ZLIB_OLD))
    trial = bench.trial(never, head, expected=Expected.HEAD_ONLY)

    check("image-joins", bench.judge(trial, expected=()).decision, Verdict.REVIEW, "no-base")


def test_an_image_that_leaves_is_for_a_person(bench: Bench) -> None:
    never = Missing(reason=Absence.NOT_BUILT)
    base = bench.image("leaves", debian(ZLIB_OLD))
    trial = bench.trial(base, never, expected=Expected.BASE_ONLY)

    check("image-leaves", bench.judge(trial, expected=()).decision, Verdict.REVIEW, "retired")


# -- Laws, against real Trivy --------------------------------------------------------------------------------


@pytest.mark.parametrize("database", ["earlier", "today"])
def test_an_unchanged_rebuild_never_blocks(bench: Bench, database: str) -> None:
    files = {**debian(SSL_OLD, ZLIB_OLD), **craft.node("app/node_modules/tar", "tar", "6.2.1")}
    rebuilt = {**files, "etc/built-at": b"another day"}
    decision = bench.compare(files, rebuilt, database=database)

    assert decision.verdict is not Verdict.BLOCK
    sides = decision.inputs.images[0]
    assert isinstance(sides.base, RecordedSide)
    assert isinstance(sides.head, RecordedSide)
    assert sides.base.digest != sides.head.digest
    assert all(
        concern.state is State.PERSISTING for reason in decision.reasons for concern in reason.concerns
    )


def test_an_added_vulnerable_package_blocks(bench: Bench) -> None:
    decision = bench.compare(debian(), debian(("libxml2", "2.14-1", "libxml2")))

    check("package-added", decision, Verdict.BLOCK, "relevant-rise", "introduces-high")


def test_a_fixed_package_is_allowed(bench: Bench) -> None:
    decision = bench.compare(debian(ZLIB_OLD), debian(ZLIB_NEW), database="earlier")

    assert (decision.verdict, rules(decision)) == (Verdict.ALLOW, ["relevant-fall"])
    (change,) = decision.outcomes[0].packages
    assert (change.name, change.resolves) == ("zlib1g", ("CVE-2026-3",))


def test_a_second_binary_of_a_source_that_was_already_there_adds_no_vulnerability(bench: Bench) -> None:
    second = ("openssl", "3.5.1-1", "openssl")
    decision = bench.compare(debian(SSL_OLD), debian(SSL_OLD, second), database="earlier")

    assert (decision.verdict, rules(decision)) == (Verdict.REVIEW, ["critical-persists", "findings-differ"])
    (outcome,) = decision.outcomes
    assert outcome.before == outcome.after


def test_a_renamed_package_is_carried_over(bench: Bench) -> None:
    decision = bench.compare(debian(("libssl3", "3.5.1-1", "openssl")), debian(SSL_OLD), database="earlier")

    assert (decision.verdict, rules(decision)) == (Verdict.REVIEW, ["critical-persists", "findings-differ"])
    assert {concern.state for concern in decision.deciding[0].concerns} == {State.PERSISTING}


def test_a_distribution_upgrade_is_explained_by_packages(bench: Bench) -> None:
    old = debian(("libssl3", "3.0.15-1", "openssl"), ("zlib1g", "1.2-1", "zlib"), release="12.9")
    new = debian(("libssl3t64", "3.5.1-1", "openssl"), ZLIB_NEW, release="13.3")
    decision = bench.compare(old, new, database="earlier")

    assert (decision.verdict, rules(decision)) == (
        Verdict.BLOCK,
        ["introduces-critical", "relevant-rise", "introduces-high"],
    )
    explained = {(change.name, change.move.value): change for change in decision.outcomes[0].packages}
    assert explained.keys() == {("libssl3", "removed"), ("libssl3t64", "added"), ("zlib1g", "up")}
    brought = set(explained["libssl3t64", "added"].introduces)
    assert brought == {concern.id for reason in decision.deciding for concern in reason.concerns}
    assert brought >= {"CVE-2026-1", "CVE-2026-2"}


@pytest.mark.parametrize("kept", ["nothing", "npm"])
def test_an_image_that_lost_its_package_records_blocks(bench: Bench, kept: str) -> None:
    files = debian(ZLIB_OLD)
    npm = craft.node("app/node_modules/tar", "tar", "7.5.3")
    lost = {name: data for name, data in files.items() if not name.startswith("var/lib/dpkg")}
    decision = bench.compare({**files, **npm}, {**lost, **(npm if kept == "npm" else {})})

    assert (decision.verdict, rules(decision)) == (Verdict.BLOCK, ["coverage-shrank"])


# -- The seams -----------------------------------------------------------------------------------------------


def test_a_head_that_could_not_be_scanned_blocks_and_a_base_that_could_not_be_scanned_is_an_error(
    bench: Bench,
) -> None:
    good, bad = bench.image("good", debian(ZLIB_OLD)), bench.folder / "bad.tar"
    bad.write_bytes(b"")
    with pytest.raises(InputError, match=r"bad\.tar"):
        bench.judge(bench.trial(bad, good))
    gone = Missing(reason=Absence.NOT_SCANNED, detail="Trivy did not end within 900 s")
    decision = bench.judge(bench.trial(good, gone)).decision

    assert (decision.verdict, rules(decision)) == (Verdict.BLOCK, ["not-scanned"])
    assert decision.deciding[0].details == ("not-scanned", "Trivy did not end within 900 s")


def test_two_sides_without_a_package_in_common_are_of_two_images(bench: Bench) -> None:
    names = [[(f"{word}{n}", "1-1", f"{word}{n}") for n in range(5)] for word in ("lib", "tool")]
    one, two = (
        bench.image(word, craft.debian("13.3", *packages))
        for word, packages in zip(("one", "two"), names, strict=True)
    )

    with pytest.raises(InputError, match="have no package in common: base is of another image"):
        bench.judge(bench.trial(one, two))


def test_a_side_that_was_prepared_is_taken_as_it_is(bench: Bench, tmp_path: Path) -> None:
    image = bench.image("prepared", debian(SSL_OLD))
    first = bench.judge(bench.trial(image, image))
    from hullmark.decision import restore

    side = restore(first.decision.inputs, first.evidence.__getitem__).images[0].base
    trial = msgspec.structs.replace(bench.trial(image, image), base=side, head=side)
    second = bench.judge(trial)

    assert second.decision.reasons == first.decision.reasons
    event = record_decision(Journal(tmp_path), first, now=NOW, pull_request=7)
    assert (event.pull_request, event.images) == (7, {LABEL: "review"})
