from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from hullmark.errors import IncompleteError, InputError
from hullmark.finding import Finding, Severity
from hullmark.scan import Coverage, Note, NoteReason, System
from hullmark.scanners import canary, sample, specimen
from hullmark.scanners.canary import Fact
from tests.scanners.support import DATE, OPENSSL, Trivy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

OWN = (
    Fact(system="debian 13", id="CVE-1", package="openssl", binary="libssl3t64", present="1-1", fixed="2-1"),
    Fact(system="npm", id="CVE-2", package="lodash", present="1.0.0", fixed="2.0.0"),
)


def answers(*found: tuple[str, str]) -> Callable[[object], Iterable[Finding]]:
    """A scanner that finds these, whatever it is given."""
    findings = [
        Finding(id=id_, package_type="debian", package=package, severity=Severity.HIGH)
        for id_, package in found
    ]
    return lambda _: findings


RIGHT = answers(("CVE-1", "libssl3t64"), ("CVE-2", "lodash"), ("CVE-9", "another"))


def test_trivy_with_a_sample_database_passes_for_every_held_system(tmp_path: Path) -> None:
    trivy = Trivy(sample.build([], folder=tmp_path / "db", updated_at=DATE), tmp_path)
    held = {fact.system for fact in canary.held()}
    result = canary.check(trivy.match, trivy.scan, [*held, "alpine 3.22"])
    assert result.checked == tuple(sorted(held))
    assert result.notes == (Note(NoteReason.NO_CANARY, "alpine 3.22"),)


def test_a_database_without_the_advisories_is_not_trusted(tmp_path: Path) -> None:
    folder = sample.build([OPENSSL], folder=tmp_path / "db", updated_at=DATE, canary=False)
    trivy = Trivy(folder, tmp_path)
    with pytest.raises(
        IncompleteError, match="not trusted: CVE-2025-15467 was not found in libssl3t64"
    ) as raised:
        canary.check(trivy.match, trivy.scan, ["debian 13"])
    assert raised.value.exit_code == 5
    own = msgspec.structs.replace(OWN[0], id=OPENSSL.id, present="3.5.4-1~deb13u1", fixed=OPENSSL.fixed)
    assert canary.check(trivy.match, trivy.scan, ["debian 13"], facts=[own]).checked == ("debian 13",)


def test_each_missing_answer_is_named_with_the_way_it_was_asked() -> None:
    with pytest.raises(IncompleteError, match=r"CVE-2 was not found in lodash 1\.0\.0 on npm \(image\)$"):
        canary.check(RIGHT, answers(("CVE-1", "libssl3t64")), ["debian 13", "npm"], facts=OWN)
    with pytest.raises(IncompleteError, match=r"CVE-1 .*\(SBOM\)"):
        canary.check(answers(), RIGHT, ["debian 13", "npm"], facts=OWN)


def test_a_scanner_that_finds_everything_everywhere_is_not_trusted() -> None:
    everything = answers(
        ("CVE-1", "libssl3t64"),
        ("CVE-2", "lodash"),
        ("CVE-1", "hullmark-canary-openssl"),
    )
    with pytest.raises(IncompleteError, match="far beyond its fix"):
        canary.check(everything, everything, ["debian 13"], facts=OWN)


def test_languages_are_tested_without_an_operating_system() -> None:
    asked: list[bytes] = []

    def match(sbom: bytes) -> Iterable[Finding]:
        asked.append(sbom)
        return RIGHT(sbom)

    assert canary.check(match, RIGHT, ["npm"], facts=OWN).checked == ("npm",)
    assert b"operating-system" not in asked[0]


def test_a_system_without_facts_is_a_note_and_nothing_is_run() -> None:
    def never(_: object) -> Iterable[Finding]:
        pytest.fail("was run")

    result = canary.check(never, never, ["go", "debian 13"], facts=OWN[1:])
    assert result == canary.CanaryResult(
        notes=(Note(NoteReason.NO_CANARY, "debian 13"), Note(NoteReason.NO_CANARY, "go"))
    )


def test_skipping_is_recorded() -> None:
    assert canary.skip().notes == (Note(NoteReason.UNSAFE_SKIP_CANARY),)


@pytest.mark.parametrize(
    ("system", "types", "keys"),
    [
        (System("debian", "13.8"), {"debian": 3}, ("debian 13",)),
        (System("ubuntu", "24.04"), {"ubuntu": 3, "gobinary": 1}, ("go", "ubuntu 24.04")),
        (System("alpine", "3.22.1"), {"node-pkg": 1, "npm": 1}, ("alpine 3.22", "npm")),
        (System("wolfi", ""), {}, ("wolfi",)),
        (None, {"jar": 1, "conda-pkg": 1}, ("maven",)),
    ],
)
def test_facts_are_kept_by_release_and_ecosystem(
    system: System | None, types: dict[str, int], keys: tuple[str, ...]
) -> None:
    assert canary.system_keys(Coverage(system=system, package_types=types)) == keys


FACT = """
[[fact]]
system = "debian 13"
id = "CVE-1"
package = "openssl"
present = "1-1"
fixed = "2-1"
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version = 1\nfact = []\n", "fact: no known answer"),
        ("version = 2\n" + FACT, "version: "),
        (
            "version = 1\n" + FACT.replace("present", "presnt"),
            r"fact\[0\]\.presnt: unknown key; nearest is `present`",
        ),
        ("version = 1\n" + FACT.replace("debian 13", "amiga 1"), r"fact\[0\]\.system: no specimen"),
        (
            "version = 1\n" + FACT + FACT.replace("1-1", "1-2"),
            r"fact\[1\]\.present: openssl has two versions",
        ),
        ("version = 1\n" + FACT.replace('"1-1"', "1"), r"fact\[0\]\.present: expected `str`"),
    ],
)
def test_a_wrong_file_of_known_answers_is_named_by_key(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "canary.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=f"{path}: {said}"):
        canary.load(path)


def test_known_answers_of_a_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "canary.toml"
    path.write_text("version = 1\n" + FACT)
    assert canary.load(path)[0].installed == "openssl"


def test_a_specimen_has_the_same_bytes_each_time() -> None:
    packages = [
        specimen.Installed(name="a", version="1"),
        specimen.Installed(type="node-pkg", name="b", version="1"),
    ]
    system = System("debian", "13")
    assert specimen.archive(packages, system=system) == specimen.archive(packages, system=system)
    assert specimen.sbom(packages, system=system) == specimen.sbom(packages, system=system)
