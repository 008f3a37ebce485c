from __future__ import annotations

import copy
import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullmark.errors import InputError
from hullmark.scanners.trivy.report import read_report
from hullmark.scanners.trivy.sbom import MAX_SBOM, image_digest, normalise, packages
from tests.scanners.trivy import craft

if TYPE_CHECKING:
    from hullmark.scanners.trivy.scan import ScanResult
    from hullmark.scanners.trivy.scanner import Trivy

Json = Any
DIGEST = "sha256:" + "d" * 64


def properties(**values: str) -> list[Json]:
    return [{"name": f"aquasecurity:trivy:{name}", "value": value} for name, value in values.items()]


def library(ref: str, name: str, purl: str, **values: str) -> Json:
    return {
        "bom-ref": ref,
        "type": "library",
        "supplier": {"name": "Somebody <somebody@example.org>"},
        "name": name,
        "version": "1.0",
        "purl": purl,
        "licenses": [{"license": {"name": "MIT", "text": {"content": "long"}}}, {"expression": "A OR B"}],
        "hashes": [{"alg": "SHA-1", "content": "aa"}],
        "properties": properties(**values),
    }


def go(ref: str, name: str) -> Json:
    return library(ref, name, f"pkg:golang/{name}@1.0", PkgType="gobinary", LayerDiffID="sha256:1")


GOOD: Json = {
    "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
    "bomFormat": "CycloneDX",
    "specVersion": "1.7",
    "serialNumber": "urn:uuid:1",
    "version": 1,
    "metadata": {
        "timestamp": "2026-11-23T23:51:29+00:00",
        "tools": {"components": [{"type": "application", "group": "aquasecurity", "name": "trivy"}]},
        "component": {
            "bom-ref": "root-uuid",
            "type": "container",
            "name": "/somewhere/image.tar",
            "properties": properties(
                ImageID="sha256:" + "a" * 64, DiffID="sha256:1", RepoTag="app:1", Size="99", SchemaVersion="2"
            ),
        },
    },
    "components": [
        {
            "bom-ref": "u1",
            "type": "operating-system",
            "name": "debian",
            "version": "13.3",
            "properties": properties(Class="os-pkgs", Type="debian"),
        },
        *(
            {
                "bom-ref": ref,
                "type": "application",
                "name": f"usr/bin/{ref}",
                "properties": properties(Class="lang-pkgs", Type="gobinary"),
            }
            for ref in ("tool", "other")
        ),
        library(
            "pkg:deb/debian/libssl3@1.0",
            "libssl3",
            "pkg:deb/debian/libssl3@1.0",
            PkgType="debian",
            SrcName="openssl",
            SrcEpoch="1",
            SrcVersion="1",
            SrcRelease="2",
            LayerDigest="sha256:2",
        ),
        *(go(f"{ref}-{name}", name) for ref in ("tool", "other") for name in ("x", "y")),
        {
            **library(
                "npm", "core", "pkg:npm/%40babel/core@1.0", PkgType="node-pkg", FilePath="app/package.json"
            ),
            "group": "@babel",
        },
        {
            **library("jar", "log4j", "pkg:maven/org.apache/log4j@1.0", PkgType="jar", FilePath="app/x.jar"),
            "group": "org.apache",
        },
    ],
    "dependencies": [
        {"ref": "root-uuid", "dependsOn": ["u1", "tool", "other", "npm", "jar"]},
        {"ref": "u1", "dependsOn": ["pkg:deb/debian/libssl3@1.0"]},
        {"ref": "tool", "dependsOn": ["tool-x"]},
        {"ref": "tool-x", "dependsOn": ["tool-y"]},
        {"ref": "tool-y", "dependsOn": ["tool-x", "dangling"]},
        {"ref": "other", "dependsOn": ["other-x", "other-y"]},
        {"ref": "jar", "dependsOn": []},
    ],
    "vulnerabilities": [{"id": "CVE-2026-1", "affects": [{"ref": "npm"}]}],
}


def encoded(document: Json) -> bytes:
    return json.dumps(document).encode()


def test_nothing_that_varies_or_identifies_people_is_kept() -> None:
    text = normalise(encoded(GOOD), name="app", digest=DIGEST).decode()
    for told in ("urn:uuid", "timestamp", "root-uuid", "somewhere", "app:1", "example.org", "long", "CVE-"):
        assert told not in text
    assert "LayerDigest" not in text
    assert image_digest(text.encode()) == DIGEST


def test_components_with_one_package_url_stay_apart_by_the_files_they_belong_to() -> None:
    document = json.loads(normalise(encoded(GOOD), name="app"))
    references = [component["bom-ref"] for component in document["components"]]
    assert len(references) == len(set(references)) == len(GOOD["components"])
    assert sum(reference.startswith("pkg:golang/x@1.0#") for reference in references) == 2


def test_equal_components_of_the_same_files_are_one() -> None:
    document = copy.deepcopy(GOOD)
    document["components"].append(go("again", "x"))
    document["dependencies"].append({"ref": "tool-y", "dependsOn": ["again"]})
    assert normalise(encoded(document), name="app") == normalise(encoded(GOOD), name="app")


def _reordered(draw: st.DrawFn, value: Json) -> Json:
    if isinstance(value, list):
        return [_reordered(draw, item) for item in draw(st.permutations(value))]
    if isinstance(value, dict):
        return {key: _reordered(draw, value[key]) for key in draw(st.permutations(list(value)))}
    return value


@given(data=st.data())
def test_law_8_order_and_random_references_never_change_an_output_byte(data: st.DataObject) -> None:
    """Law 8: order of findings, reports and images never changes an output byte."""
    document = data.draw(st.composite(lambda draw: _reordered(draw, GOOD))())
    text = json.dumps(document)
    for number, ref in enumerate(("root-uuid", "tool-x", "tool-y", "other-x", "other-y", "u1")):
        text = text.replace(f'"{ref}"', f'"{data.draw(st.uuids())}-{number}"')
    assert normalise(text.encode(), name="app") == normalise(encoded(GOOD), name="app")


def test_a_second_time_has_no_effect() -> None:
    once = normalise(encoded(GOOD), name="app", digest=DIGEST)
    assert normalise(once, name="app") == once


def test_packages_are_named_as_a_scan_names_them() -> None:
    found = {(each.type, each.name, each.path) for each in packages(encoded(GOOD))}
    assert found == {
        ("debian", "libssl3", ""),
        ("gobinary", "x", "usr/bin/tool"),
        ("gobinary", "y", "usr/bin/tool"),
        ("gobinary", "x", "usr/bin/other"),
        ("gobinary", "y", "usr/bin/other"),
        ("node-pkg", "@babel/core", "app/package.json"),
        ("jar", "org.apache:log4j", "app/x.jar"),
    }
    [library] = [each for each in packages(encoded(GOOD)) if each.type == "debian"]
    assert (library.source, library.source_version) == ("openssl", "1:1-2")


def test_packages_of_a_real_sbom_are_those_of_the_report(mixed_result: ScanResult, mixed_sbom: bytes) -> None:
    expected = read_report(mixed_result.report, file="report").packages
    assert packages(mixed_sbom) == packages(mixed_result.sbom) == expected


def test_an_sbom_of_another_tool_is_refused() -> None:
    """Syft's, in its own words: source packages only in the package URL, no properties of Trivy."""
    foreign = copy.deepcopy(GOOD)
    foreign["metadata"]["tools"] = {"components": [{"type": "application", "name": "syft"}]}
    foreign["metadata"]["component"]["properties"] = []
    for component in foreign["components"]:
        component["properties"] = [{"name": "syft:package:type", "value": "deb"}]
    with pytest.raises(InputError, match=r"x\.json: not an SBOM of Trivy's: 7 of 7 packages lack"):
        normalise(encoded(foreign), name="app", file="x.json")
    foreign["metadata"]["tools"] = GOOD["metadata"]["tools"]
    with pytest.raises(InputError, match="7 of 7 packages"):
        normalise(encoded(foreign), name="app")
    foreign["components"] = []
    foreign["metadata"]["tools"] = {}
    with pytest.raises(InputError, match="0 of 0 packages"):
        normalise(encoded(foreign), name="app")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"{}", "not a CycloneDX SBOM"),
        (b'{"bomFormat": "CycloneDX", "specVersion": "2.0"}', "not a CycloneDX SBOM"),
        (b'{"bomFormat": "CycloneDX", "components": {}}', "components: expected array, got object"),
        (b'{"bomFormat": "CycloneDX", "components": [{"name": 1}]}', r"components\[0\].name: expected str"),
        (encoded(GOOD)[:-9], "not valid JSON"),
        (b'{"bomFormat":' + b"[" * 100_000, "expected str, got array"),
        (b'{"x":' + b"[" * 100_000, "nested too deeply"),
        (b" " * (MAX_SBOM + 1), "larger than 64 MiB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_sbom_is_refused_with_its_place(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        normalise(data, name="app")


@pytest.mark.parametrize("reference", ["tool", "root-uuid", None])
def test_references_that_are_not_unique_are_refused(reference: str | None) -> None:
    document = copy.deepcopy(GOOD)
    extra = go("new", "z")
    if reference is None:
        del extra["bom-ref"]
    else:
        extra["bom-ref"] = reference
    document["components"].append(extra)
    with pytest.raises(InputError, match="components: components without a reference of their own"):
        normalise(encoded(document), name="app")


def _places(value: Json) -> list[tuple[Json, Json]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, below in items for place in ((value, key), *_places(below))]


@given(data=st.data())
def test_no_mutation_of_an_sbom_raises_anything_but_an_input_error(data: st.DataObject) -> None:
    document = copy.deepcopy(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        places = _places(document)
        container, key = places[data.draw(st.integers(0, len(places) - 1))]
        if data.draw(st.booleans()):
            container[key] = data.draw(
                st.sampled_from([None, 1, "", "x", "tool", [], {}, ["x"], {"ref": "x"}, [{}]])
            )
        else:
            del container[key]
    try:
        once = normalise(encoded(document), name="app")
    except InputError:
        return
    assert normalise(once, name="app") == once
    assert packages(once) == packages(encoded(document))


def test_125_packages_take_about_13_kilobytes(trivy: Trivy, tmp_path: Any) -> None:  # noqa: ANN401
    names = [f"lib{index:03}-{craft.sha256(str(index).encode())[:8]}" for index in range(125)]
    rows = [(name, f"{index}.{index * 7 % 10}-{index % 3}", name[3:]) for index, name in enumerate(names)]
    archive = craft.docker_archive(tmp_path / "big.tar", craft.debian("13.3", *rows))
    sbom = normalise(trivy.to_sbom(trivy.scan_archive(archive).report), name="app")
    assert len(packages(sbom)) == 125
    assert len(gzip.compress(sbom)) < 14_000
