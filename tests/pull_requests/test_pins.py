"""Whether a change does nothing but move pins."""

from __future__ import annotations

import pytest

from hullmark.pull_requests import Step, pin_step
from tests.pull_requests.requests import ONE, PIN, TWO, dockerfile


def change(old: str, new: str) -> Step | None:
    return pin_step(dockerfile(f"@@ -1,2 +1,2 @@\n ARG X\n-{old}\n+{new}\n RUN true"))


@pytest.mark.parametrize(
    ("old", "new", "step"),
    [
        (f"FROM debian:13@sha256:{ONE}", f"FROM debian:13@sha256:{TWO}", Step.DIGEST),
        ("FROM debian:13", f"FROM debian:13@sha256:{TWO}", Step.DIGEST),
        ("FROM debian:13.1.2 AS base", "FROM debian:13.1.3 AS base", Step.PATCH),
        ("FROM python:3.14.1-slim", "FROM python:3.14.2-slim", Step.PATCH),
        ("FROM python:3.14-slim", "FROM python:3.15-slim", Step.MINOR),
        ("FROM python:3.14.1", "FROM python:3.15.0", Step.MINOR),
        ("FROM python:3.14.2", "FROM python:3.14.1", Step.MINOR),
        ("FROM python:3.14.1-slim", "FROM python:3.14.2", Step.MINOR),
        ("FROM debian:bookworm", "FROM debian:trixie", Step.MINOR),
        ("FROM --platform=linux/amd64 r.example:5000/a/b:1.2.3", None, None),
        ("COPY --from=tool:1.2.3 /a /b", "COPY --from=tool:1.2.4 /a /b", Step.PATCH),
        ("ARG TOOL_VERSION=1.2.3", "ARG TOOL_VERSION=1.2.4", Step.PATCH),
        ('ARG TOOL_VERSION="v1.2.3"', 'ARG TOOL_VERSION="v1.2.4"', Step.PATCH),
    ],
)
def test_a_new_digest_and_a_new_patch_version_are_small_steps_others_wait_for_a_person(
    old: str, new: str | None, step: Step | None
) -> None:
    assert change(old, new or old.replace("1.2.3", "1.2.4")) == (Step.PATCH if new is None else step)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("FROM debian:13", "FROM evil:13"),
        ("FROM debian:13", "FROM debian:13 AS other"),
        ("FROM debian:13", "FROM --platform=linux/arm64 debian:13"),
        (f"FROM debian:13@sha256:{ONE}", "FROM debian:13"),
        ("FROM r.example/debian:13", "FROM s.example/debian:13"),
        ("COPY --from=tool:1 /a /b", "COPY --from=tool:2 /a /c"),
        ("ARG TOOL_VERSION=1.2.3", "ARG TOOL_VERSION=1.2.4;reboot"),
        ("ARG TOOL_VERSION=1.2.3", "ARG OTHER_VERSION=1.2.4"),
        ("ARG TOOL_URL=1.2.3", "ARG TOOL_URL=1.2.4"),
        ("RUN a", "RUN b"),
        ("FROM debian:13", "FROM debian:14\n+RUN true"),
        ("USER 1", "USER 0"),
        ("FROM debian:13", "FROM debian:13\u2028RUN true"),
    ],
)
def test_only_tag_version_or_digest_may_differ_and_the_image_stays_the_same_one(old: str, new: str) -> None:
    assert change(old, new) is None


@pytest.mark.parametrize("status", ["added", "removed", "renamed"])
def test_a_file_that_came_or_went_is_no_pin(status: str) -> None:
    assert pin_step(dockerfile(PIN, status=status)) is None


def test_a_file_whose_differing_lines_github_does_not_show_is_no_pin() -> None:
    assert pin_step(dockerfile(None)) is None
    assert pin_step(dockerfile("")) is None


def test_only_dockerfiles_have_pins() -> None:
    assert pin_step(dockerfile(PIN, path="Makefile")) is None
    assert pin_step(dockerfile(PIN, path="x/app.Dockerfile")) is Step.DIGEST


def test_the_widest_step_of_a_file_counts() -> None:
    patch = "@@\n-FROM a:1.2.3\n+FROM a:1.2.4\n@@\n-FROM b:1\n+FROM b:2"

    assert pin_step(dockerfile(patch)) is Step.MINOR
