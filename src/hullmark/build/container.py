"""The members of an archive or folder, read in place: no link is followed and nothing is extracted."""

from __future__ import annotations

import os
import stat
import tarfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from hullmark.build.tree import escapes
from hullmark.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_MEMBERS = 100_000
MAX_UNPACKED = 64 << 30


class Container(Protocol):
    """Named members, all of them regular files."""

    path: Path
    size: int
    is_folder: bool

    @property
    def members(self) -> frozenset[str]:
        """The names of all members."""

    def open(self, member: str) -> IO[bytes]:
        """The content of `member`, or InputError when it is missing."""

    def read(self, member: str, limit: int) -> bytes:
        """All of `member`, or InputError when it is longer than `limit`."""


class _Members:
    """What the two forms have in common."""

    is_folder = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0

    @property
    def members(self) -> frozenset[str]:
        raise NotImplementedError

    def open(self, member: str) -> IO[bytes]:
        raise NotImplementedError

    def read(self, member: str, limit: int) -> bytes:
        with self.open(member) as stream:
            data = stream.read(limit + 1)
        if len(data) > limit:
            raise InputError(f"larger than {limit:,} bytes", file=self.path, key=member)
        return data

    def _missing(self, member: str) -> InputError:
        return InputError("is missing", file=self.path, key=member)


class _Folder(_Members):
    """An OCI layout in a folder."""

    is_folder = True

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._members: set[str] = set()
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                place = Path(folder, name)
                status = place.lstat()
                if stat.S_ISDIR(status.st_mode):
                    continue
                member = str(place.relative_to(path))
                if not stat.S_ISREG(status.st_mode):
                    raise InputError("a link, device or pipe", file=path, key=repr(member))
                self._members.add(member)
                self.size += status.st_size
            if len(self._members) > MAX_MEMBERS:
                raise InputError(f"more than {MAX_MEMBERS:,} files", file=path)

    @property
    def members(self) -> frozenset[str]:
        return frozenset(self._members)

    def open(self, member: str) -> IO[bytes]:
        if member not in self._members:
            raise self._missing(member)
        return (self.path / member).open("rb")


class _Tar(_Members):
    """A tar file, plain or gzip."""

    def __init__(self, path: Path, tar: tarfile.TarFile) -> None:
        super().__init__(path)
        self.size = path.stat().st_size
        self._tar = tar
        self._found: dict[str, tarfile.TarInfo] = {}
        self._links: set[str] = set()
        unpacked = 0
        for number, member in enumerate(tar):
            name = self._checked(member)
            unpacked += member.size
            if number >= MAX_MEMBERS or unpacked > MAX_UNPACKED:
                message = f"more than {MAX_MEMBERS:,} members or {MAX_UNPACKED:,} bytes"
                raise InputError(message, file=path)
            if not member.isdir() and (name in self._found or name in self._links):
                # Readers differ in which of two they take: what we check must be what the scanner reads.
                raise InputError("two members of one name", file=path, key=repr(member.name))
            if member.isreg():
                self._found[name] = member
            elif not member.isdir():
                self._links.add(name)

    def _checked(self, member: tarfile.TarInfo) -> str:
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if member.name.startswith("/") or ".." in parts:
            raise InputError("path leaves the archive", file=self.path, key=repr(member.name))
        name = "/".join(parts)
        linked = member.issym() or member.islnk()
        if not (member.isreg() or member.isdir() or linked):
            raise InputError("a device or pipe", file=self.path, key=repr(member.name))
        # A hard link's target is a path from the archive's root, a symbolic link's one from its own place.
        place = name if member.issym() else ""
        if linked and (member.linkname.startswith("/") or escapes(place, member.linkname)):
            message = f"link leaves the archive: {member.linkname!r}"
            raise InputError(message, file=self.path, key=repr(member.name))
        return name

    @property
    def members(self) -> frozenset[str]:
        return frozenset(self._found)

    def open(self, member: str) -> IO[bytes]:
        if member in self._links:
            hint = "An older `docker save` wrote it; save the image again with skopeo or a newer Docker."
            raise InputError("is a link, which is not followed", file=self.path, key=member, hint=hint)
        found = self._found.get(member)
        stream = self._tar.extractfile(found) if found else None
        if stream is None:
            raise self._missing(member)
        return stream


@contextmanager
def open_container(path: Path) -> Iterator[Container]:
    """The archive or folder at `path`; whatever is wrong with it becomes an InputError."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            yield _Folder(path)
        elif not stat.S_ISREG(mode):
            raise InputError("neither a file nor a folder", file=path)
        else:
            with tarfile.open(path, mode="r:*") as tar:
                yield _Tar(path, tar)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        # What is no tar at all gets a list of all compressions tried, which helps nobody.
        detail = "" if "\n" in str(error) else f": {error}"
        raise InputError(
            f"not a tar archive, or a damaged one{detail}",
            file=path,
            hint="Expected what `docker save`, `podman save` or `skopeo copy ... oci:` write.",
        ) from error
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror or error}", file=path) from error
    except ValueError as error:  # a null byte in the name, a number out of range in a header
        raise InputError(f"cannot read: {error}", file=repr(str(path))) from error
