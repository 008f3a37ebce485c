"""`hullmark push`: what was scanned, into a real registry, pulled again by skopeo."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from datetime import date
from typing import TYPE_CHECKING

import pytest

from hullmark.build.archive import inspect_archive
from hullmark.config import load_project
from hullmark.errors import Exit
from hullmark.event import Kept
from hullmark.image import LINUX_AMD64
from hullmark.journal import Journal
from hullmark.pushed import find_published, find_pushes, kept_tags
from hullmark.revision import BuildInputs, WorkingTree
from tests.commands.project import FIXED, OLD
from tests.layouts import inspect, pull, skopeo, write_layout
from tests.scanners.support import registry, require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hullmark.event import Pushed
    from tests.commands.project import Project

PLATFORMS = 'version = 1\n[images.app]\nplatforms = ["linux/amd64", "linux/arm64"]\n'


class Shop:
    """A project whose images go into a registry."""

    def __init__(self, project: Project, host: str) -> None:
        self.project = project
        self.place = f"{host}/team"
        self.database = project.database("db", until=date(2026, 2, 1))

    def scan(self, version: str = OLD, *architectures: str) -> dict[str, str]:
        """Build an image, and record what it holds."""
        layout = self.project.root / "dist/app"
        shutil.rmtree(layout, ignore_errors=True)
        digests = write_layout(layout, *(architectures or ("amd64",)), version=version)
        assert self.project.run("record", "--db", self.database) == Exit.DONE, self.project.err
        return digests

    def push(self, *more: str) -> int:
        return self.project.run("push", "--registry", self.place, "--db", self.database, *more)

    @property
    def reference(self) -> str:
        return f"{self.place}/app"

    @property
    def journal(self) -> Journal:
        return Journal(self.project.root / "audit-logs")

    def events(self) -> list[Pushed]:
        return [event for _, event in find_pushes(self.journal, "app")]


@pytest.fixture
def shop(project: Project, tmp_path: Path) -> Iterator[Shop]:
    for program in ("docker-registry", "skopeo"):
        require(program)
    with registry(tmp_path) as host:
        yield Shop(project, host)


def test_what_was_scanned_is_what_is_published(shop: Shop, tmp_path: Path) -> None:
    scanned = shop.scan()["amd64"]

    assert shop.push() == Exit.DONE, shop.project.err

    assert pull(f"{shop.reference}:latest", tmp_path / "pulled")["digest"] == scanned
    (event,) = shop.events()
    assert (event.digest, event.images, event.kept) == (scanned, {"linux/amd64": scanned}, None)
    assert event.verdict == "review"
    assert shop.journal.evidence.has(event.decision or pytest.fail("no decision"))
    assert "the tag latest names it" in shop.project.out
    assert shop.project.run("verify") == Exit.DONE


def test_every_platform_goes_under_one_index_with_the_digests_that_were_scanned(
    shop: Shop, tmp_path: Path
) -> None:
    (shop.project.root / "hullmark.toml").write_text(PLATFORMS)
    scanned = shop.scan(OLD, "amd64", "arm64")

    assert shop.push() == Exit.DONE, shop.project.err

    index = pull(f"{shop.reference}:latest", tmp_path / "pulled")
    named = {each["platform"]["architecture"]: each["digest"] for each in index["manifests"]}
    assert named == scanned
    (event,) = shop.events()
    assert event.digest == index["digest"]


def test_an_archive_without_a_manifest_keeps_its_image_id_and_always_gets_the_same_manifest(
    shop: Shop, tmp_path: Path
) -> None:
    (shop.project.root / "dist").mkdir()
    shop.project.image("dist/app.tar")
    shop.project.run("record", "--db", shop.database)
    scanned = shop.journal.timelines("app")["linux/amd64"].latest.digest

    assert shop.push() == Exit.DONE, shop.project.err
    (event,) = shop.events()
    manifest = pull(f"{shop.reference}:latest", tmp_path / "pulled")
    assert (manifest["config"]["digest"], manifest["digest"]) == (scanned, event.digest)

    assert shop.push() == Exit.DONE
    assert "it was there already" in shop.project.out
    assert len(shop.events()) == 1


def test_a_second_run_changes_nothing(shop: Shop) -> None:
    shop.scan()
    shop.push()
    before = shop.project.files()
    tags = skopeo("list-tags", "--tls-verify=false", f"docker://{shop.reference}")

    assert shop.push() == Exit.DONE

    assert "it was there already" in shop.project.out
    assert shop.project.files() == before
    assert skopeo("list-tags", "--tls-verify=false", f"docker://{shop.reference}") == tags


def test_the_tag_moves_to_what_is_better_and_stays_before_what_is_worse(shop: Shop) -> None:
    better = shop.scan(FIXED)["amd64"]
    shop.push()
    worse = shop.scan(OLD)["amd64"]

    assert shop.push() == Exit.BLOCK

    assert inspect(f"{shop.reference}:latest")["digest"] == better
    assert inspect(f"{shop.reference}@{worse}")["digest"] == worse
    assert shop.events()[-1].kept is Kept.BLOCKED
    assert (find_published(shop.journal, "app") or pytest.fail("nothing")).digest == better
    assert kept_tags(shop.journal) == {"app": "stays where it was: the build was blocked on 2026-02-01"}

    shop.scan(FIXED)
    assert shop.push() == Exit.DONE
    assert kept_tags(shop.journal) == {}


def test_a_release_that_is_better_replaces_the_one_before_and_says_what_it_was(shop: Shop) -> None:
    worse = shop.scan(OLD)["amd64"]
    shop.push()
    better = shop.scan(FIXED)["amd64"]

    assert shop.push() == Exit.DONE, shop.project.err

    assert inspect(f"{shop.reference}:latest")["digest"] == better
    assert (shop.events()[-1].verdict, shop.events()[-1].before) == ("allow", worse)


def test_any_other_digest_than_what_was_scanned_is_refused(shop: Shop) -> None:
    shop.scan()
    shutil.rmtree(shop.project.root / "dist/app")
    other = write_layout(shop.project.root / "dist/app", "amd64", version=FIXED)["amd64"]

    assert shop.push() == Exit.ERROR

    assert f"linux/amd64 is {other}, which nobody scanned" in shop.project.out
    assert shop.events() == []


def test_an_image_that_is_not_whole_is_not_pushed_and_its_tag_stays(shop: Shop) -> None:
    published = shop.scan()["amd64"]
    shop.push()
    shutil.rmtree(shop.project.root / "dist/app")

    assert shop.push() == Exit.INCOMPLETE

    assert "its tag stays where it was" in shop.project.out
    assert inspect(f"{shop.reference}:latest")["digest"] == published
    assert kept_tags(shop.journal) == {
        "app": "stays where it was: incomplete on 2026-02-01: it was not built"
    }


def test_a_tag_that_somebody_else_moved_is_left_alone_unless_its_digest_is_given(shop: Shop) -> None:
    shop.scan(OLD)
    shop.push()
    stranger = write_layout(shop.project.root / "other", "amd64", version="9-9")["amd64"]
    source = f"oci:{shop.project.root / 'other'}"
    skopeo(
        "copy", "--dest-tls-verify=false", "--preserve-digests", source, f"docker://{shop.reference}:latest"
    )
    ours = shop.scan(FIXED)["amd64"]

    assert shop.push() == Exit.ERROR
    assert f"latest names {stranger}, which does not come from this repository" in shop.project.out
    assert inspect(f"{shop.reference}:latest")["digest"] == stranger

    assert shop.push("--over", stranger) == Exit.DONE, shop.project.out
    assert inspect(f"{shop.reference}:latest")["digest"] == ours
    assert shop.events()[-1].before == stranger


def test_killed_at_any_moment_the_next_run_ends_well(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dies at each request in turn, and at the record; a run for a newer commit comes next."""
    from hullmark.registry.client import Registry

    original = Registry._carry
    for version, killed_at in ((OLD, 1), (FIXED, 5), (OLD + "+b1", 9), (FIXED + "+b1", 14)):
        scanned = shop.scan(version)["amd64"]
        left = killed_at

        def carry(self: Registry, *arguments: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
            return original(self, *arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(Registry, "_carry", carry)
        assert shop.push() == Exit.INTERRUPTED
        monkeypatch.setattr(Registry, "_carry", original)
    shop.scan(FIXED + "+b2")
    assert shop.push() == Exit.DONE, shop.project.out
    assert scanned != inspect(f"{shop.reference}:latest")["digest"] == shop.events()[-1].digest


def test_nothing_is_pushed_where_that_is_turned_off(shop: Shop) -> None:
    (shop.project.root / "hullmark.toml").write_text("version = 1\n[images.app]\n[publish]\nimages = false\n")
    shop.scan()

    assert shop.push() == Exit.DONE
    assert "nothing is pushed" in shop.project.out
    assert shop.events() == []


def test_a_registry_that_is_down_is_said_and_loses_nothing(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hullmark.registry.client.PAUSE", 0.01)
    with registry(tmp_path) as host:
        shop = Shop(project, host)
    shop.scan()

    assert shop.push() == Exit.ERROR

    assert "no answer" in project.out
    assert shop.events() == []
    assert project.run("verify") == Exit.DONE


def test_what_a_sample_judged_goes_to_a_registry_of_this_machine_only(shop: Shop) -> None:
    shop.scan()

    assert (
        shop.project.run("push", "--registry", "registry.example/team", "--db", shop.database) == Exit.ERROR
    )

    assert "a registry of this machine only" in shop.project.out


def test_judging_and_pushing_may_be_two_steps_of_which_the_second_needs_no_scanner(shop: Shop) -> None:
    scanned = shop.scan()["amd64"]
    assert shop.push("--judged") == Exit.INCOMPLETE
    assert "no decision over app was recorded" in shop.project.out

    assert shop.push("--judge") == Exit.DONE, shop.project.out
    assert shop.events() == []
    arguments = ("push", "--judged", "--registry", shop.place, "--db", "nowhere")
    assert shop.project.run(*arguments) == Exit.DONE, shop.project.out
    assert inspect(f"{shop.reference}:latest")["digest"] == scanned


def test_sbom_and_decision_lie_beside_the_image(shop: Shop) -> None:
    scanned = shop.scan()["amd64"]
    shop.push()

    listed = inspect(f"{shop.reference}:{scanned.replace(':', '-')}")

    kinds = [each["artifactType"] for each in listed["manifests"]]
    assert kinds == ["application/vnd.cyclonedx+json", "application/vnd.in-toto+json"]
    sbom = inspect(f"{shop.reference}@{listed['manifests'][0]['digest']}")
    assert sbom["subject"]["digest"] == scanned
    (layer,) = sbom["layers"]
    assert shop.journal.evidence.has(layer["digest"])


def test_what_an_image_was_built_from_lies_beside_it_where_it_is_about_this_image(shop: Shop) -> None:
    scanned = shop.scan()["amd64"]
    place = shop.project.root / "dist/app.evidence/linux-amd64/provenance.json"
    place.parent.mkdir(parents=True)
    statement = {"subject": [{"name": "app", "digest": {"sha256": scanned.removeprefix("sha256:")}}]}
    place.write_text(json.dumps(statement))
    shop.push()

    (shop.project.root / "dist/app.evidence").rename(shop.project.root / "kept")
    better = shop.scan(FIXED)["amd64"]
    (shop.project.root / "kept").rename(shop.project.root / "dist/app.evidence")
    shop.push()

    listed = {
        digest: inspect(f"{shop.reference}:{digest.replace(':', '-')}")["manifests"]
        for digest in (scanned, better)
    }
    assert [len(each) for each in listed.values()] == [3, 2]
    (layer,) = inspect(f"{shop.reference}@{listed[scanned][1]['digest']}")["layers"]
    assert layer["digest"] == f"sha256:{hashlib.sha256(place.read_bytes()).hexdigest()}"


def test_cosign_signs_where_that_may_be_public_and_its_absence_is_said(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not part of Debian: what stands in for it keeps what it was given."""
    shop.scan()
    shop.push()
    assert "not signed by cosign: `publish.public` is not true" in shop.project.out

    (shop.project.root / "hullmark.toml").write_text("version = 1\n[images.app]\n[publish]\npublic = true\n")
    shop.scan(FIXED)
    shop.push()
    assert "not signed by cosign: it is not installed" in shop.project.out

    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "cosign").write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/given\nenv >>{tmp_path}/given\n')
    (bin_ / "cosign").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:{os.environ['PATH']}")
    monkeypatch.setenv("GITHUB_TOKEN", "not-for-cosign")
    shop.scan(FIXED + "+b1")
    assert shop.push() == Exit.DONE, shop.project.out

    assert "signed by cosign" in shop.project.out
    command, *environ = (tmp_path / "given").read_text().splitlines()
    assert command == f"sign --yes --recursive {shop.reference}@{shop.events()[-1].digest}"
    assert not [line for line in environ if "not-for-cosign" in line]


def test_what_was_never_pushed_as_it_is_here_is_pending(shop: Shop) -> None:
    folder = shop.project.root / "images/app"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")

    assert shop.project.run("pending") == Exit.INCOMPLETE
    assert shop.project.out == "never pushed as it is here: app\n"

    shop.scan()
    write_inputs_of(shop)
    shop.project.run("record", "--db", shop.database)
    shop.push()
    assert shop.project.json("pending") == {"pending": [], "started": False, "reason": ""}

    (folder / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    assert shop.project.json("pending", code=Exit.INCOMPLETE)["pending"] == ["app"]
    (shop.project.root / "hullmark.toml").write_text("version = 1\n[images.app]\n[publish]\nimages = false\n")
    assert shop.project.run("pending") == Exit.DONE


def write_inputs_of(shop: Shop) -> None:
    """Keep what the image was built from beside it, as `hullmark build` does."""
    project = load_project(shop.project.root)
    inputs = BuildInputs(WorkingTree(project.root), project).digest("app", LINUX_AMD64)
    image = inspect_archive(shop.project.root / "dist/app").only()
    known = {"platform": "linux/amd64", "digest": image.digest, "config": image.config, "inputs": inputs}
    place = shop.project.root / "dist/app.inputs.json"
    place.write_text(json.dumps({"version": 1, "images": [known]}))


def test_a_smoke_test_that_was_not_made_blocks_only_where_it_is_required(shop: Shop) -> None:
    folder = shop.project.root / "images/app"
    folder.mkdir(parents=True)
    check = '[[smoke.checks]]\nname = "answers"\ncheck = "tcp"\nport = 80\n'
    (folder / "smoke.toml").write_text(f"version = 1\n[smoke]\n{check}")
    shop.scan()
    assert "NOT TESTED" in shop.project.out

    assert shop.push() == Exit.BLOCK

    where = '[smoke]\nplatforms = ["linux/arm64"]\n'
    (shop.project.root / "hullmark.toml").write_text(f"version = 1\n[images.app]\n{where}")
    assert shop.push() == Exit.DONE, shop.project.out
