"""What somebody does who wants the record lost, or a vulnerable image called clean."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import EnvironmentFaultError, Exit, HullmarkError, InputError, RepositoryError
from hullmark.event import LedgerStarted, format_event
from hullmark.image import LINUX_AMD64
from hullmark.journal import Journal
from hullmark.ledger import Store
from hullmark.pipeline import Missing, Source
from hullmark.projection import MANIFEST, read_manifest, write_generated
from hullmark.scanners import sample
from hullmark.verification import FaultKind, verify_history
from hullmark.weekly import SUMMARY, refuse_foreign
from tests.commands.project import FIXED

if TYPE_CHECKING:
    from tests.commands.project import Project


def recorded(project: Project) -> str:
    """Record one image, and return its database."""
    database = project.database("db")
    assert project.run("record", "--db", database, f"app={project.image('app.tar')}") == Exit.DONE
    return database


def write_manifest(root: Path, content: bytes) -> None:
    (root / MANIFEST).parent.mkdir(parents=True)
    (root / MANIFEST).write_bytes(content)


def test_a_list_of_generated_files_never_costs_a_file_that_nobody_generates(project: Project) -> None:
    database = recorded(project)
    before = project.files()
    (project.root / "docs/data/generated.json").write_text('["audit-logs/app/2026-02.jsonl"]')

    assert project.run("record", "--db", database, "app=app.tar") == Exit.ERROR

    assert "docs/data/generated.json: [0]: 'audit-logs/app/2026-02.jsonl' is no file" in project.err
    after = project.files()
    assert all(after[name].startswith(before[name]) for name in before if name.endswith(".jsonl"))
    assert project.run("verify") == Exit.DONE


@pytest.mark.parametrize(
    "listed",
    [
        "audit-logs/./app/2026-02.jsonl",
        "audit-logs/.gitattributes",
        "cve-baseline/app/notes.json",
        "cve-baseline/notes.md",
        "cve-baseline/\0.json",
        "../outside.json",
        "/etc/passwd",
    ],
)
def test_a_path_that_nobody_generates_is_refused(tmp_path: Path, listed: str) -> None:
    write_manifest(tmp_path, json.dumps([listed]).encode())

    with pytest.raises(InputError, match=r"generated\.json: \[0\]: "):
        read_manifest(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[1]", b"[" * 100_000, b'["\xff"]'])
def test_a_damaged_list_of_generated_files_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    write_manifest(tmp_path, content)

    with pytest.raises(InputError, match=r"generated\.json: not a list of paths") as raised:
        read_manifest(tmp_path)
    assert raised.value.hint == "Delete it; the next run writes it."


def test_generated_files_are_not_written_through_a_link_that_leads_out_of_the_repository(
    tmp_path: Path,
) -> None:
    outside, root = tmp_path / "outside", tmp_path / "repository"
    outside.mkdir()
    root.mkdir()
    (root / "cve-baseline").symlink_to(outside)

    with pytest.raises(RepositoryError, match="cve-baseline: is a symbolic link"):
        write_generated(root, {"cve-baseline/app.json": b"{}"}, folders=())
    assert not list(outside.iterdir())


def test_a_folder_in_the_place_of_a_generated_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "cve-baseline/old.json").mkdir(parents=True)
    write_manifest(tmp_path, b'["cve-baseline/old.json"]')

    with pytest.raises(EnvironmentFaultError, match=r"cve-baseline/old\.json: Is a directory"):
        write_generated(tmp_path, {}, folders=("cve-baseline/",))


def oci_half(archive: bytes) -> dict[str, bytes]:
    """The image of a docker-archive as the members of an OCI layout, as newer `docker save` adds them."""
    files = members(archive)
    (saved,) = json.loads(files["manifest.json"])
    config, layer = files[saved["Config"]], files[saved["Layers"][0]]
    manifest = json.dumps({"config": descriptor(config), "layers": [descriptor(layer)]}).encode()
    index = json.dumps({"manifests": [descriptor(manifest)]}).encode()
    blobs = {f"blobs/sha256/{sha256(data).hexdigest()}": data for data in (config, layer, manifest)}
    return {**blobs, "index.json": index, "oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}


def descriptor(data: bytes) -> dict[str, object]:
    return {"digest": f"sha256:{sha256(data).hexdigest()}", "size": len(data)}


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr] # files have content


def pack(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def test_an_archive_that_describes_two_images_is_not_scanned_as_one_and_loaded_as_the_other(
    project: Project,
) -> None:
    harmless = (project.root / project.image("harmless.tar", version=FIXED)).read_bytes()
    vulnerable = (project.root / project.image("vulnerable.tar")).read_bytes()
    (project.root / "both.tar").write_bytes(pack({**members(harmless), **oci_half(vulnerable)}))

    assert project.run("scan", "both.tar", "--db", project.database("db")) == Exit.ERROR
    assert "both.tar: " in project.err


def test_what_is_recorded_of_a_failure_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    path = Path("../somebody/app\udce9.json")
    error = InputError("Trivy says /root/x/db/trivy.db is gone", file=path)
    for message in (error.message, f"{path.absolute()}: {tmp_path}/out.json: bad"):
        missing = Missing(
            source=Source(image="app", platform=LINUX_AMD64, path=path), error=HullmarkError(message)
        )
        assert "/" not in missing.reason
        assert missing.reason.startswith("app\\udce9.json: ")


def test_a_file_whose_name_is_not_utf_8_is_scanned_recorded_and_named(project: Project) -> None:
    database, name = project.database("db"), os.fsdecode(b"a\xe9\nb.tar")
    project.image(name)
    assert project.run("scan", f"./{name}", "--db", database, "--json") == Exit.DONE
    (project.root / name).write_bytes(b"not a tar")

    assert project.run("record", "--db", database, f"app=./{name}") == Exit.INCOMPLETE
    assert r"a\udce9\nb.tar" in project.out
    assert project.run("record", "--db", database, f"app=./{name}", "--json") == Exit.INCOMPLETE
    assert project.run("verify") == Exit.DONE
    assert "interrupted" not in project.out


def test_an_image_that_is_given_twice_is_refused(project: Project) -> None:
    database, image = project.database("db"), project.image("app.tar")

    assert project.run("record", "--db", database, f"app={image}", "app=other.tar") == Exit.USAGE
    assert "given twice: app linux/amd64" in project.err

    pair = (f"app={image}", f"app@linux/amd64={image}")
    assert project.run("record", "--db", database, *pair) == Exit.USAGE
    assert "given twice: app linux/amd64" in project.err


def test_a_platform_that_is_none_is_refused(project: Project) -> None:
    database, image = project.database("db"), project.image("app.tar")

    assert project.run("record", "--db", database, f"app@windows={image}") == Exit.USAGE
    assert "'windows'" in project.err


def test_an_sbom_that_says_itself_that_it_is_of_another_image_is_refused(project: Project) -> None:
    database = recorded(project)
    known = (project.root / "cve-baseline/app.cdx.json").read_bytes()
    edited = project.root / "app.json"

    def said(**change: str) -> str:
        edited.write_bytes(changed(known, change))
        assert project.run("record", "--db", database, "app=app.json") == Exit.INCOMPLETE
        return project.out

    assert "is the SBOM of 'web', not of 'app'" in said(name="web")
    assert "its packages are for arm64, expected linux/amd64" in said(architecture="arm64")
    assert "metadata.component.version: " in said(version="sha256:\x1b[31m")
    assert "metadata.component.properties.ImageID: " in said(version="", ImageID="/root/secret")
    assert "/root" not in str(project.files())


def changed(sbom: bytes, change: dict[str, str]) -> bytes:
    """A normalised SBOM with another name, version, image id or architecture."""
    document = json.loads(sbom)
    root = document["metadata"]["component"]
    root |= {key: value for key, value in change.items() if key in root}
    for entry in root["properties"]:
        entry["value"] = change.get(entry["name"].rpartition(":")[2], entry["value"])
    architecture = change.get("architecture", "amd64")
    return json.dumps(document).replace("arch=amd64", f"arch={architecture}").encode()


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000, b'{"origin":"\xff"}', b'{"a":' * 100_000])
def test_a_damaged_summary_is_not_overwritten_silently(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SUMMARY).parent.mkdir(parents=True)
    (tmp_path / SUMMARY).write_bytes(content)

    with pytest.raises(InputError, match=r"security-summary\.json: not a summary"):
        refuse_foreign(tmp_path)


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        (">/dev/full", Exit.ERROR, "error: standard output: No space left on device\n"),
        (">&-", Exit.DONE, ""),
        (">/dev/null 2>&-", Exit.DONE, ""),
    ],
)
def test_an_output_that_takes_nothing_is_no_traceback(
    project: Project, redirection: str, code: int, said: str
) -> None:
    command = f"{sys.executable} -m hullmark --help {redirection}"

    ended = subprocess.run(
        ["/bin/bash", "-c", command], cwd=project.root, capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stderr) == (code, said)


def test_a_reader_who_left_is_no_traceback(project: Project) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as output:
        ended = subprocess.run(
            [sys.executable, "-m", "hullmark", "--help"],
            cwd=project.root,
            stdout=output,
            stderr=subprocess.PIPE,
            check=False,
        )

    assert (ended.returncode, ended.stderr) == (Exit.ERROR, b"")


def test_text_that_the_terminal_cannot_show_is_written_out(project: Project) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}

    ended = subprocess.run(
        [sys.executable, "-m", "hullmark", "history", "caf\xe9"],
        cwd=project.root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == Exit.ERROR
    assert "Traceback" not in ended.stderr


def test_a_database_older_than_the_one_of_the_run_before_resolves_nothing(project: Project) -> None:
    project.at("2026-03-01T09:00:00+00:00")
    recorded(project)
    sample.build((), folder=project.root / "older", updated_at=datetime(2026, 1, 1, tzinfo=UTC))
    before = project.files()
    project.at("2026-03-08T09:00:00+00:00")

    assert project.run("record", "--db", "older", "app=app.tar") == Exit.INCOMPLETE

    assert "the database is of 2026-01-01T00:00:00Z" in project.err
    assert "next: Fetch a newer one" in project.err
    assert project.files() == before


def test_a_database_from_the_future_does_not_lock_the_ledger(project: Project) -> None:
    sample.build((), folder=project.root / "future", updated_at=datetime(2099, 1, 1, tzinfo=UTC))
    image, database = project.image("app.tar"), project.database("db")

    assert project.run("record", "--db", "future", f"app={image}") == Exit.DONE
    assert project.run("record", "--db", database, f"app={image}") == Exit.DONE


def test_a_ledger_that_was_lost_or_copied_is_named_and_nothing_is_added_to_it(project: Project) -> None:
    database = recorded(project)
    ledgers = project.root / "audit-logs"
    shutil.copytree(ledgers / "app", ledgers / "web")
    assert project.run("verify") == Exit.BLOCK
    assert "foreign-scan: web/2026-02.jsonl:2: " in project.out
    shutil.rmtree(ledgers / "web")

    (ledgers / "app").rename(project.root / "app")
    before = project.files()
    assert project.run("record", "--db", database, "app=app.tar") == Exit.BLOCK
    assert project.run("summary") == Exit.BLOCK
    assert "audit-logs/app: an entry that a run record covers" in project.err
    assert project.files() == before
    (project.root / "app").rename(ledgers / "app")

    shutil.rmtree(ledgers / "runs")
    assert project.run("verify") == Exit.BLOCK
    assert "which the ledger of runs does not have" in project.out


def test_sample_and_real_ledgers_side_by_side_are_a_fault(tmp_path: Path) -> None:
    for name, is_sample in (("app", True), ("web", False)):
        with Store(tmp_path).writer() as writer:
            type_, data = format_event(LedgerStarted(sample=is_sample, hullmark="0"))
            writer.append(name, type_, data, now=datetime(2026, 1, 1, tzinfo=UTC))

    (fault,) = verify_history(Journal(tmp_path)).faults

    assert (fault.kind, fault.file, fault.line) == (FaultKind.MIXTURE, "web/2026-01.jsonl", 1)


def test_a_clock_that_went_back_makes_no_summary_before_what_was_recorded(project: Project) -> None:
    project.at("2026-03-01T09:00:00+00:00")
    recorded(project)
    project.at("1970-01-01T00:00:00+00:00")

    assert project.run("summary") == Exit.DONE

    summary = json.loads((project.root / SUMMARY).read_text())
    assert summary["generatedAt"] == "2026-03-01T09:00:00Z"
    assert [point["date"] for point in summary["trend"]] == ["2026-03-01"]


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "soon", "2026-01-01"]
)
def test_a_time_that_cannot_be_is_refused(project: Project, moment: str) -> None:
    project.at(moment)

    assert project.run("verify") == Exit.USAGE
    assert f"HULLMARK_NOW is '{moment}'" in project.err


def test_many_writers_at_once_lose_nothing_and_leave_the_files_of_the_last(project: Project) -> None:
    journal = Journal(project.root / "audit-logs")
    recorded(project)
    command = [sys.executable, "-m", "hullmark", "summary"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "cwd": project.root}
    writers = [subprocess.Popen(command, **quiet) for _ in range(6)]  # type: ignore[call-overload] # quiet's values

    assert [(writer.communicate()[1], writer.returncode) for writer in writers] == [(b"", 0)] * 6

    assert len(journal.summaries()) == 6
    written = json.loads((project.root / SUMMARY).read_text())["ledger"]
    assert written == {name: {"entries": h.entries, "head": h.head} for name, h in journal.heads().items()}
    assert project.run("verify") == Exit.DONE
