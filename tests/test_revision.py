"""The repository as one commit has it, or as it lies on disk."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hullmark.config import load_project
from hullmark.errors import InputError
from hullmark.image import LINUX_AMD64, Digest
from hullmark.revision import BuildInputs, Commit, Revision, WorkingTree, load_revision
from tests.repositories import commit, new_repository, write

CONFIG = "version = 1\n[images.app]\n[images.web]\n"
FILES = {
    "hullmark.toml": CONFIG,
    "images/app/Dockerfile": "FROM scratch\n",
    "images/app/ä b.txt": "1\n",
    "images/web/Dockerfile": "FROM hullmark/app\n",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    new_repository(tmp_path)
    commit(tmp_path, FILES)
    return tmp_path


def digest(revision: Revision, image: str = "app") -> Digest:
    project = load_revision(revision)
    assert project is not None
    return BuildInputs(revision, project).digest(image, LINUX_AMD64)


_NAMES = st.sampled_from(["a", "b.txt", "sub/c", "sub/d d", "ü"])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.dictionaries(_NAMES, st.text("ab\n", max_size=8), min_size=1),
    executable=st.sets(_NAMES),
    inside=st.booleans(),
)
def test_equal_content_gives_the_equal_digest_in_the_working_tree_and_in_a_commit(
    files: dict[str, str], executable: set[str], *, inside: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        top = new_repository(Path(folder))
        root = top / "below" if inside else top
        write(root, {"hullmark.toml": CONFIG} | {f"images/app/{name}": text for name, text in files.items()})
        for name in executable & files.keys():
            (root / "images/app" / name).chmod(0o755)
        (root / "images/app/link").symlink_to("elsewhere")

        before = digest(WorkingTree(root))
        commit(top, {})

        assert digest(Commit(root, "HEAD")) == before
        assert digest(WorkingTree(root)) == before


def test_a_folder_that_is_no_repository_has_the_same_digest(repository: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    write(repository, {".gitignore": "plain/\n"})
    write(plain, FILES)

    assert digest(WorkingTree(plain)) == digest(WorkingTree(repository)) == digest(Commit(repository, "HEAD"))


def test_what_git_ignores_and_what_hullmark_writes_itself_is_no_input(repository: Path) -> None:
    whole = 'version = 1\n[images.app]\npath = "."\n'
    commit(repository, {"hullmark.toml": whole, ".gitignore": "*.log\n"})
    before = digest(WorkingTree(repository))

    write(repository, {"a.log": "1", "dist/app.tar": "2", "audit-logs/app/2026-01.jsonl": "{}\n"})
    assert digest(WorkingTree(repository)) == before
    commit(repository, {"cve-baseline/app.json": "{}"})
    assert digest(Commit(repository, "HEAD")) == before
    write(repository, {"new.txt": "1"})
    assert digest(WorkingTree(repository)) != before


def test_images_are_ordered_after_what_they_are_built_from(tmp_path: Path) -> None:
    names = ("app", "base", "middle", "other")
    files = {"hullmark.toml": "version = 1\n" + "".join(f"[images.{name}]\n" for name in names)}
    for name, base in (("app", "middle"), ("middle", "base"), ("base", "debian"), ("other", "debian")):
        text = f"FROM localhost/hullmark/{base}:build\n" if base in names else f"FROM {base}\n"
        files[f"images/{name}/Dockerfile"] = text
    write(tmp_path, files)

    def order(*images: str) -> tuple[str, ...]:
        return BuildInputs(WorkingTree(tmp_path), load_project(tmp_path)).order(images)

    assert order("app", "base", "middle", "other") == ("base", "middle", "app", "other")
    assert order("app") == ("base", "middle", "app"), "with all that it is built from"
    write(tmp_path, {"images/base/Dockerfile": "FROM localhost/hullmark/app:build\n"})
    with pytest.raises(InputError, match="in a circle"):
        order("app")


def test_another_image_of_the_repository_is_part_of_what_is_built_from_it(repository: Path) -> None:
    app, web = (digest(Commit(repository, "HEAD"), name) for name in ("app", "web"))

    commit(repository, {"images/app/ä b.txt": "2\n"})

    head = Commit(repository, "HEAD")
    assert digest(head) != app
    assert digest(head, "web") != web


def test_only_its_own_table_counts_and_not_its_other_platforms(repository: Path) -> None:
    before = digest(WorkingTree(repository))
    more = CONFIG.replace("[images.web]", 'platforms = ["linux/amd64", "linux/arm64"]\n[images.web]')

    write(repository, {"hullmark.toml": more + "[images.third]\n[scan]\nmax_age = 3\n"})
    assert digest(WorkingTree(repository)) == before
    write(
        repository, {"hullmark.toml": CONFIG.replace("[images.web]", 'package_types = ["npm"]\n[images.web]')}
    )
    assert digest(WorkingTree(repository)) != before


def test_a_submodule_device_or_pipe_is_refused(repository: Path) -> None:
    inner = new_repository(repository / "images/app/inner")
    commit(inner, {"x": "1"})
    subprocess.run(["git", "-c", "advice.addEmbeddedRepo=false", "add", "-A"], cwd=repository, check=True)
    for revision in (WorkingTree(repository), Commit(repository, commit(repository, {}))):
        with pytest.raises(InputError, match=r"images/app/inner.*: a submodule"):
            digest(revision)
    plain = repository / "plain"
    write(repository, {".gitignore": "plain/\n"} | {f"plain/{name}": text for name, text in FILES.items()})
    os.mkfifo(plain / "images/web/pipe")
    with pytest.raises(InputError, match=r"images/web/pipe: a device or pipe"):
        digest(WorkingTree(plain), "web")


@pytest.mark.parametrize("kind", ["sliced", "Dockerfile"])
def test_a_link_that_a_build_would_follow_is_refused(repository: Path, kind: str) -> None:
    (repository / "images/app/Dockerfile").unlink()
    if kind == "sliced":
        write(repository, {"images/app/image.toml": "", "images/app/files/x": ""})
        (repository / "images/app/files/link").symlink_to("x")
    else:
        (repository / "images/app/Dockerfile").symlink_to("../web/Dockerfile")
    for revision in (WorkingTree(repository), Commit(repository, commit(repository, {}))):
        with pytest.raises(InputError, match=r"images/app: .*: a link; put the file itself there"):
            digest(revision)


def test_an_image_without_files_is_refused(repository: Path) -> None:
    (repository / "images/app").rename(repository / "elsewhere")
    (repository / "images/app").symlink_to("../elsewhere")

    for revision in (WorkingTree(repository), Commit(repository, commit(repository, {}))):
        with pytest.raises(InputError, match="images/app: no file that an image could be built from"):
            digest(revision)


def test_a_commit_without_configuration_says_so(repository: Path) -> None:
    assert load_revision(Commit(repository, commit(repository, {"hullmark.toml": None}))) is None
    broken = Commit(repository, commit(repository, {"hullmark.toml": "version = 2\n"}))
    with pytest.raises(InputError, match=rf"{broken.label}:hullmark.toml: version"):
        load_revision(broken)


@pytest.mark.parametrize("path", ["../x", "/etc", "a/../../b"])
def test_a_folder_outside_of_the_repository_is_refused(repository: Path, path: str) -> None:
    text = f'version = 1\n[images.app]\npath = "{path}"\n'
    with pytest.raises(InputError, match=r"images.app.path: leads out of the repository"):
        load_revision(Commit(repository, commit(repository, {"hullmark.toml": text})))
