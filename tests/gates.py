"""Changes for the gate, made of small parts."""
# ruff: noqa: ANN401 - `fields` are those of the value that is made

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from hullmark.decision import (
    Absence,
    Decision,
    GateInputs,
    ImageInputs,
    Missing,
    Seen,
    Side,
    decide,
    format_decision,
)
from hullmark.exemptions import Exemption
from hullmark.finding import Finding, Package, Severity
from hullmark.policy import Preset, preset
from hullmark.scan import Coverage, Database, System
from hullmark.vex import Status
from tests.values import SCANNER, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
TODAY = NOW.date()
PLATFORM = "linux/amd64"
DATABASE = Database(digest=digest_of("database"), updated_at="2026-11-23T00:00:00Z")
DEBIAN = Coverage(system=System("debian", "13.8"))
LIBC = Package(type="debian", name="libc6", version="2.41-12", source="glibc")
NOT_BUILT = Missing(reason=Absence.NOT_BUILT)
NEVER = Missing(reason=Absence.NEVER_RECORDED)


def finding(
    id_: str = "CVE-2026-1", severity: Severity = Severity.HIGH, package: str = "libxml2", **fields: Any
) -> Finding:
    """A finding of a Debian package, unless `fields` say otherwise."""
    values = {"package_type": "debian", "source": package, "versions": ("1.0",), **fields}
    return Finding(id=id_, severity=severity, package=package, **values)


def npm(id_: str, severity: Severity, path: str, version: str = "6.2.1", **fields: Any) -> Finding:
    """A finding of the npm package `tar` at `path`."""
    values = {"package_type": "node-pkg", "source": "", "path": path, "versions": (version,), **fields}
    return finding(id_, severity, "tar", **values)


def package_of(one: Finding) -> Package:
    """The package that carries a finding."""
    return Package(
        type=one.package_type, name=one.package, version=one.versions[0], path=one.path, source=one.source
    )


def side(
    *findings: Finding,
    packages: Iterable[Package] = (),
    coverage: Coverage = DEBIAN,
    unowned_elf: int | None = 0,
    seen: Seen = Seen.IMAGE,
) -> Side:
    """A side with the packages of its findings, libc6 and `packages`."""
    every = tuple(dict.fromkeys([LIBC, *packages, *map(package_of, findings)]))
    return Side(
        seen=seen,
        digest=digest_of("image"),
        sbom=digest_of([package.name for package in every]),
        coverage=coverage,
        unowned_elf=unowned_elf,
        packages=every,
        findings=findings,
    )


def image(base: Side | Missing, head: Side | Missing, name: str = "app", **fields: Any) -> ImageInputs:
    """An image that base and head expect."""
    return ImageInputs(image=name, platform=PLATFORM, base=base, head=head, **fields)


def gate(*images: ImageInputs, **fields: Any) -> GateInputs:
    """A change to `images` under the strict policy."""
    values = {
        "policy": preset(Preset.STRICT),
        "scanner": SCANNER,
        "database": DATABASE,
        "max_age": 7,
        "now": NOW,
        "expected": tuple(f"{one.image} {one.platform}" for one in images),
        **fields,
    }
    return GateInputs(images=images, **values)


def judge(base: Iterable[Finding], head: Iterable[Finding], **fields: Any) -> Decision:
    """Decide about one image that differs in its findings only: both sides have all packages."""
    before, after = tuple(base), tuple(head)
    packages = tuple(map(package_of, (*before, *after)))
    one = image(side(*before, packages=packages), side(*after, packages=packages))
    return decide(gate(one, **fields))


def rules(decision: Decision) -> list[str]:
    """The names of the rules that decided."""
    return [reason.rule for reason in decision.deciding]


def exemption(id_: str = "CVE-2026-1", **fields: Any) -> Exemption:
    """An accepted risk that is in force."""
    values = {
        "images": ("app",),
        "package": "libxml2",
        "owner": "@team",
        "reason": "Never parsed.",
        "expires": date(2027, 1, 1),
        "status": Status.AFFECTED,
        **fields,
    }
    return Exemption(id=id_, **values)


def content(inputs: GateInputs) -> bytes:
    """The bytes of the decision about `inputs`."""
    return format_decision(decide(inputs))
