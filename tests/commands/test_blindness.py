"""Findings that vanish because nobody can see them any more: whole images and real Trivy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hullmark.errors import Exit
from hullmark.scanners.specimen import Installed, _layer_files
from tests.commands.project import DEBIAN, FIXED, OLD, SOURCE
from tests.smoke.images import file, make_archive, make_layer

if TYPE_CHECKING:
    from tests.commands.project import Project

ELF = b"\x7fELF" + bytes(60)
PROGRAMS = ("usr/bin/gnutls-cli", "usr/lib/x86_64-linux-gnu/libgnutls.so.30")


def image(project: Project, name: str, *layers: dict[str, bytes]) -> None:
    members = [make_layer([file(path, data) for path, data in layer.items()]) for layer in layers]
    make_archive(project.root / name, members)


def base_layer(version: str, *, owned: bool = True) -> dict[str, bytes]:
    """An image of Debian with a package, its files and its records."""
    packages = (
        Installed(name="gnutls-bin", version=version, source=SOURCE, source_version=version),
        Installed(name="zlib1g", version="1", source="zlib", source_version="1"),
    )
    files = {**_layer_files(packages, DEBIAN), **dict.fromkeys(PROGRAMS, ELF)}
    if owned:
        files["var/lib/dpkg/info/gnutls-bin.list"] = "".join(f"/{path}\n" for path in PROGRAMS).encode()
    return files


def without(version: str) -> dict[str, bytes]:
    """The records of an image from which one package's were taken out."""
    kept = (Installed(name="zlib1g", version="1", source="zlib", source_version="1"),)
    return {
        **_layer_files(kept, DEBIAN),
        "var/lib/dpkg/info/.wh.gnutls-bin.list": b"",
        "etc/v": version.encode(),
    }


@pytest.fixture
def db(project: Project) -> Project:
    project.database("db")
    return project


def gate(project: Project, base: str, head: str, code: int) -> Any:  # noqa: ANN401 - the decision
    document = project.json("gate", "--db", "db", "--base", f"app={base}", "--head", f"app={head}", code=code)
    return document["decision"]


def rules(decision: Any) -> set[str]:  # noqa: ANN401 - a decision
    return {reason["rule"] for reason in decision["reasons"]}


def test_a_repair_whose_files_were_seen_is_allowed(db: Project) -> None:
    image(db, "base.tar", base_layer(OLD))
    image(db, "head.tar", base_layer(FIXED))

    decision = gate(db, "base.tar", "head.tar", Exit.DONE)

    assert decision["verdict"] == "allow"
    assert decision["inputs"]["images"][0]["head"]["unowned_elf"] == 0


def test_an_image_that_lost_its_package_records_while_its_files_stay_blocks(db: Project) -> None:
    image(db, "base.tar", base_layer(OLD))
    image(db, "head.tar", base_layer(OLD), {"var/lib/.wh.dpkg": b""})

    decision = gate(db, "base.tar", "head.tar", Exit.BLOCK)

    assert rules(decision) == {"coverage-shrank"}
    head = decision["inputs"]["images"][0]["head"]
    assert head["unowned_elf"] == 2
    (note,) = [each for each in head["coverage"]["notes"] if each["reason"] == "unowned-elf"]
    assert note["detail"].startswith(", ".join(PROGRAMS))


def test_a_package_whose_records_went_while_its_files_stay_is_for_a_person(db: Project) -> None:
    image(db, "base.tar", base_layer(OLD))
    image(db, "head.tar", base_layer(OLD), without("1"))

    decision = gate(db, "base.tar", "head.tar", Exit.REVIEW)

    assert "unowned-rose" in rules(decision)
    details = [reason["details"] for reason in decision["reasons"] if reason["rule"] == "unowned-rose"]
    assert details == [["debian gnutls-bin"]]


def test_programs_that_nobody_ever_owned_do_not_count_as_a_rise(db: Project) -> None:
    image(db, "base.tar", base_layer(OLD, owned=False))
    image(db, "head.tar", base_layer(FIXED, owned=False))

    assert gate(db, "base.tar", "head.tar", Exit.DONE)["verdict"] == "allow"


def test_what_was_seen_of_a_recorded_base_is_compared_with_although_only_its_sbom_is_left(
    db: Project,
) -> None:
    image(db, "base.tar", base_layer(OLD, owned=False))
    assert db.run("record", "--db", "db", "app=base.tar") == Exit.DONE, db.err
    entries = map(json.loads, (db.root / "audit-logs/app/2026-02.jsonl").read_text().splitlines())
    (coverage,) = [entry["data"]["coverage"] for entry in entries if entry["type"] == "scan"]
    assert coverage["unowned_elf"] == 2
    image(db, "head.tar", base_layer(FIXED, owned=False))

    document = db.json("gate", "--db", "db", "--base", "app", "--head", "head.tar")

    base, head = (document["decision"]["inputs"]["images"][0][side] for side in ("base", "head"))
    assert (base["seen"], base["unowned_elf"], head["unowned_elf"]) == ("sbom", 2, 2)
    assert document["decision"]["verdict"] == "allow"


def test_files_that_cannot_be_judged_are_never_allowed(db: Project) -> None:
    image(db, "base.tar", base_layer(OLD))
    image(db, "head.tar", {**base_layer(FIXED), "var/lib/rpm/rpmdb.sqlite": b"SQLite"})

    decision = gate(db, "base.tar", "head.tar", Exit.REVIEW)

    assert "files-not-seen" in rules(decision)
