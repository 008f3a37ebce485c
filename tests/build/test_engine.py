"""Dockerfiles and references through real buildah, podman and skopeo."""

from __future__ import annotations

import hashlib
import json
import os
import select
import shutil
import tarfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from hullmark.build import engine
from hullmark.build.archive import inspect_archive
from hullmark.build.builder import build
from hullmark.build.engine import build_dockerfile, fetch_reference, find_engines
from hullmark.errors import EnvironmentFaultError, InputError, NetworkError, UsageError
from hullmark.image import LINUX_AMD64
from tests.build.conftest import required
from tests.build.test_archive import LAYER, config_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEALTHY = 'FROM scratch\nCOPY hello /hello\nHEALTHCHECK CMD ["/hello"]\n'


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose engines keep everything in a folder of this test."""
    base = tmp_path_factory.mktemp("engine")
    storage = base / "storage.conf"
    storage.write_text(
        f'[storage]\ndriver = "vfs"\nrunroot = "{base}/run"\ngraphroot = "{base}/store"\n', encoding="utf-8"
    )
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(base),
        "CONTAINERS_STORAGE_CONF": str(storage),
        "BUILDAH_ISOLATION": "chroot",
        "DOCKER_HOST": "unix:///nonexistent/docker.sock",
    }


def only(environ: dict[str, str], base: Path, *names: str) -> dict[str, str]:
    """The same environment with these programs alone on its PATH."""
    folder = base / "bin"
    folder.mkdir(exist_ok=True)
    for name in names:
        required(name)
        (folder / name).symlink_to(str(shutil.which(name)))
    return {**environ, "PATH": str(folder)}


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "images" / "hello"
    folder.mkdir(parents=True)
    (folder / "hello").write_text("hello")
    (folder / "Dockerfile").write_text(HEALTHY)
    return folder


@pytest.mark.parametrize("name", ["buildah", "podman"])
def test_a_dockerfile_becomes_an_archive_that_keeps_its_health_check(
    context: Path, tmp_path: Path, programs: dict[str, str], name: str
) -> None:
    environ = only(programs, tmp_path, name)
    assert [found.name for found in find_engines(environ)] == [name]
    (image,) = build(context, out=tmp_path / "out", cache=tmp_path, environ=environ)
    assert image.path == tmp_path / "out" / "hello.tar"
    assert image.platform.os == "linux"
    assert image.packages is None
    found = inspect_archive(image.path).only()
    assert found.digest == image.config_digest
    assert len(found.layers) == 1
    with tarfile.open(image.path) as tar:
        config = tar.extractfile(f"{found.config.removeprefix('sha256:')}.json")
        assert config is not None
        assert json.load(config)["config"]["Healthcheck"] == {"Test": ["CMD", "/hello"]}


def test_a_dockerfile_that_fails_says_why_and_leaves_the_earlier_archive(
    context: Path, tmp_path: Path, programs: dict[str, str]
) -> None:
    required("buildah")
    archive = tmp_path / "hello.tar"
    archive.write_text("earlier")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY absent /\n")
    with pytest.raises(EnvironmentFaultError, match="could not build") as caught:
        build_dockerfile(context, archive=archive, name="hello", environ=programs)
    assert "absent" in caught.value.message
    assert archive.read_text() == "earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hello.tar", "images"]


def test_a_missing_dockerfile_is_named(tmp_path: Path, programs: dict[str, str]) -> None:
    with pytest.raises(InputError, match="Dockerfile: is missing"):
        build_dockerfile(tmp_path, archive=tmp_path / "x.tar", name="x", environ=programs)


def test_without_an_engine_it_says_what_to_install(context: Path, tmp_path: Path) -> None:
    nothing = {"PATH": str(tmp_path)}
    assert list(find_engines(nothing)) == []
    with pytest.raises(EnvironmentFaultError) as caught:
        build_dockerfile(context, archive=tmp_path / "x.tar", name="hello", environ=nothing)
    assert "apt-get install buildah" in caught.value.hint
    with pytest.raises(EnvironmentFaultError) as caught:
        fetch_reference("registry.test/app:1", archive=tmp_path / "x.tar", environ=nothing)
    assert "apt-get install skopeo" in caught.value.hint


def test_a_docker_client_without_its_daemon_is_no_engine(programs: dict[str, str]) -> None:
    assert "docker" not in [found.name for found in find_engines(programs)]


def test_a_path_with_a_colon_is_refused_before_anything_runs(
    context: Path, tmp_path: Path, programs: dict[str, str]
) -> None:
    required("buildah")
    with pytest.raises(InputError, match="a path with a colon"):
        build_dockerfile(context, archive=tmp_path / "a:b" / "x.tar", name="hello", environ=programs)


@pytest.mark.parametrize("reference", ["", "-o", "--help", "a b", "a\nb", "../x", "x" * 600, "a;b", "$(id)"])
def test_what_is_no_reference_is_refused(tmp_path: Path, reference: str) -> None:
    with pytest.raises(UsageError):
        fetch_reference(reference, archive=tmp_path / "x.tar", environ={})


def test_a_local_engine_gives_an_image_that_it_has(
    context: Path, tmp_path: Path, programs: dict[str, str]
) -> None:
    required("buildah")
    build_dockerfile(context, archive=tmp_path / "one.tar", name="hello", environ=programs)
    fetch_reference("localhost/hullmark/hello:build", archive=tmp_path / "two.tar", environ=programs)
    one, two = inspect_archive(tmp_path / "one.tar"), inspect_archive(tmp_path / "two.tar")
    assert one.only().digest == two.only().digest


def test_a_program_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    reader = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    script = f"exec 3<>{alive}; printf x >&3; (exec sleep 600) & wait"
    with pytest.raises(EnvironmentFaultError, match="it: not done after 1 seconds"):
        engine._run(["/bin/sh", "-c", script], {}, 1, "it")
    assert os.read(reader, 10) == b"x"
    # Both held the pipe open: its end is read only when no writer is left, soon after both were killed.
    ended, _, _ = select.select([reader], [], [], 30)
    assert ended
    assert os.read(reader, 10) == b""
    os.close(reader)


def test_no_token_reaches_an_engine(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin:/bin", "GITHUB_TOKEN": "x", "HOME": str(tmp_path)}
    with pytest.raises(EnvironmentFaultError, match=r"^it: HOME LANG PATH$"):
        engine._run(
            ["/bin/sh", "-c", "env | cut -d= -f1 | grep -vE '^(PWD|SHLVL|_|OLDPWD)$' | sort | xargs; exit 1"],
            environ,
            30,
            "it",
        )


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(EnvironmentFaultError, match=r"cannot run /nowhere/it: No such file"):
        engine._run(["/nowhere/it"], {}, 1, "it")


@contextmanager
def registry() -> Iterator[str]:
    """A registry on loopback with the image `app:1`; its address."""
    config = config_of(LAYER)
    blobs = {f"sha256:{hashlib.sha256(data).hexdigest()}": data for data in (config, LAYER)}
    config_digest, layer_digest = blobs
    kind = "application/vnd.oci.image"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{kind}.manifest.v1+json",
            "config": {"mediaType": f"{kind}.config.v1+json", "digest": config_digest, "size": len(config)},
            "layers": [{"mediaType": f"{kind}.layer.v1.tar", "digest": layer_digest, "size": len(LAYER)}],
        }
    ).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rsplit("/", 1)[-1]
            data, media = b"{}", "application/json"
            if self.path.startswith("/v2/app/manifests/"):
                data, media = (manifest, f"{kind}.manifest.v1+json") if name == "1" else (b"", "")
            elif self.path.startswith("/v2/app/blobs/"):
                data, media = blobs[name], "application/octet-stream"
            self.send_response(200 if data else 404)
            self.send_header("Content-Type", media)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_HEAD = do_GET  # noqa: N815 - the base class's name

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_a_reference_is_fetched_by_skopeo(tmp_path: Path, programs: dict[str, str]) -> None:
    required("skopeo")
    with registry() as address:
        settings = tmp_path / ".config" / "containers" / "registries.conf"
        settings.parent.mkdir(parents=True)
        settings.write_text(f'[[registry]]\nlocation = "{address}"\ninsecure = true\n')
        environ = {**only(programs, tmp_path, "skopeo"), "HOME": str(tmp_path)}
        archive = tmp_path / "app.tar"
        used = fetch_reference(f"{address}/app:1", archive=archive, environ=environ, platform=LINUX_AMD64)
        assert used == "skopeo"
        assert inspect_archive(archive).only().layers == (f"sha256:{hashlib.sha256(LAYER).hexdigest()}",)
        with pytest.raises(NetworkError, match="skopeo could not fetch"):
            fetch_reference(f"{address}/app:2", archive=tmp_path / "none.tar", environ=environ)
        assert not (tmp_path / "none.tar").exists()
