"""`packages.lock`: format and parse are a pair, and every wrong line is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hullmark.build.lock import Index, Lock, LockedHelper, LockedPackage, format_lock, load_lock, parse_lock
from hullmark.errors import InputError
from hullmark.image import Digest

if TYPE_CHECKING:
    import random
    from pathlib import Path

names = st.from_regex(r"[a-z0-9][a-z0-9+.-]{1,12}", fullmatch=True)
words = st.from_regex(r"[!-~]{1,12}", fullmatch=True)
digests = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True).map(Digest)
indexes = st.builds(
    Index,
    archive=st.sampled_from(["debian", "debian-security"]),
    suite=names,
    release=digests,
    date=st.integers(0, 4_000_000_000),
)


versions = st.from_regex(r"([0-9]:)?[0-9][A-Za-z0-9.+~]{0,6}(-[0-9a-z]{1,3})?", fullmatch=True)


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    chosen = draw(st.lists(indexes, min_size=1, max_size=3, unique_by=lambda index: index.suite))
    package = st.builds(
        LockedPackage,
        architecture=st.sampled_from(["amd64", "arm64"]),
        name=names,
        version=versions,
        digest=digests,
        size=st.integers(1, 1 << 29),
        suite=st.sampled_from([index.suite for index in chosen]),
        path=names.map(lambda name: f"pool/{name}.deb"),
        source=names,
        source_version=versions,
    )
    packages = draw(
        st.lists(package, min_size=1, max_size=5, unique_by=lambda item: (item.architecture, item.name))
    )
    helper = st.builds(
        LockedHelper,
        architecture=st.sampled_from(["amd64", "arm64"]),
        path=names.map(lambda name: f"usr/bin/{name}"),
        digest=digests,
        size=st.integers(1, 1 << 20),
        compiler=words,
    )
    helpers = draw(st.lists(helper, max_size=3, unique_by=lambda item: (item.architecture, item.path)))
    return Lock(
        indexes=tuple(sorted(chosen)), packages=tuple(sorted(packages)), helpers=tuple(sorted(helpers))
    )


@settings(deadline=None, max_examples=40)
@given(locks())
def test_parsing_what_was_formatted_gives_the_same_lock(lock: Lock) -> None:
    assert parse_lock(format_lock(lock)) == lock


@settings(deadline=None, max_examples=40)
@given(locks(), st.randoms())
def test_order_never_changes_the_text(lock: Lock, chance: random.Random) -> None:
    mixed = list(lock.packages)
    chance.shuffle(mixed)
    other = Lock(indexes=lock.indexes[::-1], packages=tuple(mixed), helpers=lock.helpers[::-1])
    assert format_lock(other) == format_lock(lock)


DIGEST = f"sha256:{'a' * 64}"
INDEX = f"index debian trixie {DIGEST} 2026-01-01T00:00:00Z"
PACKAGE = f"package amd64 tool 1.0 {DIGEST} 10 trixie pool/t/tool.deb tool 1.0"


def test_the_newest_index_gives_the_time() -> None:
    later = INDEX.replace("trixie", "trixie-updates").replace("2026-01-01", "2026-01-02")
    lock = parse_lock(f"hullmark-lock 1\n# note\n\n{INDEX}\n{later}\n{PACKAGE}\n")
    assert lock.epoch == 1_767_312_000


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["hullmark-lock 2", INDEX, PACKAGE], "line 1: expected `hullmark-lock 1`"),
        (["hullmark-lock 1"], "names no index or no package"),
        (["hullmark-lock 1", INDEX, PACKAGE.replace("package", "pakage")], "line 3: expected `index`, "),
        (["hullmark-lock 1", INDEX, f"{PACKAGE} more"], "line 3: expected 9 words after `package`, got 10"),
        (["hullmark-lock 1", INDEX, PACKAGE.replace("pool/t", "../t")], "line 3: expected a relative path"),
        (["hullmark-lock 1", INDEX, PACKAGE.replace("pool", "/pool")], "line 3: expected a relative path"),
        (["hullmark-lock 1", INDEX, PACKAGE.replace(" 10 ", " 0 ")], "line 3: expected a size"),
        (["hullmark-lock 1", INDEX, PACKAGE.replace(" 10 ", " ² ")], "line 3: expected a word of visible"),
        (["hullmark-lock 1", INDEX, PACKAGE.replace(" 10 ", " 99999999999 ")], "line 3: expected a size"),
        (
            ["hullmark-lock 1", INDEX, PACKAGE.replace("tool 1.0 sha", "tool 1|0 sha")],
            "line 3: expected a version",
        ),
        (["hullmark-lock 1", INDEX, PACKAGE.replace("sha256", "md5")], "line 3: 'md5:"),
        (["hullmark-lock 1", INDEX, PACKAGE.replace("amd64 tool", "amd64 t/l")], "line 3: expected a name"),
        (["hullmark-lock 1", INDEX, PACKAGE.replace("trixie", "sid")], "tool: no index for suite 'sid'"),
        (["hullmark-lock 1", INDEX, PACKAGE, PACKAGE], "tool: locked twice"),
        (["hullmark-lock 1", INDEX, INDEX, PACKAGE], "names a suite twice"),
        (["hullmark-lock 1", INDEX.replace("-01T", "-31T").replace("-01-", "-02-"), PACKAGE], "line 2: day"),
        (
            ["hullmark-lock 1", INDEX.replace("index debian", "index ubuntu"), PACKAGE],
            "line 2: expected one of",
        ),
    ],
)
def test_a_wrong_line_is_named(lines: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_lock("\n".join(lines) + "\n", file="images/tiny/packages.lock")
    assert f"images/tiny/packages.lock: {message}" in caught.value.message


def test_a_lock_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "packages.lock"
    path.write_bytes(b"hullmark-lock 1\n\xff\n")
    with pytest.raises(InputError, match="not UTF-8 at byte 16"):
        load_lock(path)
    with pytest.raises(InputError, match="cannot read"):
        load_lock(path.with_name("other"))
