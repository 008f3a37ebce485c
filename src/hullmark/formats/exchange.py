"""A report for programs: CycloneDX 1.6 with vulnerabilities, CSAF 2.0 (VEX profile), in-toto vulns v0.2.

Rules (each has a test with the same words):
- an accepted risk is stated in the words of each format, with its reason; without one, affected is affected;
- the same report gives the same bytes: identifiers come from the content, times from the ledger;
- every document fits its official schema.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from hullmark.errors import InputError
from hullmark.finding import Kind
from hullmark.vex import Justification, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hullmark.exemptions import Exemption
    from hullmark.fleet import OpenFinding
    from hullmark.report import ImageReport, Report

Json = dict[str, Any]
Place = tuple[str, str, str]
"""Type, name and path of a package."""

STATEMENT = "https://in-toto.io/Statement/v1"
VULNS = "https://in-toto.io/attestation/vulns/v0.2"
_NAMESPACE = uuid.UUID("6d1f0f6e-5c53-5b9a-9a53-3f3f8c6f3c11")
_CYCLONEDX = "1.6"
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,}")


def render_cyclonedx(image: ImageReport, sbom: bytes, references: Mapping[Place, tuple[str, ...]]) -> bytes:
    """The image's SBOM with its open vulnerabilities. `references` names the component of each package."""
    document: Json = msgspec.json.decode(sbom)
    document["specVersion"] = _CYCLONEDX
    document["$schema"] = f"http://cyclonedx.org/schema/bom-{_CYCLONEDX}.schema.json"
    document["vulnerabilities"] = [
        _cyclonedx(id_, members, references) for id_, members in _by_id([image]).items()
    ]
    if image.scan:
        document["metadata"]["timestamp"] = image.scan.at
    document["serialNumber"] = uuid.uuid5(_NAMESPACE, hashlib.sha256(_bytes(document)).hexdigest()).urn
    return _bytes(document)


def _by_id(images: Iterable[ImageReport]) -> dict[str, list[tuple[ImageReport, OpenFinding]]]:
    groups: dict[str, list[tuple[ImageReport, OpenFinding]]] = {}
    for image in images:
        for each in image.findings:
            if each.finding.kind is Kind.VULNERABILITY:
                groups.setdefault(each.finding.id, []).append((image, each))
    return dict(sorted(groups.items()))


def _cyclonedx(
    id_: str, members: list[tuple[ImageReport, OpenFinding]], references: Mapping[Place, tuple[str, ...]]
) -> Json:
    worst = _worst(members)
    finding = worst.finding
    affects = sorted(
        {
            reference
            for _, each in members
            for reference in references.get(
                (each.finding.package_type, each.finding.package, each.finding.path), ()
            )
        }
    )
    entry: Json = {
        "id": id_,
        "ratings": [
            {"severity": finding.severity.value.lower()}
            | ({"source": {"name": finding.severity_source}} if finding.severity_source else {})
        ],
        "affects": [{"ref": reference} for reference in affects],
    }
    if finding.title:
        entry["description"] = finding.title
    if finding.url.startswith("https://"):
        entry["source"] = {"url": finding.url}
    if (published := _moment(finding.published)) is not None:
        entry["published"] = published
    if finding.fixed:
        entry["recommendation"] = f"Update {finding.source or finding.package} to {finding.fixed}"
    accepted = _accepted(each for _, each in members)
    if accepted is not None:
        entry["analysis"] = _analysis(accepted)
    return entry


def _worst(members: list[tuple[ImageReport, OpenFinding]]) -> OpenFinding:
    return max((each for _, each in members), key=lambda each: each.finding.severity.rank)


def _accepted(members: Iterable[OpenFinding]) -> Exemption | None:
    """The accepted risk of a vulnerability, where it covers every finding of it."""
    exemptions = [each.exemption for each in members]
    return exemptions[0] if exemptions and None not in exemptions else None


_STATES = {
    Status.NOT_AFFECTED: "not_affected",
    Status.AFFECTED: "exploitable",
    Status.FIXED: "resolved",
    Status.UNDER_INVESTIGATION: "in_triage",
}
_JUSTIFICATIONS = {
    Justification.COMPONENT_NOT_PRESENT: "code_not_present",
    Justification.CODE_NOT_PRESENT: "code_not_present",
    Justification.CODE_NOT_REACHED: "code_not_reachable",
    Justification.MITIGATED: "protected_by_mitigating_control",
}
"""CycloneDX has no word for code that an adversary cannot control; the reason says it."""


def _analysis(accepted: Exemption) -> Json:
    analysis: Json = {"state": _STATES[accepted.status], "detail": _reason(accepted)}
    if accepted.justification in _JUSTIFICATIONS:
        analysis["justification"] = _JUSTIFICATIONS[accepted.justification]
    if accepted.status is Status.AFFECTED:
        analysis["response"] = ["will_not_fix"]
    return analysis


def _reason(accepted: Exemption) -> str:
    return f"{accepted.reason} Accepted by {accepted.owner} until {accepted.expires}."


def _moment(text: str) -> str | None:
    """A time with its day and hour, as the format asks for; None for anything else."""
    if "T" not in text:
        return None
    try:
        return datetime.fromisoformat(text).isoformat().replace("+00:00", "Z")
    except ValueError:
        return None


def render_vulns(image: ImageReport) -> bytes:
    """What was found in one image, as a statement about its digest, ready to be signed."""
    if image.scan is None:
        raise InputError("was never scanned: nothing can be stated", file=image.image)
    run = image.scan.run
    statement: Json = {
        "_type": STATEMENT,
        "subject": [
            {"name": image.image, "digest": {"sha256": image.scan.digest.removeprefix("sha256:")}},
        ],
        "predicateType": VULNS,
        "predicate": {
            "scanner": {
                "uri": f"pkg:github/aquasecurity/{run.scanner.name}@v{run.scanner.version}",
                "version": run.scanner.version,
                "db": {"version": run.database.digest, "lastUpdate": run.database.updated_at},
                "result": [_result(id_, members) for id_, members in _by_id([image]).items()],
            },
            "metadata": {"scanStartedOn": image.scan.at, "scanFinishedOn": image.scan.at},
        },
    }
    return _bytes(statement)


def _result(id_: str, members: list[tuple[ImageReport, OpenFinding]]) -> Json:
    worst = _worst(members).finding
    packages = sorted({each.finding.package for _, each in members})
    accepted = _accepted(each for _, each in members)
    annotations = [{"packages": ", ".join(packages)}] + (
        [{"accepted": _reason(accepted)}] if accepted else []
    )
    return {
        "id": id_,
        "severity": [{"method": worst.severity_source or "trivy", "score": worst.severity.value.lower()}],
        "annotations": annotations,
    }


def render_csaf(report: Report, *, publisher: str, namespace: str) -> bytes:
    """All images and their open vulnerabilities as one CSAF 2.0 document of the VEX profile."""
    images = [image for image in report.expected if image.scan]
    groups = _by_id(images)
    if not groups:
        raise InputError(
            "has no vulnerability to state, and the VEX profile of CSAF asks for one", file=str(report.period)
        )
    at = report.made_from
    identity = f"hullmark-{report.period.start}-{report.period.end}"
    document: Json = {
        "document": {
            "category": "csaf_vex",
            "csaf_version": "2.0",
            "lang": "en",
            "title": f"Vulnerabilities of container images, {report.period}",
            "publisher": {"category": "vendor", "name": publisher, "namespace": namespace},
            "notes": [{"category": "general", "title": "Origin", "text": _origin(report)}],
            "tracking": {
                "id": identity,
                "initial_release_date": at,
                "current_release_date": at,
                "status": "final",
                "version": "1",
                "revision_history": [{"date": at, "number": "1", "summary": "As recorded in the ledger."}],
            },
        },
        "product_tree": {
            "branches": [
                {
                    "category": "vendor",
                    "name": publisher,
                    "branches": [_product(image) for image in images],
                }
            ]
        },
        "vulnerabilities": [_csaf(id_, members) for id_, members in groups.items()],
    }
    return _bytes(document)


def _origin(report: Report) -> str:
    sample = "SAMPLE, made with a small demonstration database. " if report.sample else ""
    return (
        f"{sample}Made from the ledger of the repository that holds the images; `hullmark verify` checks it."
    )


def _product_id(image: ImageReport) -> str:
    return f"{image.image}@{image.platform}"


def _product(image: ImageReport) -> Json:
    assert image.scan is not None  # noqa: S101 - only scanned images are products
    digest = image.scan.digest.removeprefix("sha256:")
    architecture = image.platform.partition("/")[2]
    helper: Json = {
        "hashes": [
            {
                "file_hashes": [{"algorithm": "sha256", "value": digest}],
                "filename": f"{image.image}.oci",
            }
        ],
        "purl": f"pkg:oci/{image.image}@sha256%3A{digest}?arch={architecture.replace('/', '%2F')}",
    }
    version: Json = {
        "category": "product_version",
        "name": image.scan.digest,
        "product": {
            "name": f"{image.image} for {image.platform}",
            "product_id": _product_id(image),
            "product_identification_helper": helper,
        },
    }
    return {"category": "product_name", "name": f"{image.image} ({image.platform})", "branches": [version]}


_STATUSES = {
    Status.NOT_AFFECTED: "known_not_affected",
    Status.AFFECTED: "known_affected",
    Status.FIXED: "fixed",
    Status.UNDER_INVESTIGATION: "under_investigation",
}


def _csaf(id_: str, members: list[tuple[ImageReport, OpenFinding]]) -> Json:
    finding = _worst(members).finding
    by_image: dict[str, list[OpenFinding]] = {}
    for image, each in members:
        by_image.setdefault(_product_id(image), []).append(each)
    statuses: dict[str, list[str]] = {}
    entry: Json = (
        {"cve": id_} if id_.startswith("CVE-") else {"ids": [{"system_name": "advisory", "text": id_}]}
    )
    flags: list[Json] = []
    threats: list[Json] = []
    remediations: list[Json] = []
    for product, found in sorted(by_image.items()):
        accepted = _accepted(found)
        status = accepted.status if accepted else Status.AFFECTED
        statuses.setdefault(_STATUSES[status], []).append(product)
        if accepted is not None:
            threats.append({"category": "impact", "details": _reason(accepted), "product_ids": [product]})
            if accepted.justification is not None:
                flags.append({"label": accepted.justification.value, "product_ids": [product]})
        if status is Status.AFFECTED:
            remediations.append(_remediation(found, product))
    entry |= {
        "title": (finding.title or id_)[:200],
        "notes": [
            {"category": "description", "text": finding.title or f"{id_} in {finding.package}"},
            {"category": "details", "title": "Severity", "text": finding.severity.value.lower()},
        ],
        "product_status": dict(sorted(statuses.items())),
    }
    if threats:
        entry["threats"] = threats
    if flags:
        entry["flags"] = flags
    if remediations:
        entry["remediations"] = remediations
    if finding.url.startswith("https://"):
        entry["references"] = [{"category": "external", "summary": id_, "url": finding.url}]
    return entry


def _remediation(found: list[OpenFinding], product: str) -> Json:
    fixes = sorted(
        {
            f"{each.finding.source or each.finding.package} {each.finding.fixed}"
            for each in found
            if each.finding.fixed
        }
    )
    if fixes:
        details = f"Build the image with {', '.join(fixes)} or newer."
        return {"category": "vendor_fix", "details": details, "product_ids": [product]}
    given_up = any(each.finding.status == "will_not_fix" for each in found)
    return {
        "category": "no_fix_planned" if given_up else "none_available",
        "details": "Its packages' vendor will not fix it." if given_up else "No fixed version is known yet.",
        "product_ids": [product],
    }


def _bytes(document: Json) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2) + b"\n"
