"""A small project for tests of commands: one image, a sample database, real Trivy."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from hullmark.cli import run
from hullmark.finding import Severity
from hullmark.scan import System
from hullmark.scanners import sample, specimen
from hullmark.scanners.advisory import Advisory
from hullmark.scanners.specimen import Installed

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

DEBIAN = System("debian", "13.2")
OLD = "3.5.1-1"
FIXED = "3.5.4-1~deb13u2"
SOURCE = "gnutls28"
KNOWN = Advisory(id="CVE-2026-1", package=SOURCE, fixed=FIXED, severity=Severity.HIGH, known=date(2026, 1, 1))
LATER = Advisory(id="CVE-2026-2", package="zlib", fixed="2", severity=Severity.MEDIUM, known=date(2026, 6, 1))
CONFIG = 'version = 1\n[images.app]\npackage_types = ["debian"]\n'


class Project:
    """A repository in a temporary folder, worked on through the command line."""

    def __init__(
        self, root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.root = root
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self.out = ""
        self.err = ""
        root.mkdir(parents=True, exist_ok=True)
        (root / "hullmark.toml").write_text(CONFIG)
        monkeypatch.chdir(root)
        monkeypatch.delenv("HULLMARK_DB", raising=False)
        self.at("2026-02-01T09:00:00+00:00")

    def at(self, moment: str) -> None:
        """Let the commands that follow run at `moment`."""
        self._monkeypatch.setenv("HULLMARK_NOW", moment)

    def run(self, *arguments: str) -> int:
        """Run one command line and keep what it printed."""
        self._capsys.readouterr()
        code = run(list(arguments))
        self.out, self.err = self._capsys.readouterr()
        return code

    def json(self, *arguments: str, code: int = 0) -> Any:  # noqa: ANN401 - any document
        """Run a command with --json and return its document."""
        assert self.run(*arguments, "--json") == code, self.err
        return json.loads(self.out)

    def database(self, name: str, *, until: date | None = None, canary: bool = True) -> str:
        """Build a sample database and return its folder."""
        sample.build(
            (KNOWN, LATER),
            folder=self.root / name,
            updated_at=datetime(2026, 1, 31, tzinfo=UTC),
            until=until,
            canary=canary,
        )
        return name

    def image(self, name: str, *, version: str = OLD, system: System | None = DEBIAN, title: str = "") -> str:
        """Write a docker-archive with two packages and return its path."""
        packages = (
            Installed(name="gnutls-bin", version=version, source=SOURCE, source_version=version),
            Installed(name="libgnutls30t64", version=version, source=SOURCE, source_version=version),
            Installed(name="zlib1g", version="1", source="zlib", source_version="1"),
        )
        (self.root / name).write_bytes(specimen.archive(packages, system=system, title=title))
        return name

    def files(self) -> dict[str, bytes]:
        """Every file that commands write and git would hold."""
        folders = ("audit-logs", "cve-baseline", "docs", "SECURITY_SUMMARY.md")
        found: dict[str, bytes] = {}
        for folder in folders:
            top = self.root / folder
            for path in [top] if top.is_file() else sorted(top.rglob("*")):
                if path.is_file() and path.name != ".lock":
                    found[str(path.relative_to(self.root))] = path.read_bytes()
        return found
