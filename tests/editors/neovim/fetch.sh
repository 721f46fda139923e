#!/usr/bin/env bash
# fetch.sh [linters]
# Brings what the Neovim tests need into $XDG_CACHE_HOME/midfill-editors, unless it is there; with `linters` only the last two:
#   neovim-newest/bin/nvim  0.12 or what Debian's testing has by now: ghost text of its own
#   neovim-oldest/bin/nvim  0.10, the oldest that the plugin supports
#   luacheck/bin/luacheck   checks the plugin's Lua
#   stylua/bin/stylua       formats it; from npm
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/editors/debian.sh
. "$here/../debian.sh"
# shellcheck disable=SC2016  # expanded by the wrapper
lua='LUA_PATH="$root/usr/share/lua/5.1/?.lua;$root/usr/share/lua/5.1/?/init.lua;;" LUA_CPATH="$libraries/lua/5.1/?.so;;"'

# neovim VERSION SUITES: of that version or newer
neovim() {
  local found
  unpack "$2" neovim
  wrap nvim usr/bin/nvim "" "$lua VIMRUNTIME=\"\$root/usr/share/nvim/runtime\""
  found=$("$fresh/bin/nvim" --version | sed -n '1s/^NVIM v//p')
  dpkg --compare-versions "$found" ge "$1" || { echo "$2 has Neovim $found, and $1 is needed." && return 1; }
}

luacheck() {
  unpack trixie "lua-check lua5.1"
  wrap luacheck usr/bin/lua5.1 '"$root/usr/bin/luacheck"' "$lua"
  "$fresh/bin/luacheck" --version
}

stylua() {
  "$here/../with_node.sh" npm install --silent --no-fund --no-audit --prefix "$fresh" @johnnymorganz/stylua-bin@2.5.2
  mkdir -p "$fresh/bin"
  (cd "$fresh/bin" && ln -sfn ../node_modules/@johnnymorganz/stylua-bin-*/stylua stylua)
  "$fresh/bin/stylua" --version
}

fetch luacheck luacheck
fetch stylua stylua
if [ "${1:-}" != linters ]; then
  fetch neovim-newest neovim 0.12 "forky sid"
  fetch neovim-oldest neovim 0.10 trixie
fi
finish
