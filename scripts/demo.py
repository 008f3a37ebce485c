"""`make demo`: the whole pipeline on both reference images, in `demo/`, as the commands a user would type.

A small sample database stands in for Trivy's own, which is a large download: it is built on the spot from
the facts in samples/advisories.toml, and everything made with it is marked as a sample. With --snapshot the
files are copied to where the repository shows them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from hullmark.baseline import file_stem

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"
HULLMARK = Path(sys.executable).with_name("hullmark")
ADVISORIES = "samples/advisories.toml"
EARLIER = "2026-02-02"
IMAGES = ("postgres-secured", "php-mysql-secured")
PLATFORMS = ("linux/amd64", "linux/arm64")
SNAPSHOT = ("audit-logs", "cve-baseline", "SECURITY_SUMMARY.md")
MANIFEST = "docs/data/generated.json"
"""Lists what was generated. Of docs/ only that is copied: guide and decisions lie there too."""
SET_BACK = ("postgres-secured", "libssl3t64")
"""An image, and the package of it that the second change of the gate sets back."""


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
        earlier = _samples()
        _run("record", "--db", "db/earlier", *earlier, now=f"{EARLIER}T09:00:00+00:00")
        _run("summary", now=f"{EARLIER}T09:00:00+00:00")
    else:
        _say("1. The earlier scan is recorded already (remove demo/ to begin again)")
    _say("2. Both images, built from hash-pinned Debian packages")
    _build()
    _say("3. Today: build again (the same bytes), start and ask, scan, record, summarise")
    _run("db", "sample", "--advisories", ADVISORIES, "--out", "db/today")
    _run("run", "--record", "--db", "db/today")
    _say("4. The gate: is a change better? Base and head, matched with the same database")
    _gate()
    _say("5. What was recorded")
    _run("history")
    _run("verify")
    _run("dashboard")
    _say("6. Reports for customers and auditors, and all of it in one file that can be checked alone")
    _run("report", "--period", f"{EARLIER}..{datetime.now(UTC).date()}", "--full", "--bundle", "audit.zip")
    _run("report", "--period", f"{EARLIER}..{datetime.now(UTC).date()}")
    _run("verify", "--bundle", "audit.zip")
    _say("Open demo/docs/index.html; look at demo/SECURITY_SUMMARY.md, demo/audit-logs/, demo/cve-baseline/.")


def _samples() -> list[str]:
    """Each image and platform with its older packages, as an argument names them."""
    return [
        f"{image}@{platform}=samples/{file_stem(image, platform)}.cdx.json"
        for image, platform in itertools.product(IMAGES, PLATFORMS)
    ]


def _gate() -> None:
    """Two changes, judged and recorded: an update that is better, and a package that is set back."""
    tested = _run("test", ok=(0, 5)) == 0
    if not tested:
        _say("Nothing here can start the images: their SBOMs are compared, and a person decides")
    better = [word for sample in _samples() for word in ("--base", sample)]
    for image, platform in itertools.product(IMAGES, PLATFORMS):
        better += ["--head", f"{image}@{platform}={f'dist/{image}' if tested else image}"]
    _run("gate", "--db", "db/today", "--record", "--pull-request", "1", *better, ok=(0, 4))
    image, package = SET_BACK
    (DEMO / "set-back.cdx.json").write_bytes(_set_back(image, package))
    worse = ("--base", image, "--head", "set-back.cdx.json")
    _run("gate", "--db", "db/today", "--record", "--pull-request", "2", *worse, ok=(3,))
    _run("explain", "CVE-2025-15467")
    _run("replay", "latest", "--db", "db/today")


def _set_back(image: str, package: str) -> bytes:
    """Today's SBOM of `image`, with `package` as the older, committed SBOM has it."""
    today, before = (
        json.loads((folder / f"{image}.cdx.json").read_bytes())
        for folder in (DEMO / "cve-baseline", DEMO / "samples")
    )
    new, old = (
        next(part for part in document["components"] if part["name"] == package)
        for document in (today, before)
    )
    root = today["metadata"]["component"]
    root.pop("version", None)  # it is no longer that image
    root["properties"] = [each for each in root["properties"] if not each["name"].endswith(":ImageID")]
    today["components"] = [old if part is new else part for part in today["components"]]
    return json.dumps(today).replace(json.dumps(new["bom-ref"]), json.dumps(old["bom-ref"])).encode()


def _build() -> None:
    """Build the images. When a locked package has left the mirror, lock the newest ones and say so."""
    try:
        _run("build")
    except subprocess.CalledProcessError:
        _say("A locked package could not be had. Locking the newest packages in demo/ and building again:")
        _run("lock", "--refresh")
        _run("build")


def _run(*arguments: str, now: str = "", ok: tuple[int, ...] = (0,)) -> int:
    """Run one command as a user would type it; CalledProcessError when it answers otherwise than `ok`."""
    prefix = f"HULLMARK_NOW={now} " if now else ""
    print(f"\n$ {prefix}hullmark {' '.join(arguments)}", flush=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HULLMARK_")}
    environment["HULLMARK_CACHE"] = os.environ.get("HULLMARK_CACHE", str(ROOT / ".cache"))
    if now:
        environment["HULLMARK_NOW"] = now
    code = subprocess.run([HULLMARK, *arguments], cwd=DEMO, env=environment, check=False).returncode
    if code not in ok:
        raise subprocess.CalledProcessError(code, arguments[0])
    if code:
        print(f"(exit code {code})")
    return code


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
    _copy_site()
    _say(f"Copied {', '.join(SNAPSHOT)} and the site in docs/ into the repository.")


def _copy_site() -> None:
    """Replace the generated files below docs/ by those of the demo, and touch no other."""
    for path in _generated(ROOT):
        (ROOT / path).unlink(missing_ok=True)
    for path in (*_generated(DEMO), MANIFEST):
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(DEMO / path, ROOT / path)


def _generated(root: Path) -> list[str]:
    """The files below docs/ that the manifest of `root` lists."""
    listed = json.loads((root / MANIFEST).read_text()) if (root / MANIFEST).exists() else []
    return [path for path in listed if path.startswith("docs/") and ".." not in path.split("/")]


if __name__ == "__main__":
    sys.exit(main())
