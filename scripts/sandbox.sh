#!/bin/sh
# Make sure that the scanner can be contained on this machine: bubblewrap, and user namespaces that it may use.
set -eu
sudo=; [ "$(id -u)" = 0 ] || sudo=sudo

if ! command -v bwrap >/dev/null 2>&1; then
  $sudo apt-get update -qq
  $sudo apt-get install -y -qq --no-install-recommends bubblewrap >/dev/null
fi
# Ubuntu 24.04 lets only programs with an AppArmor profile make user namespaces, and bubblewrap has none there.
switch=/proc/sys/kernel/apparmor_restrict_unprivileged_userns
if [ -e "$switch" ] && [ "$(cat "$switch")" != 0 ]; then
  echo 0 | $sudo tee "$switch" >/dev/null
fi
bwrap --ro-bind / / --unshare-net true
