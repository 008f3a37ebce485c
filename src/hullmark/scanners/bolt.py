"""The part of the bbolt file format that a vulnerability database needs: write one, check one, read one.

Format (go.etcd.io/bbolt, `internal/common`): pages of equal size; pages 0 and 1 are two copies of the meta
record, the newer one with a right checksum counts; a bucket is a tree of branch and leaf pages; a leaf
element is a value or, with flag 1, another bucket. All integers are little-endian.

Rules:
- The same content gives the same bytes.
- The writer makes each bucket one leaf page with overflow pages, so it holds at most 65,535 keys.
- The reader trusts nothing: each offset is checked, each page is read once, depth and size have limits.
"""

from __future__ import annotations

import mmap
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from hullmark.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    Bucket: TypeAlias = Mapping[str, "bytes | Bucket"]
    Tree: TypeAlias = dict[str, "bytes | Tree"]

PAGE_SIZE = 4096
MAX_KEYS = 0xFFFF
MAX_KEY_BYTES = 32768
MAX_DEPTH = 32
MAX_READ_BYTES = 256 * 1024 * 1024
FETCH_AGAIN = "Fetch it again with: hullmark db update"

_MAGIC, _VERSION = 0xED0CDAED, 2
_BRANCH, _LEAF, _META, _FREELIST = 0x01, 0x02, 0x04, 0x10
_IS_BUCKET = 1
_FREELIST_PAGE, _FIRST_FREE_PAGE = 2, 3
_PAGE_SIZES = frozenset(1 << bits for bits in range(10, 17))

_PAGE = struct.Struct("<QHHI")  # id, flags, count, overflow
_RECORD = struct.Struct("<IIIIQQQQQ")  # magic, version, page size, flags, root, sequence, freelist, end, txid
_CHECKSUM = struct.Struct("<Q")
_LEAF_ELEMENT = struct.Struct("<IIII")  # flags, position, key size, value size
_BRANCH_ELEMENT = struct.Struct("<IIQ")  # position, key size, page
_BUCKET = struct.Struct("<QQ")  # root page, sequence


class Meta(NamedTuple):
    """The meta record that counts: where the root bucket is and how much of the file is in use."""

    page_size: int
    root: int
    end: int
    """Number of pages in use; a shorter file is truncated."""
    transaction: int


def encode(buckets: Bucket) -> bytes:
    """Return the file that holds `buckets`: names to values or further buckets."""
    pages: list[bytes] = []
    root = _encode_bucket(buckets, pages)
    end = _FIRST_FREE_PAGE + sum(len(page) // PAGE_SIZE for page in pages)
    head = [_encode_meta(number, root, end) for number in (0, 1)]
    freelist = _PAGE.pack(_FREELIST_PAGE, _FREELIST, 0, 0)
    return b"".join([*head, _padded(freelist), *pages])


def write(path: Path, buckets: Bucket) -> None:
    """Write `buckets` to `path`; a program that has the old file mapped keeps what it sees."""
    try:
        content = encode(buckets)
    except ValueError as error:
        raise InputError(str(error), file=path) from error
    staged = path.with_name(f"{path.name}.new")
    staged.write_bytes(content)
    staged.replace(path)


def _encode_bucket(bucket: Bucket, pages: list[bytes]) -> int:
    """Append the pages of `bucket`, inner buckets first, and return the number of its page."""
    rows = sorted((name.encode(), value) for name, value in bucket.items())
    if len(rows) > MAX_KEYS:
        raise ValueError(f"a bucket has {len(rows)} keys, at most {MAX_KEYS} can be written")
    elements: list[tuple[int, bytes, bytes]] = []
    for key, value in rows:
        if not 0 < len(key) <= MAX_KEY_BYTES:
            raise ValueError(f"a key has {len(key)} bytes, expected 1 to {MAX_KEY_BYTES}")
        if isinstance(value, bytes):
            elements.append((0, key, value))
        else:
            elements.append((_IS_BUCKET, key, _BUCKET.pack(_encode_bucket(value, pages), 0)))
    number = _FIRST_FREE_PAGE + sum(len(page) // PAGE_SIZE for page in pages)
    pages.append(_encode_leaf(number, elements))
    return number


def _encode_leaf(number: int, elements: list[tuple[int, bytes, bytes]]) -> bytes:
    table, data = bytearray(), bytearray()
    for index, (flags, key, value) in enumerate(elements):
        # A position counts from its own element, not from the page.
        position = _LEAF_ELEMENT.size * (len(elements) - index) + len(data)
        table += _LEAF_ELEMENT.pack(flags, position, len(key), len(value))
        data += key + value
    overflow = (_PAGE.size + len(table) + len(data) - 1) // PAGE_SIZE
    return _padded(_PAGE.pack(number, _LEAF, len(elements), overflow) + table + data)


def _encode_meta(number: int, root: int, end: int) -> bytes:
    record = _RECORD.pack(_MAGIC, _VERSION, PAGE_SIZE, 0, root, 0, _FREELIST_PAGE, end, number)
    return _padded(_PAGE.pack(number, _META, 0, 0) + record + _CHECKSUM.pack(_fnv1a(record)))


def _padded(page: bytes) -> bytes:
    return page + bytes(-len(page) % PAGE_SIZE)


def _fnv1a(data: bytes) -> int:
    """FNV-1a, 64 bits: the checksum of a meta record."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def check(path: Path) -> Meta:
    """Return the meta record of the database at `path`, or raise InputError when it is damaged or cut.

    Trivy ends with a Go panic on such a file, so it is looked at before.
    """
    with _opened(path) as view:
        return _read_meta(view, path)


def names(path: Path) -> tuple[str, ...]:
    """Names in the root bucket, in order: cheap, whatever the size of the file."""
    with _opened(path) as view:
        reader = _Reader(view, path)
        return tuple(key.decode(errors="replace") for key, _, _ in reader.elements(reader.meta.root, depth=0))


def read(path: Path) -> Tree:
    """Everything in the file. For small databases: stops with InputError above `MAX_READ_BYTES`."""
    with _opened(path) as view:
        if len(view) > MAX_READ_BYTES:
            raise InputError(f"too big to be read whole ({len(view)} bytes)", file=path)
        reader = _Reader(view, path)
        return reader.bucket(reader.meta.root, depth=0)


class _Reader:
    """Walks the pages of one file; a page that comes twice means a damaged file."""

    def __init__(self, view: mmap.mmap, path: Path) -> None:
        self.view = view
        self.path = path
        self.meta = _read_meta(view, path)
        self._seen: set[int] = set()

    def bucket(self, page: int, *, depth: int) -> Tree:
        return self._tree(self.elements(page, depth=depth), depth)

    def _tree(self, elements: Iterator[tuple[bytes, int, bytes]], depth: int) -> Tree:
        return {
            key.decode(errors="replace"): self._inner(value, depth + 1) if flags & _IS_BUCKET else value
            for key, flags, value in elements
        }

    def _inner(self, value: bytes, depth: int) -> Tree:
        root = _BUCKET.unpack_from(self._need(value, _BUCKET.size))[0]
        if root:
            return self.bucket(root, depth=depth)
        # A small bucket is stored inline: its only page follows the header.
        return self._tree(self._leaf(value[_BUCKET.size :]), depth)

    def elements(self, page: int, *, depth: int) -> Iterator[tuple[bytes, int, bytes]]:
        """Key, flags and value of each leaf element below `page`, in order."""
        if depth > MAX_DEPTH or page in self._seen:
            raise InputError("damaged database: its pages form a loop", file=self.path)
        self._seen.add(page)
        raw = self._page(page)
        _, flags, count, _ = _PAGE.unpack_from(raw)
        if flags & _LEAF:
            yield from self._leaf(raw)
            return
        if not flags & _BRANCH:
            raise InputError(f"damaged database: page {page} holds no data", file=self.path)
        for index in range(count):
            offset = _PAGE.size + index * _BRANCH_ELEMENT.size
            child = _BRANCH_ELEMENT.unpack_from(self._need(raw, offset + _BRANCH_ELEMENT.size), offset)[2]
            yield from self.elements(child, depth=depth + 1)

    def _leaf(self, raw: bytes) -> Iterator[tuple[bytes, int, bytes]]:
        count = _PAGE.unpack_from(self._need(raw, _PAGE.size))[2]
        for index in range(count):
            offset = _PAGE.size + index * _LEAF_ELEMENT.size
            flags, position, key_size, value_size = _LEAF_ELEMENT.unpack_from(
                self._need(raw, offset + _LEAF_ELEMENT.size), offset
            )
            start = offset + position
            self._need(raw, start + key_size + value_size)
            key_end = start + key_size
            yield raw[start:key_end], flags, raw[key_end : key_end + value_size]

    def _page(self, number: int) -> bytes:
        size = self.meta.page_size
        if not _FIRST_FREE_PAGE - 1 <= number < self.meta.end:
            raise InputError(f"damaged database: no page {number}", file=self.path)
        overflow = _PAGE.unpack_from(self.view, number * size)[3]
        if number + overflow >= self.meta.end:
            raise InputError(f"damaged database: page {number} is longer than the file", file=self.path)
        return self.view[number * size : (number + overflow + 1) * size]

    def _need(self, raw: bytes, size: int) -> bytes:
        if size > len(raw):
            raise InputError("damaged database: an element ends outside its page", file=self.path)
        return raw


def _read_meta(view: mmap.mmap, path: Path) -> Meta:
    found: list[Meta] = []
    # The second copy starts at the page size, which only the first one tells: try every size that bbolt uses.
    for offset in (0, *sorted(_PAGE_SIZES)):
        meta = _meta_at(view, offset)
        if meta is not None and offset in {0, meta.page_size}:
            found.append(meta)
    if not found:
        raise InputError(
            "not a vulnerability database, or a damaged one: no meta page is right",
            file=path,
            hint=FETCH_AGAIN,
        )
    meta = max(found, key=lambda meta: meta.transaction)
    if meta.end * meta.page_size > len(view):
        raise InputError(
            f"truncated database: {len(view)} bytes, expected at least {meta.end * meta.page_size}",
            file=path,
            hint=FETCH_AGAIN,
        )
    return meta


def _meta_at(view: mmap.mmap, offset: int) -> Meta | None:
    start = offset + _PAGE.size
    if start + _RECORD.size + _CHECKSUM.size > len(view):
        return None
    record = view[start : start + _RECORD.size]
    magic, version, page_size, _, root, _, _, end, transaction = _RECORD.unpack(record)
    checksum = _CHECKSUM.unpack_from(view, start + _RECORD.size)[0]
    right = (magic, version, checksum) == (_MAGIC, _VERSION, _fnv1a(record)) and page_size in _PAGE_SIZES
    return Meta(page_size, root, end, transaction) if right else None


@contextmanager
def _opened(path: Path) -> Iterator[mmap.mmap]:
    """A read-only map of the whole file; InputError when there is none."""
    try:
        if path.exists() and not path.is_file():
            raise InputError("not a regular file", file=path)
        with path.open("rb") as file:
            view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError as error:
        raise InputError("the file is empty", file=path, hint=FETCH_AGAIN) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    with view:
        yield view
