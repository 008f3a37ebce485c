#!/bin/sh
# Install Hullmark for the workflows of this repository: one commit of its own repository, everything by hash.
set -eu
repository=@REPOSITORY@
commit=@COMMIT@

place="$RUNNER_TEMP/hullmark-source"
git init -q "$place"
git -C "$place" fetch -q --depth 1 "$repository" "$commit"
# Git checks what it fetched against the id that was asked for.
[ "$(git -C "$place" rev-parse FETCH_HEAD)" = "$commit" ]
git -C "$place" checkout -q --detach FETCH_HEAD
sh "$place/scripts/install.sh" "$RUNNER_TEMP/hullmark"
sh "$place/scripts/sandbox.sh"
# A constant, so that nothing from outside is put on the path of the steps that follow.
echo "$RUNNER_TEMP/hullmark/bin" >>"$GITHUB_PATH"
