"""Parcels in a real folder, applied to a real ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
import pytest

from hullmark.errors import HullmarkError, InputError, RepositoryError
from hullmark.event import Decided
from hullmark.finding import Cause
from hullmark.image import Digest
from hullmark.journal import Journal
from hullmark.outbox import Outbox, Parcel, apply, is_applied, pack_decision
from hullmark.policy import Verdict
from tests.parcels import AT, make_parcel, never
from tests.values import HIGH, digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from hullmark.finding import Finding

NOW = datetime(2026, 1, 6, tzinfo=UTC)
DISCLOSED = msgspec.structs.replace(HIGH, id="CVE-2026-2")


def test_a_parcel_gives_back_what_was_seen(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    digest = make_parcel(outbox, HIGH)

    parcel = outbox.get(digest)
    scan = outbox.scan(parcel, parcel.scans[0])
    assert outbox.digests() == (digest,)
    assert (scan.image, str(scan.platform), scan.findings) == ("app", "linux/amd64", (HIGH,))


def test_the_same_facts_are_one_parcel(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)

    assert make_parcel(outbox, HIGH) == make_parcel(outbox, HIGH)
    assert len(outbox.digests()) == 1


def test_what_a_parcel_names_is_there_before_it(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    parcel = outbox.get(make_parcel(outbox, HIGH))

    with pytest.raises(RepositoryError, match="evidence is missing"):
        Outbox(tmp_path / "other").put(parcel)
    assert not (tmp_path / "other").exists()


def test_a_parcel_whose_evidence_is_missing_or_changed_is_refused_with_its_place(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    digest = make_parcel(outbox, HIGH)
    path = outbox.evidence.path(outbox.get(digest).scans[0].findings)

    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(RepositoryError, match=path.name):
        outbox.get(digest)
    path.unlink()
    with pytest.raises(RepositoryError, match=path.name):
        outbox.get(digest)


def test_a_parcel_that_does_not_hold_what_its_name_says_is_refused(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    digest = make_parcel(outbox, HIGH)
    outbox.path(digest).write_bytes(outbox.path(digest).read_bytes() + b"\n")

    with pytest.raises(RepositoryError, match="holds other content than its name says"):
        outbox.get(digest)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"at": "yesterday"}, r"at: not a time"),
        ({"missing": {"other linux/amd64": "lost"}}, r"accounts for app linux/amd64, other linux/amd64"),
        ({"scans": ()}, r"accounts for nothing, expected app linux/amd64"),
        ({"again": {"sha256:1": digest_of("x")}}, r"evidence is missing|is not a digest"),
    ],
)
def test_a_parcel_that_no_run_can_have_seen_is_refused(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    outbox = Outbox(tmp_path)
    parcel = outbox.get(make_parcel(outbox, HIGH))
    changed = msgspec.json.encode(msgspec.structs.replace(parcel, **changes), order="sorted")
    digest = Digest(f"sha256:{sha256(changed).hexdigest()}")
    outbox.path(digest).write_bytes(changed)

    with pytest.raises(HullmarkError, match=said):
        outbox.get(digest)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"version":2}', b'{"hello":1}', b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_parcel_is_an_error_with_its_place(tmp_path: Path, content: bytes) -> None:
    outbox = Outbox(tmp_path)
    digest = Digest(f"sha256:{sha256(content).hexdigest()}")
    outbox.path(digest).write_bytes(content)

    with pytest.raises(InputError, match="not a parcel"):
        outbox.get(digest)


def test_applying_continues_what_the_ledger_holds_and_names_the_parcel(tmp_path: Path) -> None:
    outbox, journal = Outbox(tmp_path / "outbox"), Journal(tmp_path / "ledger")
    apply(outbox, make_parcel(outbox, HIGH), journal, never, now=NOW)
    later = make_parcel(outbox, HIGH, DISCLOSED, database="b", at=AT + timedelta(hours=1))

    (event,) = apply(outbox, later, journal, never, now=NOW)

    assert [change.cause for change in event.introduced] == [Cause.DATABASE]
    assert {run.parcel for run in journal.runs().values()} == set(outbox.digests())


def test_a_base_that_the_parcel_matched_already_needs_no_scanner(tmp_path: Path) -> None:
    outbox, journal = Outbox(tmp_path / "outbox"), Journal(tmp_path / "ledger")
    (first,) = apply(outbox, make_parcel(outbox, HIGH), journal, never, now=NOW)
    assert first.sbom is not None
    later = make_parcel(outbox, DISCLOSED, database="b", sbom=b"[]", again={first.sbom: (HIGH, DISCLOSED)})

    (event,) = apply(outbox, later, journal, never, now=NOW)

    assert [change.cause for change in event.introduced] == [Cause.DATABASE]
    assert [change.cause for change in event.resolved] == [Cause.IMAGE]


def test_a_base_that_nobody_matched_yet_is_matched_now(tmp_path: Path) -> None:
    outbox, journal = Outbox(tmp_path / "outbox"), Journal(tmp_path / "ledger")
    apply(outbox, make_parcel(outbox, HIGH), journal, never, now=NOW)
    later = make_parcel(outbox, DISCLOSED, database="b", sbom=b"[]")

    def match(parcel: Parcel, sbom: bytes) -> tuple[Finding, ...]:
        assert parcel.started is not None
        assert (parcel.started.database.digest, sbom) == (digest_of("b"), b"{}")
        return (HIGH, DISCLOSED)

    (event,) = apply(outbox, later, journal, match, now=NOW)
    assert [change.cause for change in event.introduced] == [Cause.DATABASE]


def test_a_time_that_lies_ahead_does_not_hold_up_later_entries(tmp_path: Path) -> None:
    outbox, journal = Outbox(tmp_path / "outbox"), Journal(tmp_path / "ledger")

    apply(outbox, make_parcel(outbox, HIGH, at=NOW + timedelta(days=900)), journal, never, now=NOW)

    assert {entry.at for entry in journal.store.read("runs")} == {"2026-01-06T00:00:00Z"}


def test_a_decision_travels_with_its_evidence_and_is_recorded_once(tmp_path: Path) -> None:
    outbox, journal = Outbox(tmp_path / "outbox"), Journal(tmp_path / "ledger")
    content = b'{"verdict":"allow"}'
    event = Decided(
        decision=Digest(f"sha256:{sha256(content).hexdigest()}"),
        verdict=Verdict.ALLOW,
        images={},
        head="a" * 40,
    )
    digest = pack_decision(
        outbox, at="2026-01-05T09:00:00Z", event=event, evidence=[content, b"[]"], sample=True
    )
    parcel = outbox.get(digest)

    assert not is_applied(digest, parcel, journal)
    assert apply(outbox, digest, journal, never, now=NOW) == ()

    assert journal.decisions() == (("2026-01-05T09:00:00Z", event),)
    assert journal.evidence.get(event.decision) == content
    assert is_applied(digest, parcel, journal)
    assert parcel.labels == ("decision on aaaaaaaaaaaa",)


def test_a_decision_that_is_not_among_its_evidence_is_refused(tmp_path: Path) -> None:
    event = Decided(decision=digest_of("x"), verdict=Verdict.ALLOW, images={})
    outbox = Outbox(tmp_path)
    digest = pack_decision(outbox, at="2026-01-05T09:00:00Z", event=event, evidence=[b"{}"], sample=True)

    with pytest.raises(InputError, match="is not among its evidence"):
        outbox.get(digest)


def test_evidence_goes_with_the_last_parcel_that_may_name_it(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    first, second = make_parcel(outbox, HIGH), make_parcel(outbox, HIGH, DISCLOSED)

    outbox.remove([first])
    assert outbox.get(second)
    outbox.remove([second])
    assert (outbox.digests(), tuple(outbox.evidence.digests())) == ((), ())
