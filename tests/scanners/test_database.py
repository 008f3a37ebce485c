from __future__ import annotations

import fcntl
import json
import os
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hullmark.errors import EnvironmentFaultError, InputError, NetworkError, UsageError
from hullmark.scan import NoteReason
from hullmark.scanners import bolt, database, download, sample
from hullmark.scanners.download import Source
from hullmark.scanners.unpack import import_database
from tests.scanners.support import DATE, OPENSSL, database_files, pack, push, registry, require, run_trivy

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
JAVA = {
    "trivy-java.db": b"SQLite format 3\0" + bytes(100),
    "metadata.json": b'{"Version":1,"UpdatedAt":"2026-11-20T00:00:00Z","NextUpdate":"2026-11-23T00:00:00Z"}',
}


def make(folder: Path, updated_at: datetime = DATE) -> Path:
    return sample.build([OPENSSL], folder=folder, updated_at=updated_at)


def make_real(folder: Path, updated: str = "2026-11-20T06:15:32.123456789Z") -> Path:
    """A database that is not a sample, as it would be downloaded."""
    (folder / "db").mkdir(parents=True)
    tree = sample.contents([OPENSSL])
    del tree[sample.MARK]
    bolt.write(folder / "db" / "trivy.db", tree)
    metadata = {"Version": 2, "UpdatedAt": updated, "NextUpdate": updated, "DownloadedAt": updated, "New": 1}
    (folder / "db" / "metadata.json").write_text(json.dumps(metadata))
    return folder


def test_a_database_is_what_its_folder_holds(tmp_path: Path) -> None:
    held = database.inspect(make_real(tmp_path), cache=tmp_path / "digests.json")
    assert held.database.updated_at == "2026-11-20T06:15:32Z"
    assert not held.database.sample
    assert held.systems == ("debian 13",)
    assert not held.has_java
    (tmp_path / "java-db").mkdir()
    for name, content in JAVA.items():
        (tmp_path / "java-db" / name).write_bytes(content)
    assert database.inspect(tmp_path).java_updated_at == "2026-11-20T00:00:00Z"


def test_a_sample_says_so_and_keeps_saying_so_when_it_is_copied(tmp_path: Path) -> None:
    held = database.inspect(make(tmp_path / "a"))
    assert held.database.sample
    import_database(tmp_path / "a", tmp_path / "b")
    assert database.inspect(tmp_path / "b").database == held.database


def test_a_real_database_in_the_place_of_a_sample_is_no_sample(tmp_path: Path) -> None:
    make(tmp_path / "a")
    import_database(make_real(tmp_path / "b"), tmp_path / "a")
    assert not database.inspect(tmp_path / "a").database.sample


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"Version":3,"UpdatedAt":"2026-01-01T00:00:00Z"}', "Version: a database of schema 3, newer than 2"),
        ('{"Version":1,"UpdatedAt":"2026-01-01T00:00:00Z"}', "Version: a database of schema 1, older than 2"),
        ('{"Version":2}', "not the metadata of a database: .*`UpdatedAt`"),
        ('{"Version":2,"UpdatedAt":"soon"}', "not the metadata of a database"),
        ('{"Version":2,"UpdatedAt":"2026-01-01T00:00:00"}', "has no time zone"),
        (
            '{"Version":"2","UpdatedAt":"2026-01-01T00:00:00Z"}',
            r"Expected `int`, got `str` - at `\$.Version`",
        ),
        ("", "not the metadata of a database"),
        ("\xff", "not the metadata of a database"),
        ("[" * 100_000, "longer than"),
        ("[" * 60_000, "not the metadata of a database"),
    ],
)
def test_metadata_that_we_cannot_trust_is_an_error_that_names_the_file(
    tmp_path: Path, text: str, said: str
) -> None:
    path = make(tmp_path) / "db" / "metadata.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=f"^{path}: .*{said}|^{path}: {said}"):
        database.inspect(tmp_path)


def test_a_missing_or_truncated_database_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "db" / "trivy.db"
    with pytest.raises(InputError, match=f"^{path}: no vulnerability database"):
        database.inspect(tmp_path)
    whole = (make(tmp_path) / "db" / "trivy.db").read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(InputError, match=f"^{path}: truncated database: {len(whole) - 1} bytes"):
        database.inspect(tmp_path)
    bolt.write(path, {"something": {}})
    with pytest.raises(InputError, match="not one of vulnerabilities"):
        database.inspect(tmp_path)
    path.with_name("metadata.json").unlink()
    with pytest.raises(InputError, match=r"metadata\.json: cannot be read"):
        database.inspect(tmp_path)


def test_the_folder_above_is_named_when_the_inner_one_is_given(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        database.inspect(make(tmp_path) / "db")
    assert raised.value.hint == f"Name the folder above: {tmp_path}"


def test_the_option_wins_over_the_variable_and_both_are_never_updated(tmp_path: Path) -> None:
    option, default = tmp_path / "option", tmp_path / "default"
    environment = {"HULLMARK_DB": "variable"}
    assert database.choose(option, environment, default=default).folder == option
    named = database.choose(None, environment, default=default)
    assert (named.folder, named.named) == (Path("variable"), True)
    own = database.choose(None, {"HULLMARK_DB": ""}, default=default)
    assert (own.folder, own.named) == (default, False)
    database.refuse_named(own)
    with pytest.raises(UsageError, match="never changed"):
        database.refuse_named(named)


def test_an_old_database_is_said_and_a_sample_is_exempt(tmp_path: Path) -> None:
    real = database.inspect(make_real(tmp_path / "real")).database
    assert database.age(real, NOW) == timedelta(days=4, seconds=20668)
    assert database.staleness(real, NOW, 5) is None
    note = database.staleness(real, NOW, 4)
    assert note is not None
    assert (note.reason, note.detail) == (NoteReason.STALE_DATABASE, "4 days old, at most 4 are allowed")
    old = database.inspect(make(tmp_path / "sample", datetime(2020, 1, 1, tzinfo=UTC))).database
    assert database.staleness(old, NOW, 4) is None


def test_a_database_from_the_future_is_not_fresh_for_ever(tmp_path: Path) -> None:
    held = database.inspect(make_real(tmp_path, "2126-01-01T00:00:00Z")).database
    note = database.staleness(held, NOW, 4)
    assert note is not None
    assert "in the future" in note.detail


# --- import -----------------------------------------------------------------------------------------------


def test_a_database_is_imported_from_its_distributed_archive(tmp_path: Path) -> None:
    archive = tmp_path / "db.tar.gz"
    archive.write_bytes(pack(database_files(make_real(tmp_path / "from"))))
    assert import_database(archive, tmp_path / "to") == ("trivy.db",)
    assert database_files(tmp_path / "to") == database_files(tmp_path / "from")
    archive.write_bytes(pack(JAVA))
    assert import_database(archive, tmp_path / "to") == ("trivy-java.db",)
    assert database.inspect(tmp_path / "to").has_java
    assert {path.name for path in (tmp_path / "to").iterdir()} == {".lock", "db", "java-db"}


def test_a_failed_import_leaves_the_old_database_untouched(tmp_path: Path) -> None:
    before = database_files(make_real(tmp_path / "to"))
    good = database_files(make_real(tmp_path / "from", "2026-11-21T00:00:00Z"))
    archive = tmp_path / "db.tar.gz"
    whole = pack(good)
    faults = {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"hello",
        "without-metadata": pack({"trivy.db": good["trivy.db"]}),
        "cut-inside": pack({**good, "trivy.db": good["trivy.db"][:5000]}),
        "twice": pack({**good, "other/trivy.db": b""}),
        "both": pack({**good, **JAVA}),
        "no-java": pack({**JAVA, "trivy-java.db": b"x"}),
        "many": pack({f"{number}": b"" for number in range(1001)}),
        "newer": pack({**good, "metadata.json": good["metadata.json"].replace(b"2,", b"3,", 1)}),
    }
    for name, content in faults.items():
        archive.write_bytes(content)
        with pytest.raises(InputError, match=str(archive)):
            import_database(archive, tmp_path / "to")
        assert database_files(tmp_path / "to") == before, name
    for missing in (tmp_path / "nothing", tmp_path, Path(os.devnull)):
        with pytest.raises(InputError, match=str(missing)):
            import_database(missing, tmp_path / "to")
    assert database_files(tmp_path / "to") == before


def test_members_that_lead_out_of_the_archive_write_nothing_there(tmp_path: Path) -> None:
    files = database_files(make_real(tmp_path / "from"))
    archive = tmp_path / "inner" / "db.tar.gz"
    archive.parent.mkdir()
    archive.write_bytes(
        pack({"../../trivy.db": files["trivy.db"], "/metadata.json": files["metadata.json"], "../evil": b"x"})
    )
    import_database(archive, tmp_path / "to")
    assert database_files(tmp_path / "to") == files
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "trivy.db").exists()


def test_an_older_database_may_be_imported_over_a_newer_one(tmp_path: Path) -> None:
    make_real(tmp_path / "to", "2026-11-22T00:00:00Z")
    import_database(make_real(tmp_path / "from", "2026-11-01T00:00:00Z"), tmp_path / "to")
    assert database.inspect(tmp_path / "to").database.updated_at == "2026-11-01T00:00:00Z"


def test_a_sample_is_never_imported_over_a_real_database(tmp_path: Path) -> None:
    before = database_files(make_real(tmp_path / "to"))
    with pytest.raises(UsageError, match="real vulnerability database"):
        import_database(make(tmp_path / "from"), tmp_path / "to")
    assert database_files(tmp_path / "to") == before


def test_two_updates_at_once_do_not_mix(tmp_path: Path) -> None:
    folder = make(tmp_path / "to")
    with (folder / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EnvironmentFaultError, match="another process is updating"):
            import_database(make(tmp_path / "from"), folder)


def test_what_a_killed_update_left_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "to" / ".new-left").mkdir(parents=True)
    import_database(make(tmp_path / "from"), tmp_path / "to")
    assert not (tmp_path / "to" / ".new-left").exists()


# --- update -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@contextmanager
def answering(code: int) -> Iterator[tuple[str, list[str]]]:
    """A registry on loopback that answers every request with `code`."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}/trivy-db", asked
        finally:
            server.shutdown()
            thread.join()


def source(*repositories: str, java: tuple[str, ...] = ()) -> Source:
    return Source(trivy=require("trivy"), repositories=repositories, java_repositories=java)


def test_trivy_downloads_a_database_that_trivy_then_matches_with(host: str, tmp_path: Path) -> None:
    repository = push(host, "good", database_files(make_real(tmp_path / "from")))
    folder = tmp_path / "to"
    done = download.update(folder, source(repository), environment={})
    assert (done.changed, done.source) == (True, repository)
    assert done.held.database == database.inspect(tmp_path / "from").database
    sbom = tmp_path / "sbom.json"
    sbom.write_text('{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[]}')
    assert b'"SchemaVersion"' in run_trivy(folder, "sbom", sbom)
    assert {path.name for path in folder.iterdir()} == {".lock", "db"}
    again = download.update(folder, source(repository), environment={})
    assert not again.changed


def test_the_next_repository_is_tried_when_one_is_busy_or_broken(host: str, tmp_path: Path) -> None:
    good = push(host, "fallback", database_files(make_real(tmp_path / "from")))
    said: list[str] = []
    with answering(429) as (busy, asked), answering(503) as (broken, asked_too):
        done = download.update(tmp_path / "to", source(busy, broken, good), environment={}, say=said.append)
    assert done.source == good
    assert asked
    assert asked_too
    assert f"{busy} cannot be used now" in said[1]
    assert "429 Too Many Requests" in said[1]
    assert "503 Service Unavailable" in said[3]


def test_an_answer_that_is_final_ends_the_update_and_leaves_the_old_database(
    host: str, tmp_path: Path
) -> None:
    before = database_files(make_real(tmp_path / "to", "2026-01-01T00:00:00Z"))
    good = push(host, "final", database_files(make_real(tmp_path / "from")))
    with pytest.raises(NetworkError, match="MANIFEST_UNKNOWN"):
        download.update(tmp_path / "to", source(f"{host}/nothing", good), environment={})
    with answering(403) as (forbidden, _), pytest.raises(NetworkError, match="403 Forbidden"):
        download.update(tmp_path / "to", source(forbidden, good), environment={})
    assert database_files(tmp_path / "to") == before


def test_without_a_connection_every_repository_is_named(tmp_path: Path) -> None:
    with answering(200) as (gone, _):
        pass
    with pytest.raises(NetworkError, match=rf"{gone} .*connection refused.*; {gone} .*connection refused"):
        download.update(tmp_path / "to", source(gone, gone), environment={})


def test_a_damaged_download_leaves_the_old_database_untouched(host: str, tmp_path: Path) -> None:
    before = database_files(make_real(tmp_path / "to", "2026-01-01T00:00:00Z"))
    files = database_files(make_real(tmp_path / "from"))
    repository = push(host, "cut", {**files, "trivy.db": files["trivy.db"][:5000]})
    with pytest.raises(InputError, match="truncated"):
        download.update(tmp_path / "to", source(repository), environment={})
    assert database_files(tmp_path / "to") == before


def test_an_older_download_does_not_replace_a_newer_database(host: str, tmp_path: Path) -> None:
    before = database_files(make_real(tmp_path / "to", "2026-11-22T00:00:00Z"))
    repository = push(host, "older", database_files(make_real(tmp_path / "from")))
    assert not download.update(tmp_path / "to", source(repository), environment={}).changed
    assert database_files(tmp_path / "to") == before


def test_the_java_database_comes_only_when_asked_for(host: str, tmp_path: Path) -> None:
    main = push(host, "main", database_files(make_real(tmp_path / "from")))
    java = push(host, "java", JAVA, kind="javadb", tag="1")
    folder = tmp_path / "to"
    assert not download.update(folder, source(main, java=(java,)), environment={}).held.has_java
    assert download.update(folder, source(main, java=(java,)), java=True, environment={}).held.has_java


def test_a_download_gets_proxy_and_certificates_of_the_environment_and_nothing_else(tmp_path: Path) -> None:
    script = tmp_path / "trivy"
    script.write_text(f"#!/bin/sh\nenv >{tmp_path}/env\necho 'status code 403' >&2\nexit 1\n")
    script.chmod(0o755)
    environment = {"HTTPS_PROXY": "p", "SSL_CERT_FILE": "c", "GITHUB_TOKEN": "t", "TRIVY_INSECURE": "true"}
    with pytest.raises(NetworkError, match="status code 403"):
        download.update(tmp_path / "to", Source(trivy=script), environment=environment)
    names = {line.split("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {
        "PATH",
        "HOME",
        "TMPDIR",
        "HTTPS_PROXY",
        "SSL_CERT_FILE",
    }


def test_a_download_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "trivy"
    script.write_text("#!/bin/sh\nexec sleep 600\n")
    script.chmod(0o755)
    monkeypatch.setattr(download, "_GRACE", 0)
    with pytest.raises(NetworkError, match="timeout after 0 seconds"):
        download.update(tmp_path / "to", Source(trivy=script, timeout=0), environment={})
    assert [path.name for path in (tmp_path / "to").iterdir()] == [".lock"]


def test_a_full_disk_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    script = tmp_path / "trivy"
    script.write_text("#!/bin/sh\necho 'write: no space left on device' >&2\nexit 1\n")
    script.chmod(0o755)
    with pytest.raises(EnvironmentFaultError, match="no space left"):
        download.update(tmp_path / "to", Source(trivy=script), environment={})


def test_a_scanner_that_says_done_without_a_database_is_not_believed(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="did not arrive"):
        download.update(tmp_path / "to", Source(trivy=Path("/bin/true")), environment={})
    with pytest.raises(EnvironmentFaultError, match="cannot run"):
        download.update(tmp_path / "to", Source(trivy=tmp_path / "nothing"), environment={})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "-x/y",
        "a/b,c/d",
        "http://a/b",
        "user@a/b",
        "a/b c",
        "a/B",
        "a/b:",
        "a//b",
        "[::1]/x",
        "a/b\n",
    ],
)
def test_what_is_no_repository_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a repository"):
        download.check_repository(text)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "192.168.1.1:5000", "x.local", "a.localhost", "127.0.0.1.example.org"]
)
def test_plain_http_is_for_loopback_only(host: str) -> None:
    with pytest.raises(UsageError, match="plain HTTP"):
        download.check_repository(f"{host}/trivy-db")
    for allowed in ("localhost:5000", "127.0.0.1", "127.3.2.1:80", "registry.example.org:443"):
        download.check_repository(f"{allowed}/trivy-db:2")
