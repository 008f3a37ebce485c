"""Which images a change affects, with what each is compared, and what judges it."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from hullmark.decision import Absence, Expected, Touched
from hullmark.errors import InputError, RepositoryError
from hullmark.image import LINUX_AMD64, Digest
from hullmark.journal import Journal
from hullmark.plan import BaseKind, Effect, Plan, make_plan
from hullmark.recording import begin_run
from hullmark.revision import BuildInputs, Commit, load_revision
from hullmark.scan import Gap, GapReason
from tests.repositories import commit, new_repository, switch
from tests.scripts.test_make_schemas import check
from tests.values import HIGH, run_started, scan_of

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 20, 9, tzinfo=UTC)
CONFIG = 'version = 1\n[images.app]\npackage_types = ["debian", "npm"]\n[images.web]\n'
FILES = {
    "hullmark.toml": CONFIG,
    "images/app/image.toml": "title = 'a'\n",
    "images/app/packages.lock": "1",
    "images/web/Dockerfile": "FROM scratch\n",
}
EXEMPTION = """version = 1
[[exemptions]]
id = "CVE-2026-1"
images = ["app"]
owner = "@team"
reason = "Not reached."
expires = 2026-12-01
status = "affected"
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    new_repository(tmp_path)
    commit(tmp_path, FILES)
    switch(tmp_path, "topic", new=True)
    return tmp_path


def plan(root: Path, files: dict[str, str | None]) -> Plan:
    """The plan of a change that writes `files`."""
    commit(root, files)
    return make_plan(root, "main", "topic", Journal(root / "audit-logs"))


def inputs_of(root: Path, revision: str, image: str = "app") -> Digest:
    at = Commit(root, revision)
    project = load_revision(at)
    assert project is not None
    return BuildInputs(at, project).digest(image, LINUX_AMD64)


def record(root: Path, inputs: Digest, *, image: str = "app", sbom: str = "1", day: int = 0) -> Journal:
    """Record a scan of an image that was built from `inputs`."""
    journal = Journal(root / "audit-logs")
    run = run_started(database="a")
    scan = msgspec.structs.replace(scan_of(HIGH, run=run, sbom=sbom), image=image)
    with begin_run(journal, run, now=NOW + timedelta(days=day), clock_overridden=True) as recording:
        recording.add(scan, sbom.encode(), lambda _: (HIGH,), inputs=inputs)
        recording.finish((f"{image} linux/amd64",), {})
    return journal


def test_an_image_whose_build_inputs_are_equal_in_base_and_head_is_unaffected_and_is_not_built(
    repository: Path,
) -> None:
    made = plan(repository, {"images/app/packages.lock": "2", "README.md": "new"})

    app, web = made.images
    assert (app.effect, web.effect) == (Effect.INPUTS_CHANGED, Effect.INPUTS_UNCHANGED)
    assert (made.build_base, made.build_head) == (("app",), ("app",))
    assert made.expected == ("app linux/amd64", "web linux/amd64")
    assert (web.base, web.absence) == (BaseKind.NONE, Absence.NEVER_RECORDED)


def test_what_the_change_is_compared_with_is_the_commit_that_base_and_head_both_go_back_to(
    repository: Path,
) -> None:
    origin = Commit(repository, "main").id
    switch(repository, "main")
    tip = commit(repository, {"images/web/Dockerfile": "FROM x\n", "hullmark.toml": CONFIG + "[images.z]\n"})
    switch(repository, "topic")

    made = plan(repository, {"images/app/image.toml": "title = 'b'\n"})

    assert (made.base, made.origin) == (tip, origin)
    assert [image.image for image in made.images] == ["app", "web"]
    assert [image.effect for image in made.images] == [Effect.INPUTS_CHANGED, Effect.INPUTS_UNCHANGED]
    assert made.touched == ()


def test_the_base_of_an_image_is_the_newest_record_with_the_same_inputs_where_a_lock_fixes_the_content(
    repository: Path,
) -> None:
    inputs = inputs_of(repository, "main")
    record(repository, inputs, sbom="first")
    record(repository, inputs, sbom="second", day=1)
    journal = record(repository, inputs_of(repository, "main", "web"), sbom="third", day=2)
    commit(repository, {"images/app/packages.lock": "2", "images/web/Dockerfile": "FROM x\n"})

    made = make_plan(repository, "main", "topic", journal)

    app, web = made.images
    assert app.base is BaseKind.RECORDED
    assert app.recorded is not None
    assert journal.evidence.get(app.recorded.sbom) == b"second"
    assert (web.base, web.recorded) == (BaseKind.BUILD, None)
    assert (made.build_base, made.build_head) == (("web",), ("app", "web"))


def test_an_image_that_no_lock_fixes_is_built_and_its_record_shows_how_far_a_rebuild_drifts(
    repository: Path,
) -> None:
    journal = record(repository, inputs_of(repository, "main", "web"), image="web")
    commit(repository, {"images/web/Dockerfile": "FROM x\n"})

    web = make_plan(repository, "main", "topic", journal).images[1]

    assert web.base is BaseKind.BUILD
    assert web.recorded is not None


@pytest.mark.parametrize(
    ("config", "expected", "effect"),
    [
        (CONFIG + "[images.new]\n", Expected.HEAD_ONLY, Effect.JOINS),
        (
            CONFIG.replace("[images.web]", '[images.web]\nplatforms=["linux/amd64", "linux/arm64"]'),
            Expected.HEAD_ONLY,
            Effect.JOINS,
        ),
        (CONFIG.replace("[images.web]\n", ""), Expected.BASE_ONLY, Effect.RETIRED),
    ],
)
def test_an_image_or_platform_in_both_is_expected_one_only_in_base_is_retired_one_only_in_head_joins(
    repository: Path, config: str, expected: Expected, effect: Effect
) -> None:
    made = plan(repository, {"hullmark.toml": config, "images/new/Dockerfile": "FROM scratch\n"})

    (other,) = [image for image in made.images if image.expected is not Expected.BOTH]
    assert (other.expected, other.effect, other.base) == (expected, effect, BaseKind.NONE)
    assert other.label not in made.expected
    assert (other.image in made.build_head) is (effect is Effect.JOINS)
    assert [touch.what for touch in made.touched] == [Touched.CONFIGURATION]


def test_without_a_configuration_in_base_every_image_joins(repository: Path) -> None:
    switch(repository, "main")
    commit(repository, {"hullmark.toml": None})
    switch(repository, "new", new=True)
    commit(repository, {"hullmark.toml": CONFIG})

    made = make_plan(repository, "main", "new", Journal(repository / "audit-logs"))

    assert [image.absence for image in made.images] == [Absence.NO_CONFIGURATION] * 2


def test_a_package_type_that_head_no_longer_expects_is_coverage_that_the_change_narrows(
    repository: Path,
) -> None:
    app, web = plan(repository, {"hullmark.toml": CONFIG.replace('"debian", "npm"', '"debian"')}).images

    assert app.declared == (Gap(GapReason.MISSING_TYPE, "npm"),)
    assert app.effect is Effect.INPUTS_CHANGED
    assert web.declared == ()


@pytest.mark.parametrize(
    ("files", "file", "message"),
    [
        ({"hullmark.toml": "version = 2\n"}, "hullmark.toml", "version"),
        ({"hullmark.toml": CONFIG + "[gate]\nrules = [{}]\n"}, "hullmark.toml", "gate.rules[0]"),
        ({"exemptions.toml": "version = 1\n[[exemptions]]\nid = 'x'\n"}, "exemptions.toml", "exemptions[0]"),
        ({"exemptions.toml": "\x00"}, "exemptions.toml", "not TOML"),
    ],
)
def test_a_file_that_judges_and_cannot_be_read_is_named_never_left_out(
    repository: Path, files: dict[str, str | None], file: str, message: str
) -> None:
    made = plan(repository, files)

    (unusable,) = made.unusable
    assert unusable.file == f"{made.head[:12]}:{file}"
    assert message in unusable.message
    if message == "version":
        assert made.images == ()


def test_a_folder_that_cannot_be_read_is_named_in_head_and_built_anew_in_base(repository: Path) -> None:
    (repository / "images/app/link").symlink_to("image.toml")
    made = plan(repository, {})
    assert [one.file for one in made.unusable] == [f"{made.head[:12]}:images/app"]
    assert made.images[0].effect is Effect.INPUTS_CHANGED

    switch(repository, "main")
    subject = repository / "images/app/link"
    subject.symlink_to("image.toml")
    commit(repository, {})
    switch(repository, "repair", new=True)
    subject.unlink()
    commit(repository, {})
    made = make_plan(repository, "main", "repair", Journal(repository / "audit-logs"))
    assert made.unusable == ()
    assert made.images[0].base is BaseKind.BUILD
    assert "a link; put the file itself there" in made.images[0].detail


def test_exemptions_that_head_adds_are_those_that_its_origin_does_not_have(repository: Path) -> None:
    switch(repository, "main")
    commit(repository, {"exemptions.toml": EXEMPTION})
    switch(repository, "more", new=True)
    other = EXEMPTION.replace("version = 1\n", "").replace("CVE-2026-1", "CVE-2026-2")
    commit(repository, {"exemptions.toml": EXEMPTION + other})
    switch(repository, "main")
    commit(repository, {"exemptions.toml": None})

    made = make_plan(repository, "main", "more", Journal(repository / "audit-logs"))

    assert [entry.id for entry in made.added_exemptions] == ["CVE-2026-2"]
    assert [touch.what for touch in made.touched] == [Touched.EXEMPTIONS]


def test_a_plan_reads_back_as_it_was_written(repository: Path) -> None:
    record(repository, inputs_of(repository, "main"))
    made = plan(repository, {"images/app/packages.lock": "2", "exemptions.toml": EXEMPTION})

    assert msgspec.json.decode(msgspec.json.encode(made), type=Plan) == made
    check("plan/1.json", json.loads(msgspec.json.encode(made)))


def test_revisions_that_share_no_history_or_do_not_exist_are_refused(repository: Path) -> None:
    journal = Journal(repository / "audit-logs")
    with pytest.raises(InputError, match="no commit 'nowhere'"):
        make_plan(repository, "nowhere", "topic", journal)
    subprocess.run(["git", "checkout", "-q", "--orphan", "alone"], cwd=repository, check=True)
    commit(repository, {"other": "1"})
    with pytest.raises(RepositoryError, match="share no history"):
        make_plan(repository, "main", "alone", journal)
