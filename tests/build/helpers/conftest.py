"""The images' C sources, built by this machine's compiler with what finds a wrong read or write."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Protocol

import pytest

from tests.build.conftest import required

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
SOURCES = {
    "entrypoint.c": ROOT / "images" / "postgres-secured" / "helpers",
    "no-shell.c": ROOT / "images" / "postgres-secured" / "helpers",
    "fcgi-ping.c": ROOT / "images" / "php-mysql-secured" / "helpers",
}
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
FAULT = "Sanitizer"
"""What a report of the sanitizers says."""


class Build(Protocol):
    """Compile a source with sanitizers; `values` are its macros, each a text."""

    def __call__(self, source: str, *, plain: bool = False, **values: str) -> Path: ...


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The compiler of this machine."""
    required("cc")
    folder = tmp_path_factory.mktemp("programs")
    for place in (folder, *folder.parents[:2]):  # an other user runs what is in it
        place.chmod(0o755)

    def compiled(source: str, *, plain: bool = False, **values: str) -> Path:
        program = folder / f"{Path(source).stem}-{len(list(folder.iterdir()))}"
        macros = [f'-D{name}="{value}"' for name, value in values.items()]
        includes = [f"-I{place}" for place in sorted(set(SOURCES.values()))]
        path = SOURCES.get(source, HERE) / source
        flags = [] if plain else list(SANITIZERS)
        command = ["cc", "-std=gnu11", "-g", "-O1", *flags, *macros, *includes, "-o", str(program), str(path)]
        subprocess.run(command, check=True)
        return program

    return compiled
