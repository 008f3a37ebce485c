"""`hullmark.toml`: which images a repository has, and what is expected of each.

version = 1

[images.postgres-secured]
platforms = ["linux/amd64"]
package_types = ["debian"]

[scan]
containment = "required"
"""

from __future__ import annotations

import posixpath
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from hullmark.deadline import Deadlines
from hullmark.errors import InputError, UsageError
from hullmark.image import LINUX_AMD64, ImageName, Platform, parse_name, parse_platform
from hullmark.policy import PolicyTable, Preset, Rule
from hullmark.toml import decode_toml, read_toml

if TYPE_CHECKING:
    from collections.abc import Iterable


CONFIG_FILE = "hullmark.toml"

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
_Label = Annotated[str, msgspec.Meta(min_length=1, max_length=50, pattern=r"^[^,\s]([^,]*[^,\s])?$")]
_Days = Annotated[int, msgspec.Meta(ge=1, le=3650)]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of `hullmark.toml`."""


class Wanted(StrEnum):
    """Whether a scan without containment is refused."""

    REQUIRED = "required"
    PREFERRED = "preferred"


class ImageSettings(_Table, frozen=True, kw_only=True):
    """One image of this repository."""

    path: _Text = ""
    """Folder of its `image.toml` or Dockerfile; empty for `images/<name>`."""
    reference: str = ""
    """A registry reference, for an image that is not built here."""
    platforms: tuple[_Text, ...] = (str(LINUX_AMD64),)
    package_types: tuple[_Text, ...] = ()
    """Package types without which a scan has not seen the image."""


class ScanSettings(_Table, frozen=True, kw_only=True):
    """How images are scanned."""

    containment: Wanted = Wanted.PREFERRED
    require_verified: bool = False
    """Refuse a scanner whose bytes are not those of a known official release."""
    database: _Text = ".hullmark/db"
    """Trivy's cache folder, when neither `--db` nor HULLMARK_DB names one."""
    repositories: tuple[_Text, ...] = ()
    """Where the database is downloaded from, in this order; empty for Trivy's own."""
    max_age: _Days = 7
    """Days after which a database is called old."""
    timeout: Annotated[int, msgspec.Meta(ge=10, le=86_400)] = 900
    """Seconds that one scanner process may take."""


class FeedSettings(_Table, frozen=True, kw_only=True):
    """Lists of others that rules can ask for."""

    kev: str = ""
    """File of CISA's known exploited vulnerabilities; empty: no rule asks for them."""
    kev_url: str = ""
    """Where `hullmark db update` fetches it; empty: somebody else keeps the file."""
    kev_max_age: _Days = 14
    """Days after which the list is stale."""

    def kev_file(self, root: Path) -> Path | None:
        """Where the list lies; None where none is configured."""
        return root / self.kev if self.kev else None


class BuildSettings(_Table, frozen=True, kw_only=True):
    """Where Debian packages come from, when the machine does not say."""

    mirror: str = ""
    security_mirror: str = ""
    snapshot: str = ""
    """Address of a dated snapshot archive, asked last: for packages that have left the mirrors."""


class SmokeSettings(_Table, frozen=True, kw_only=True):
    """Where built images must be started and tested."""

    platforms: tuple[_Text, ...] = (str(LINUX_AMD64),)
    """Platforms on which a declared smoke test that does not run keeps the image back."""


class PublishSettings(_Table, frozen=True, kw_only=True):
    """Where the pipeline's files and the images go."""

    branch: _Text = "hullmark-data"
    images: bool = True
    """Whether `hullmark push` puts images into a registry."""
    registry: str = ""
    """`host/path` below which each image has its name; empty: GitHub's own, below the repository's name."""
    tag: _Text = "latest"
    """The tag that moves to each build that the gate lets pass."""
    public: bool = False
    """Whether the site and keyless signatures may be public."""
    history_limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 26
    """Number of points in the summary's trend."""


class GateSettings(_Table, frozen=True, kw_only=True):
    """What every change must fulfil; the policy of the gate."""

    preset: Preset | None = None
    """Without `rules` beside it: `strict`."""
    rules: tuple[Rule, ...] = ()
    """One's own, beside the preset or instead of it."""
    self_review: bool = False
    """Whether an author may approve their own change, for repositories of one person."""

    @property
    def table(self) -> PolicyTable:
        """The policy as it is written here; not checked yet."""
        is_empty = self.preset is None and not self.rules
        return PolicyTable(preset=Preset.STRICT if is_empty else self.preset, rules=self.rules)


class IssueSettings(_Table, frozen=True, kw_only=True):
    """The security issue of each image."""

    labels: tuple[_Label, ...] = ("security", "trivy")
    """Beside those that name the image and the worst severity."""
    close_after: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    """Complete scans in a row without a relevant finding after which an issue is closed."""


class ReportSettings(_Table, frozen=True, kw_only=True):
    """Who a report comes from."""

    publisher: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """Name of the organisation that answers for the images; CSAF documents need it."""
    namespace: Annotated[str, msgspec.Meta(pattern=r"^(https://[^\s/]+(/[^\s]*)?)?$", max_length=500)] = ""
    """A web address under which the publisher is known; CSAF documents need it."""


class PullRequestSettings(_Table, frozen=True, kw_only=True):
    """Which pull requests may merge by themselves."""

    bots: tuple[_Text, ...] = ("renovate[bot]",)
    """Update bots, as GitHub names them."""
    auto_merge: bool = True
    """Whether theirs are merged by GitHub on `allow`, when nothing but pins moves."""
    merge_method: Literal["merge", "rebase", "squash"] = "squash"


class CheckSettings(_Table, frozen=True, kw_only=True):
    """Checks of the repository's own files."""

    run: bool = False
    """Whether `hullmark run` records them, and `hullmark gate --plan` judges them."""


class _Document(_Table, frozen=True, kw_only=True):
    version: Literal[1]
    images: dict[str, ImageSettings]
    scan: ScanSettings = ScanSettings()
    build: BuildSettings = BuildSettings()
    feeds: FeedSettings = FeedSettings()
    smoke: SmokeSettings = SmokeSettings()
    gate: GateSettings = GateSettings()
    issues: IssueSettings = IssueSettings()
    deadlines: Deadlines = Deadlines()
    publish: PublishSettings = PublishSettings()
    report: ReportSettings = ReportSettings()
    pull_requests: PullRequestSettings = PullRequestSettings()
    checks: CheckSettings = CheckSettings()


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image of this repository, with everything checked."""

    name: ImageName
    folder: Path
    reference: str
    platforms: tuple[Platform, ...]
    package_types: tuple[str, ...]
    settings: ImageSettings
    """Its table as it is written."""


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A repository that Hullmark looks after."""

    root: Path
    images: tuple[Image, ...]
    """Sorted by name."""
    scan: ScanSettings
    build: BuildSettings
    feeds: FeedSettings
    gate: GateSettings
    issues: IssueSettings
    deadlines: Deadlines
    publish: PublishSettings
    report: ReportSettings
    pull_requests: PullRequestSettings
    checks: CheckSettings = CheckSettings()
    smoke_platforms: frozenset[Platform] = frozenset({LINUX_AMD64})
    """Where a declared smoke test is required."""

    @property
    def expected(self) -> tuple[tuple[ImageName, Platform], ...]:
        """Every image and platform that a complete run scans, sorted."""
        return tuple((image.name, platform) for image in self.images for platform in image.platforms)

    def image(self, name: str) -> Image:
        """The image called `name`, or UsageError."""
        for image in self.images:
            if image.name == name:
                return image
        known = ", ".join(image.name for image in self.images)
        raise UsageError(f"no image {name!r} in {self.root / CONFIG_FILE}", hint=f"It has: {known}.")

    def select(self, names: Iterable[str]) -> tuple[Image, ...]:
        """The images called `names`, or all where none is named."""
        chosen = tuple(self.image(name) for name in dict.fromkeys(names))
        return chosen or self.images


def load_project(root: Path) -> Project:
    """Read `hullmark.toml` in `root`, or raise InputError."""
    file = root / CONFIG_FILE
    if not file.exists():
        raise InputError(
            "file not found",
            file=file,
            hint="Run the command in the folder that has hullmark.toml, or write one (see docs/guide).",
        )
    return _project(root, file, read_toml(file, _Document))


def parse_project(data: bytes, *, root: Path, file: Path | str) -> Project:
    """Read the bytes of a `hullmark.toml`, for example of another revision of the repository in `root`."""
    return _project(root, file, decode_toml(data, _Document, file=file))


def _project(root: Path, file: Path | str, document: _Document) -> Project:
    if not document.images:
        raise InputError("no image", file=file, key="images", hint="Add [images.NAME].")
    images = (_image(root, file, name, settings) for name, settings in document.images.items())
    return Project(
        root=root,
        images=tuple(sorted(images, key=lambda image: image.name)),
        scan=document.scan,
        build=document.build,
        feeds=document.feeds,
        gate=document.gate,
        issues=document.issues,
        deadlines=document.deadlines,
        publish=document.publish,
        report=document.report,
        pull_requests=document.pull_requests,
        checks=document.checks,
        smoke_platforms=_platforms(document.smoke.platforms, file, "smoke.platforms"),
    )


def _platforms(texts: tuple[str, ...], file: Path | str, key: str) -> frozenset[Platform]:
    try:
        return frozenset(parse_platform(text) for text in texts)
    except UsageError as error:
        raise InputError(error.message, file=file, key=key, hint=error.hint) from error


def _image(root: Path, file: Path | str, name: str, settings: ImageSettings) -> Image:
    key = f"images.{name}"
    try:
        checked = parse_name(name)
        platforms = tuple(parse_platform(platform) for platform in settings.platforms)
    except UsageError as error:
        raise InputError(error.message, file=file, key=key, hint=error.hint) from error
    if not platforms:
        raise InputError("no platform", file=file, key=f"{key}.platforms")
    if len(set(platforms)) != len(platforms):
        raise InputError("a platform is named twice", file=file, key=f"{key}.platforms")
    path = posixpath.normpath(settings.path or f"images/{name}")
    folder = (root / path).resolve()
    # Both: what a commit says is looked at as text, what is on disk may have links.
    if path.startswith(("/", "..")) or not folder.is_relative_to(root.resolve()):
        raise InputError("leads out of the repository", file=file, key=f"{key}.path")
    return Image(
        name=checked,
        folder=folder,
        reference=settings.reference,
        platforms=tuple(sorted(platforms)),
        package_types=tuple(sorted(set(settings.package_types))),
        settings=settings,
    )
