"""Helpers: small C programs of an image's author, compiled by a pinned compiler.

Rules (each has a test with the same words):

1. The same source gives the same bytes on every host: other folder, cache, time zone, locale.
2. What a source compiles to is in the lock, with the compiler that did it; anything else is refused.
3. A source that does not compile without a warning is refused, with the compiler's line.

The compiler is zig's (`zig cc`), from the Python package `ziglang`: it brings headers and stubs of the C
library for both platforms, so that nothing of the host gets into the result.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hullmark.build.definition import DEFINITION_FILE, HELPERS_FOLDER, Helper
from hullmark.build.fetch import digest_of
from hullmark.build.lock import LockedHelper
from hullmark.build.tree import Entry, Kind
from hullmark.errors import EnvironmentFaultError, InputError
from hullmark.files import explained, read_bounded, scratch_folder, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hullmark.build.definition import Definition
    from hullmark.build.lock import Lock

COMPILER = "ziglang"
COMPILE_SECONDS = 300
MAX_SOURCE = 1 << 20
OBJECTS_FOLDER = "objects"
MAX_OBJECT = 1 << 20

TARGETS = {"amd64": "x86_64-linux-gnu.2.36", "arm64": "aarch64-linux-gnu.2.36"}
"""The oldest C library that the result runs with: Debian 12's."""

FLAGS = (
    *("-std=gnu11", "-O2", "-g0", "-mcpu=baseline"),
    *("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wformat=2", "-Werror"),
    *("-fstack-protector-strong", "-D_FORTIFY_SOURCE=3", "-Wl,-z,relro,-z,now", "-Wl,--build-id=none", "-s"),
)
KINDS = {"program": ("-fPIE", "-pie"), "library": ("-fPIC", "-shared")}
MODES = {"program": 0o755, "library": 0o644}

_ERROR = re.compile(r"^helper\.c:(\d+):\d+: (?:fatal )?error: (.*)$", re.MULTILINE)


class Compiler(msgspec.Struct, frozen=True, kw_only=True):
    """A compiler of this machine."""

    program: Path
    name: str
    """With its version, as locks name it."""


def compiler_cache(packages: Path) -> Path:
    """Where the compiler keeps its work: beside the cache of packages."""
    return packages.with_name("zig")


def find_compiler() -> Compiler:
    """The compiler in this Python environment."""
    found = importlib.util.find_spec(COMPILER)
    if found is None or found.origin is None:
        raise EnvironmentFaultError(
            "compiling an image's helpers needs the Python package ziglang",
            hint="pip install 'hullmark[images]'",
        )
    version = importlib.metadata.version(COMPILER)
    return Compiler(program=Path(found.origin).with_name("zig"), name=f"{COMPILER}-{version}")


def compile_helpers(
    definition: Definition, folder: Path, architecture: str, *, cache: Path
) -> dict[str, bytes]:
    """What the helpers of the image in `folder` compile to, by their path in the image.

    `cache` is the compiler's own: it makes the second time fast and changes no byte.
    """
    if not definition.helpers:
        return {}
    compiler = find_compiler()
    return {
        path: _compile(compiler, helper, folder, architecture, cache)
        for path, helper in sorted(definition.helpers.items())
    }


def write_objects(objects: Mapping[str, bytes], folder: Path, architecture: str) -> None:
    """Leave `objects` in `objects/NAME/ARCHITECTURE` beside the image's folder, for its Dockerfile."""
    place = folder.parent / OBJECTS_FOLDER / folder.name / architecture
    for path, data in objects.items():
        target = place / path
        if not target.is_file() or target.read_bytes() != data:
            write_whole(target, data)


def lock_helpers(objects: Mapping[str, bytes], architecture: str) -> tuple[LockedHelper, ...]:
    """What a lock says about `objects`."""
    if not objects:
        return ()
    compiler = find_compiler().name
    return tuple(
        LockedHelper(
            architecture=architecture, path=path, digest=digest_of(data), size=len(data), compiler=compiler
        )
        for path, data in objects.items()
    )


def helper_entries(
    definition: Definition, lock: Lock, folder: Path, architecture: str, *, cache: Path
) -> dict[str, Entry]:
    """The helpers as files of the image, each with the bytes that the lock names."""
    objects = compile_helpers(definition, folder, architecture, cache=cache)
    locked = {helper.path: helper for helper in lock.helpers if helper.architecture == architecture}
    for made in lock_helpers(objects, architecture):
        if made != locked.get(made.path):
            raise InputError(
                _difference(made, locked.get(made.path)),
                file=folder / DEFINITION_FILE,
                key=f'helpers."{made.path}"',
                hint=f"Run `hullmark lock {folder.name}` if its source was changed on purpose.",
            )
    return {
        path: Entry(kind=Kind.FILE, mode=MODES[definition.helpers[path].kind], data=data)
        for path, data in objects.items()
    }


def _difference(made: LockedHelper, locked: LockedHelper | None) -> str:
    if locked is None:
        return f"is not locked for {made.architecture}"
    if made.compiler != locked.compiler:
        return f"is locked with {locked.compiler}, this machine has {made.compiler}"
    return f"compiles to {made.digest}, the lock names {locked.digest}"


def _compile(compiler: Compiler, helper: Helper, folder: Path, architecture: str, cache: Path) -> bytes:
    source = folder / HELPERS_FOLDER / helper.source
    text = read_bounded(source, MAX_SOURCE)
    with explained(cache):
        cache.mkdir(parents=True, exist_ok=True)
    with scratch_folder() as place:
        with explained(place):
            (place / "helper.c").write_bytes(text)
        command = [str(compiler.program), "cc", "-target", TARGETS[architecture], *FLAGS]
        _run([*command, *KINDS[helper.kind], "-o", "helper", "helper.c"], place, cache, source)
        return read_bounded(place / "helper", MAX_OBJECT)


def _run(command: list[str], place: Path, cache: Path, source: Path) -> None:
    """Run the compiler in `place`, with nothing of our environment."""
    caches = {name: str(cache.absolute()) for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}
    try:
        done = subprocess.run(
            command,
            cwd=place,
            env={"LC_ALL": "C", **caches},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMPILE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EnvironmentFaultError(f"{source} was not compiled after {COMPILE_SECONDS} seconds") from error
    except OSError as error:
        raise EnvironmentFaultError(f"cannot run {command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace")
        if found := _ERROR.search(said):
            raise InputError(found[2], file=source, key=f"line {found[1]}")
        raise InputError(said.strip().split("\n", 1)[0] or "cannot be compiled", file=source)
