"""Make the committed SBOMs of an older set of the reference images' packages, with real Trivy.

    .venv/bin/python scripts/make_samples.py

Writes samples/<image>.cdx.json, and samples/<image>@linux-arm64.cdx.json with the same versions. The demo
records them as the earlier scan, so that there is a past to compare today's build with; unlike an older build
they never rot, since superseded packages leave the mirrors.

The versions are those of Debian 13.2, early in December 2025: where reports of the time named one (glibc,
krb5, libsodium, libxml2, ncurses, openldap, openssl, postgresql-17, systemd, util-linux, zlib) that one, else
by the date in the package's own changelog.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hullmark.baseline import file_stem
from hullmark.image import LINUX_AMD64, Platform, parse_platform
from hullmark.scan import System
from hullmark.scanners import specimen
from hullmark.scanners.specimen import Installed
from hullmark.scanners.trivy.sbom import normalise

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
DEBIAN = System("debian", "13.2")
PLATFORMS = (LINUX_AMD64, parse_platform("linux/arm64"))
_ANY_ARCHITECTURE = {"ca-certificates", "tzdata"}

# binary package, its version, source package; the source's version where a binary rebuild makes it differ.
COMMON = """
base-files        13.8+deb13u2                              base-files
gcc-14-base       14.2.0-19                                 gcc-14
libc6             2.41-12                                   glibc
libcap2           1:2.75-10+b3                              libcap2        1:2.75-10
libgcc-s1         14.2.0-19                                 gcc-14
liblzma5          5.8.1-1                                   xz-utils
libssl3t64        3.5.4-1~deb13u1                           openssl
libsystemd0       257.9-1~deb13u1                           systemd
libxml2           2.12.7+dfsg+really2.9.14-2.1+deb13u2      libxml2
libzstd1          1.5.7+dfsg-1                              libzstd
tzdata            2025b-4+deb13u1                           tzdata
zlib1g            1:1.3.dfsg+really1.3.1-1+b1               zlib           1:1.3.dfsg+really1.3.1-1
"""

IMAGES = {
    "postgres-secured": """
libaudit1             1:4.0.2-2+b2          audit          1:4.0.2-2
libcap-ng0            0.8.5-4+b1            libcap-ng      0.8.5-4
libcom-err2           1.47.2-3+b3           e2fsprogs      1.47.2-3
libgssapi-krb5-2      1.21.3-5              krb5
libicu76              76.1-4                icu
libk5crypto3          1.21.3-5              krb5
libkeyutils1          1.6.3-6               keyutils
libkrb5-3             1.21.3-5              krb5
libkrb5support0       1.21.3-5              krb5
libldap2              2.6.10+dfsg-1         openldap
liblz4-1              1.10.0-4              lz4
libpam0g              1.7.0-5               pam
libpq5                17.6-0+deb13u1        postgresql-17
libreadline8t64       8.2-6                 readline
libsasl2-2            2.1.28+dfsg1-9        cyrus-sasl2
libstdc++6            14.2.0-19             gcc-14
libtinfo6             6.5+20250216-2        ncurses
libuuid1              2.41-5                util-linux
libxxhash0            0.8.3-2               xxhash
postgresql-17         17.6-0+deb13u1        postgresql-17
postgresql-17-pgaudit 17.1-1                pgaudit-17
postgresql-client-17  17.6-0+deb13u1        postgresql-17
""",
    "php-mysql-secured": """
ca-certificates       20250419              ca-certificates
libacl1               2.3.2-2+b1            acl            2.3.2-2
libapparmor1          4.1.0-1               apparmor
libargon2-1           0~20190702+dfsg-4+b2  argon2         0~20190702+dfsg-4
libonig5              6.9.9-1+b1            libonig        6.9.9-1
libpcre2-8-0          10.46-1~deb13u1       pcre2
libsodium23           1.0.18-1+b2           libsodium      1.0.18-1
php8.4-common         8.4.11-1              php8.4
php8.4-fpm            8.4.11-1              php8.4
php8.4-mbstring       8.4.11-1              php8.4
php8.4-mysql          8.4.11-1              php8.4
php8.4-opcache        8.4.11-1              php8.4
""",
}


def packages(image: str, architecture: str = "amd64") -> tuple[Installed, ...]:
    """The older set of packages of `image`, sorted by name."""
    return tuple(sorted(_parse(COMMON + IMAGES[image], architecture), key=lambda package: package.name))


def _parse(text: str, architecture: str) -> Iterator[Installed]:
    for line in filter(None, text.splitlines()):
        name, version, source, *more = line.split()
        yield Installed(
            name=name,
            version=version,
            source=source,
            source_version=more[0] if more else version,
            architecture="all" if name in _ANY_ARCHITECTURE else architecture,
        )


def make(image: str, platform: Platform, folder: Path) -> Path:
    """Scan a tiny image with the packages of `image`, and keep Trivy's SBOM of it, normalised."""
    stem = file_stem(image, str(platform))
    architecture = platform.architecture
    archive = folder / f"{stem}.tar"
    archive.write_bytes(
        specimen.archive(
            packages(image, architecture), system=DEBIAN, tag=f"{image}:sample", architecture=architecture
        )
    )
    raw = folder / f"{stem}.cdx.json"
    subprocess.run(
        [
            str(Path(sys.executable).parent / "trivy"),
            *("image", "--input", archive.name, "--cache-dir", "cache", "--cache-backend", "memory"),
            *("--skip-version-check", "--offline-scan", "--disable-telemetry", "--config=", "--ignorefile="),
            *("--format", "cyclonedx", "--quiet", "--output", raw.name),
        ],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        check=True,
    )
    target = ROOT / "samples" / raw.name
    target.write_bytes(normalise(raw.read_bytes(), name=image, digest=_image_id(raw.read_bytes()), file=raw))
    return target


def _image_id(sbom: bytes) -> str:
    properties = json.loads(sbom)["metadata"]["component"]["properties"]
    return next(str(each["value"]) for each in properties if each["name"] == "aquasecurity:trivy:ImageID")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="hullmark-samples-") as made:
        for name, each in itertools.product(IMAGES, PLATFORMS):
            print(f"wrote {make(name, each, Path(made)).relative_to(ROOT)}")
