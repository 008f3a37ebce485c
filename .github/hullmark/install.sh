#!/bin/sh
# Install Hullmark for the workflows of this repository: from the checkout that they run on.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
sh "$here/scripts/install.sh" "$RUNNER_TEMP/hullmark"
sh "$here/scripts/sandbox.sh"
# A constant, so that nothing from outside is put on the path of the steps that follow.
echo "$RUNNER_TEMP/hullmark/bin" >>"$GITHUB_PATH"
