"""Images built from hash-pinned Debian packages, and images that others built, read and named by digest."""

from hullmark.build.archive import ArchivedImage, ImageArchive, inspect_archive
from hullmark.build.builder import BuiltImage, build, build_from_dockerfile, build_image
from hullmark.build.definition import Definition, load_definition
from hullmark.build.engine import fetch_reference
from hullmark.build.mirror import Sources, find_sources

__all__ = [
    "ArchivedImage",
    "BuiltImage",
    "Definition",
    "ImageArchive",
    "Sources",
    "build",
    "build_from_dockerfile",
    "build_image",
    "fetch_reference",
    "find_sources",
    "inspect_archive",
    "load_definition",
]
