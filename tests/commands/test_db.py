from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hullmark.cli import run
from hullmark.errors import Exit
from hullmark.scanners.sample import DATABASE_FILE
from hullmark.scanners.trivy import binary
from tests.scanners.support import ROOT, database_files, pack, push, registry, require
from tests.scanners.test_database import make, make_real

if TYPE_CHECKING:
    from pathlib import Path

ADVISORIES = str(ROOT / "samples" / "advisories.toml")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HULLMARK_DB", raising=False)
    monkeypatch.setenv("HULLMARK_NOW", "2026-11-24T12:00:00+00:00")
    monkeypatch.chdir(tmp_path)


def call(*arguments: str) -> int:
    return run(["db", *arguments])


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert call(*arguments, "--json") == Exit.DONE
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_a_sample_is_built_and_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call("sample", "--advisories", ADVISORIES, "--until", "2026-02-01", "--out", "then") == Exit.DONE
    said = capsys.readouterr().out
    assert "wrote then/db/trivy.db" in said
    assert "2026-02-01T00:00:00Z (a sample: its age does not count)" in said
    built = answer(capsys, "sample", "--advisories", ADVISORIES, "--out", "now")
    assert built["status"]["updated_at"] == "2026-11-21T00:00:00Z"
    before = database_files(tmp_path / "now")
    assert call("sample", "--advisories", ADVISORIES, "--out", "now") == Exit.DONE
    assert database_files(tmp_path / "now") == before


def test_status_says_age_digest_and_what_is_known(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    make_real(tmp_path / ".hullmark" / "db", "2026-11-10T00:00:00Z")
    assert call("status") == Exit.DONE
    said = capsys.readouterr().out
    assert "14 days old, at most 7 are allowed" in said
    assert "knows     debian 13" in said
    found = answer(capsys, "status")
    assert found["stale"] == "14 days old, at most 7 are allowed"
    assert not found["named"]


def test_the_projects_own_age_limit_counts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "hullmark.toml").write_text(
        'version = 1\n[images.app]\n[scan]\nmax_age = 30\ndatabase = "somewhere"\n'
    )
    make_real(tmp_path / "somewhere", "2026-11-10T00:00:00Z")
    assert answer(capsys, "status")["stale"] == ""


def test_a_named_database_is_shown_but_never_changed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "named")
    monkeypatch.setenv("HULLMARK_DB", "named")
    assert answer(capsys, "status")["named"]
    for arguments in (("update",), ("import", "named")):
        assert call(*arguments) == Exit.USAGE
        assert "never changed" in capsys.readouterr().err


def test_a_database_is_imported(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "db.tar.gz").write_bytes(pack(database_files(make_real(tmp_path / "from"))))
    assert call("import", "db.tar.gz") == Exit.DONE
    assert "wrote .hullmark/db/db/trivy.db" in capsys.readouterr().out
    assert answer(capsys, "import", "from", "--out", "other")["written"] == [f"other/db/{DATABASE_FILE}"]


def test_a_database_is_updated(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    with registry(tmp_path / "registry") as host:
        repository = push(host, "trivy-db", database_files(make_real(tmp_path / "from")))
        done = answer(capsys, "update", "--repository", repository)
        assert (done["changed"], done["source"]) == (True, repository)
        assert call("update", "--repository", repository) == Exit.DONE
    assert "is up to date" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("status",), Exit.ERROR, "trivy.db: no vulnerability database"),
        (("status", "--db", "x\x1b[31m"), Exit.ERROR, r"x\x1b[31m"),
        (("import", "nothing"), Exit.ERROR, "nothing: file not found"),
        (("update", "--repository", "10.0.0.1/x"), Exit.USAGE, "plain HTTP"),
        (("sample", "--advisories", "nothing", "--out", "x"), Exit.USAGE, "does not exist"),
        (("sample", "--advisories", ADVISORIES, "--until", "soon", "--out", "x"), Exit.USAGE, "soon"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert call(*arguments) == code
    assert said in capsys.readouterr().err


def test_an_unknown_scanner_is_not_given_the_network(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    require("trivy")
    monkeypatch.setattr(binary, "OFFICIAL", {})
    assert call("update") == Exit.INCOMPLETE
    assert "not a Trivy release known to Hullmark" in capsys.readouterr().err


def test_a_feed_is_refreshed_only_when_asked_and_its_age_is_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from tests.test_feeds import catalog, serving

    make(tmp_path / "db")
    with serving() as server:
        server.answers["/kev.json"] = (200, catalog("CVE-2026-1000"), {})
        (tmp_path / "hullmark.toml").write_text(
            'version = 1\n[images.app]\n[feeds]\nkev = "feeds/kev.json"\n'
            f'kev_url = "{server.address}/kev.json"\nkev_max_age = 5\n'
        )
        assert call("status", "--db", "db") == Exit.DONE
        assert "feeds/kev.json is missing; fetch it with: hullmark db update" in capsys.readouterr().out
        assert server.requests == []
        assert call("update", "--only-feeds") == Exit.DONE
    assert "wrote feeds/kev.json" in capsys.readouterr().err

    assert call("status", "--db", "db") == Exit.DONE
    shown = capsys.readouterr().out.splitlines()[-1]
    text = "feeds/kev.json, 1 vulnerability of 2026-11-20T14:00:08Z"
    assert shown == f"kev       {text} (fresh: 3 days old, at most 5 are allowed)"
    kev = answer(capsys, "status", "--db", "db")["kev"]
    assert (kev["state"], kev["age_days"]) == ("fresh", 3)
    (tmp_path / "hullmark.toml").write_text("version = 1\n[images.app]\n")
    assert call("update", "--only-feeds") == Exit.USAGE
    assert "no feed is configured" in capsys.readouterr().err
    assert answer(capsys, "status", "--db", "db")["kev"] is None
