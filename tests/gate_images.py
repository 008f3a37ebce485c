"""Small images, two databases of different days, and the gate over them with real Trivy."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from hullmark.config import ScanSettings
from hullmark.decision import Decision, Missing
from hullmark.finding import Severity
from hullmark.gate import Judgement, Proposal, Trial, judge
from hullmark.image import LINUX_AMD64
from hullmark.pipeline import ScanOptions, Source, open_toolchain
from hullmark.policy import Preset, preset
from hullmark.scanners import sample
from hullmark.scanners.advisory import Advisory
from tests.scanners.trivy import craft

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hullmark.journal import Journal

EARLIER = dt.date(2026, 2, 1)
NOW = dt.datetime(2026, 11, 24, 9, 30, tzinfo=dt.UTC)
LABEL = "app linux/amd64"


def advisory(id_: str, package: str, severity: Severity, fixed: str = "", **fields: Any) -> Advisory:  # noqa: ANN401 - of the advisory
    """An advisory that both databases know, unless `known` says otherwise."""
    known = {"known": dt.date(2026, 1, 1), **fields}
    return Advisory(id=id_, package=package, severity=severity, fixed=fixed, **known)


KERNEL = tuple(advisory(f"CVE-2026-{n}", "linux", Severity.MEDIUM, "6.12.48-1") for n in range(3000, 3226))
ADVISORIES = (
    advisory("CVE-2026-1", "openssl", Severity.HIGH, "3.5.2-1"),
    advisory("CVE-2026-2", "openssl", Severity.CRITICAL, "3.5.9-1"),
    advisory("CVE-2026-3", "zlib", Severity.MEDIUM, "1.4-1"),
    advisory("CVE-2026-4", "libxml2", Severity.HIGH, "2.15-1"),
    advisory("CVE-2026-5", "glibc", Severity.HIGH, "2.42-1", known=dt.date(2026, 11, 20)),
    advisory("CVE-2026-6", "zlib", Severity.HIGH, "1.5-1", known=dt.date(2026, 11, 20)),
    advisory("CVE-2026-7", "tar", Severity.HIGH, "7.5.3", system="npm"),
    advisory("CVE-2026-8", "bash", Severity.MEDIUM, system="debian 12"),
    *KERNEL,
)


class Bench:
    """A folder with images, two databases, and the gate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, until, day in (("earlier", EARLIER, EARLIER), ("today", None, NOW.date())):
            moment = dt.datetime.combine(day, dt.time(6), dt.UTC)
            sample.build(ADVISORIES, folder=folder / name, updated_at=moment, until=until)

    def image(self, name: str, files: Mapping[str, bytes], *, tag: str = "app:1") -> Path:
        """Write an image of one layer."""
        return craft.docker_archive(self.folder / f"{name}.tar", files, tag=tag)

    def source(self, path: Path, image: str = "app") -> Source:
        """The image in `path`, to be scanned."""
        return Source(image=image, platform=LINUX_AMD64, path=path)

    def trial(self, base: Path | Missing, head: Path | Missing, **fields: Any) -> Trial:  # noqa: ANN401 - of the trial
        """Two images of `app`."""
        sides = [side if isinstance(side, Missing) else self.source(side) for side in (base, head)]
        values = {"image": "app", "platform": "linux/amd64", **fields}
        return Trial(base=sides[0], head=sides[1], **values)

    def judge(
        self,
        *trials: Trial,
        database: str = "today",
        journal: Journal | None = None,
        **fields: Any,  # noqa: ANN401 - of the proposal
    ) -> Judgement:
        """Judge with real Trivy and one of the databases."""
        tools = open_toolchain(
            ScanOptions(database=self.folder / database),
            ScanSettings(),
            root=self.folder,
            environ={},
            now=NOW,
        )
        labels = tuple(trial.label for trial in trials)
        values = {"policy": preset(Preset.STRICT), "max_age": 7, "expected": labels, **fields}
        proposal = Proposal(trials=trials, **values)
        with ThreadPoolExecutor(2) as executor:
            return judge(tools, proposal, executor, now=NOW, tell=lambda _: None, journal=journal)

    def compare(self, base: Mapping[str, bytes], head: Mapping[str, bytes], **fields: Any) -> Decision:  # noqa: ANN401 - same
        """Judge one image that changes from the files of `base` to those of `head`."""
        return self.judge(self.trial(self.image("base", base), self.image("head", head)), **fields).decision


def debian(*packages: tuple[str, str, str], release: str = "13.3") -> dict[str, bytes]:
    """Files of a Debian release with these packages (name, version, source) and a few more."""
    common = (("libc6", "2.41-12", "glibc"), ("bash", "5.2-1", "bash"), ("base-files", "13.8", "base-files"))
    return craft.debian(release, *common, *packages)
