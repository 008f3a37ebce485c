#!/bin/sh
# Install Hullmark from the folder of this script, every package checked by hash. Usage: install.sh VENV
set -eu
[ $# = 1 ] || { echo "usage: install.sh VENV" >&2; exit 2; }
source=$(cd "$(dirname "$0")/.." && pwd)

python3 -m venv "$1"
"$1/bin/pip" install --quiet --disable-pip-version-check \
  --require-hashes --only-binary=:all: -r "$source/requirements/runtime.txt"
"$1/bin/pip" install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation "$source"
"$1/bin/hullmark" --version
