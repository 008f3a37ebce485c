#!/bin/sh
# Create the virtual environment from hash-pinned locks. Usage: bootstrap.sh PYTHON VENV
set -eu
python=$1 venv=$2

missing() { echo "hullmark: $1" >&2; echo "  next: $2" >&2; exit 1; }

command -v git >/dev/null 2>&1 || missing "git is not installed" "sudo apt-get install git"
command -v "$python" >/dev/null 2>&1 || missing "$python is not installed" "sudo apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  || missing "$python is older than Python 3.11" "install Python 3.11 or newer and run: make PYTHON=python3.11 …"
"$python" -c 'import venv, ensurepip' 2>/dev/null \
  || missing "Python's venv module is not installed" "sudo apt-get install python3-venv"

echo "Creating $venv from requirements/dev.txt (every package checked by hash)"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  --require-hashes --only-binary=:all: -r requirements/dev.txt
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
