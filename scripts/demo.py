"""`make demo`: the whole pipeline on both reference images, in `demo/`, as the commands a user would type.

A small sample database stands in for Trivy's own, which is a large download: it is built on the spot from
the facts in samples/advisories.toml, and everything made with it is marked as a sample. With --snapshot the
files are copied to where the repository shows them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"
HULLMARK = Path(sys.executable).with_name("hullmark")
ADVISORIES = "samples/advisories.toml"
EARLIER = "2026-02-02"
IMAGES = ("postgres-secured", "php-mysql-secured")
SNAPSHOT = ("audit-logs", "cve-baseline", "SECURITY_SUMMARY.md", "docs/data")


def main() -> int:
    """Run the demonstration; its exit code is that of the first command that failed."""
    parser = argparse.ArgumentParser(description="Show the whole pipeline in demo/.")
    parser.add_argument("--snapshot", action="store_true", help="copy the files made into the repository")
    snapshot = parser.parse_args().snapshot
    if snapshot:
        shutil.rmtree(DEMO, ignore_errors=True)
    _prepare()
    try:
        _show(fresh=not (DEMO / "audit-logs").exists())
    except subprocess.CalledProcessError as error:
        print(f"\nThe command ended with exit code {error.returncode}.", file=sys.stderr)
        return int(error.returncode)
    if snapshot:
        _copy_snapshot()
    return 0


def _prepare() -> None:
    DEMO.mkdir(exist_ok=True)
    for name in ("hullmark.toml", "samples", "images"):
        source, target = ROOT / name, DEMO / name
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)


def _show(*, fresh: bool) -> None:
    if fresh:
        _say("1. An earlier scan: a committed list of older packages, a database that knows less")
        _run(
            "db",
            "sample",
            "--advisories",
            "samples/advisories.toml",
            "--until",
            EARLIER,
            "--out",
            "db/earlier",
        )
        earlier = [f"{image}=samples/{image}.cdx.json" for image in IMAGES]
        _run("record", "--db", "db/earlier", *earlier, now=f"{EARLIER}T09:00:00+00:00")
        _run("summary", now=f"{EARLIER}T09:00:00+00:00")
    else:
        _say("1. The earlier scan is recorded already (remove demo/ to begin again)")
    _say("2. Both images, built from hash-pinned Debian packages")
    _build()
    _say("3. Today: build again (the same bytes), scan, record, summarise")
    _run("db", "sample", "--advisories", ADVISORIES, "--out", "db/today")
    _run("run", "--record", "--db", "db/today")
    _say("4. What was recorded")
    _run("history")
    _run("verify")
    _say("5. Reports for customers and auditors, and all of it in one file that can be checked alone")
    _run("report", "--period", f"{EARLIER}..{datetime.now(UTC).date()}", "--full", "--bundle", "audit.zip")
    _run("report", "--period", f"{EARLIER}..{datetime.now(UTC).date()}")
    _run("verify", "--bundle", "audit.zip")
    _say("Look at demo/SECURITY_SUMMARY.md, demo/audit-logs/ and demo/cve-baseline/.")


def _build() -> None:
    """Build the images. When a locked package has left the mirror, lock the newest ones and say so."""
    try:
        _run("build")
    except subprocess.CalledProcessError:
        _say("A locked package could not be had. Locking the newest packages in demo/ and building again:")
        _run("lock", "--refresh")
        _run("build")


def _run(*arguments: str, now: str = "") -> None:
    prefix = f"HULLMARK_NOW={now} " if now else ""
    print(f"\n$ {prefix}hullmark {' '.join(arguments)}", flush=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HULLMARK_")}
    environment["HULLMARK_CACHE"] = os.environ.get("HULLMARK_CACHE", str(ROOT / ".cache"))
    if now:
        environment["HULLMARK_NOW"] = now
    subprocess.run([HULLMARK, *arguments], cwd=DEMO, env=environment, check=True)


def _say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _copy_snapshot() -> None:
    for name in SNAPSHOT:
        source, target = DEMO / name, ROOT / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns(".lock"))
        else:
            shutil.copy2(source, target)
    _say(f"Copied {', '.join(SNAPSHOT)} into the repository.")


if __name__ == "__main__":
    sys.exit(main())
