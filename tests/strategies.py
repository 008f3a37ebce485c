"""Hypothesis strategies for the project's own values."""

from __future__ import annotations

from hypothesis import strategies as st

from hullmark.finding import Finding, Severity, merge_same_identity

severities = st.sampled_from(list(Severity))
ids = st.sampled_from(["CVE-2026-1", "CVE-2026-2", "GHSA-aaaa", "GHSA-bbbb", "TEMP-1-abc"])
names = st.sampled_from(["openssl", "libssl3", "libssl3t64", "zlib1g", "tar"])
texts = st.text(max_size=12)


@st.composite
def findings(draw: st.DrawFn) -> Finding:
    """A finding from a small world, so that pairs, moves and renames are common."""
    package = draw(names)
    language = draw(st.booleans())
    return Finding(
        id=draw(ids),
        package_type="node-pkg" if language else "debian",
        package=package,
        path=draw(st.sampled_from(["app/a", "app/b"])) if language else "",
        severity=draw(severities),
        versions=(draw(st.sampled_from(["1.0", "2.0"])),),
        fixed=draw(st.sampled_from(["", "3.0"])),
        source="" if language else draw(st.sampled_from(["openssl", "zlib"])),
    )


finding_sets = st.lists(findings(), max_size=12).map(merge_same_identity)
