"""Images built from hash-pinned Debian packages, and images that others built, read and named by digest."""

from hullmark.build.archive import ArchivedImage, ImageArchive, inspect_archive
from hullmark.build.builder import BuiltImage, build_image
from hullmark.build.definition import Definition, load_definition
from hullmark.build.mirror import Sources, find_sources

__all__ = [
    "ArchivedImage",
    "BuiltImage",
    "Definition",
    "ImageArchive",
    "Sources",
    "build_image",
    "find_sources",
    "inspect_archive",
    "load_definition",
]
