#!/usr/bin/env bash
# get_vscode.sh: fetch what the VS Code tests drive into $XDG_CACHE_HOME/midfill-editors/vscode: VS Code as a server (npm's
# code-server), the Node it needs, and Debian's chromium where apt-get may install it. About 800 MB, a minute or two, once.
# Registries are the ones that npm and apt are configured with.
set -euo pipefail
version=4.139.1
dir=${XDG_CACHE_HOME:-$HOME/.cache}/midfill-editors/vscode
mkdir -p "$dir/app"
if ! command -v chromium >/dev/null; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "chromium is missing; install it (on Debian: apt-get install chromium fonts-dejavu-core)." >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq -o Acquire::Retries=3 update || true # a source that has nothing to do with it may be out of order
  if ! apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 install -y --no-install-recommends \
    chromium fonts-dejavu-core >/dev/null; then
    echo "chromium could not be installed with apt-get (above: why), and the VS Code tests need it." >&2
    exit 1
  fi
fi
if [ -x "$dir/code-server" ] && "$dir/code-server" --version 2>/dev/null | grep -q "^$version "; then exit 0; fi
trap 'echo "VS Code (npm: code-server $version) could not be fetched; above: why." >&2' ERR
export npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false
[ -d "$dir/node/node_modules" ] || npm install --loglevel error --prefix "$dir/node" node@24
node=$(find "$dir/node/node_modules" -path '*node-*/bin/node' | head -n 1)
PATH=$(dirname "$node"):$PATH
cd "$dir/app"
[ -f package.json ] || echo '{"private":true}' >package.json
npm install --loglevel error --ignore-scripts --omit=dev "code-server@$version"
root=$dir/app/node_modules/code-server
# code-server's own install script compiles native modules; they are optional, so only its packages are brought.
for folder in lib/vscode lib/vscode/extensions; do
  (cd "$root/$folder" && npm install --loglevel error --omit=dev --ignore-scripts)
done
(cd "$root/lib/vscode/bin/remote-cli" && ln -sf code-linux.sh code-server)
(cd "$root/lib/vscode/bin/helpers" && ln -sf browser-linux.sh browser.sh)
printf '#!/bin/sh\nexec "%s" "%s/out/node/entry.js" "$@"\n' "$node" "$root" >"$dir/code-server"
chmod +x "$dir/code-server"
"$dir/code-server" --version | tail -n 1
