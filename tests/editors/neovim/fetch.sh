#!/usr/bin/env bash
# fetch.sh [FOLDER]
# Brings what the Neovim tests need into FOLDER (default: $XDG_CACHE_HOME/midfill-editors), unless it is there:
#   neovim-0.12/bin/nvim   has ghost text of its own
#   neovim-0.10/bin/nvim   the oldest that the plugin supports
#   luacheck/bin/luacheck  checks the plugin's Lua
#   stylua/bin/stylua      formats it
# On Debian and its like, without root: private apt folders with an empty dpkg status bring every package with all that it
# needs, libc too; dpkg-deb unpacks them, and a wrapper runs the program through the loader that came along. Packages come
# from the mirror that apt is set up for, and their signatures are checked. stylua comes through npm.
set -euo pipefail
cache=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/midfill-editors}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# unpack FOLDER SUITE PACKAGES: the packages' files under FOLDER/root
unpack() {
  local folder=$1 suite=$2 packages=$3 mirror apt options package
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
  apt=$folder/apt
  mkdir -p "$apt"/etc/{sources.list.d,preferences.d} "$apt"/state/lists/partial "$apt"/cache/archives/partial
  : >"$apt/state/status"
  echo "deb [signed-by=$keyring] $mirror $suite main" >"$apt/etc/sources.list"
  options=(-o Dir::Etc::sourcelist="$apt/etc/sources.list" -o Dir::Etc::sourceparts="$apt/etc/sources.list.d"
    -o Dir::Etc::preferencesparts="$apt/etc/preferences.d" -o Dir::State="$apt/state"
    -o Dir::State::status="$apt/state/status" -o Dir::Cache="$apt/cache" -o Debug::NoLocking=1
    -o APT::Sandbox::User="$(id -un)" -o APT::Keep-Downloaded-Packages=true
    -o Binary::apt-get::APT::Keep-Downloaded-Packages=true -o DPkg::Post-Invoke= -o APT::Update::Post-Invoke=)
  apt-get "${options[@]}" -qq update
  # shellcheck disable=SC2086  # packages is a list
  apt-get "${options[@]}" -qq -y --no-install-recommends --download-only install $packages >/dev/null
  for package in "$apt"/cache/archives/*.deb; do dpkg-deb -x "$package" "$folder/root"; done
  rm -rf "$apt"
}

# wrap FOLDER NAME: FOLDER/bin/NAME, which runs the unpacked program $1 with the arguments $2
wrap() {
  local folder=$1 name=$2 program=$3 arguments=${4:-}
  mkdir -p "$folder/bin"
  cat >"$folder/bin/$name" <<WRAPPER
#!/bin/sh
root=\$(cd "\$(dirname "\$0")/.." && pwd)/root
libraries=\$(echo "\$root"/usr/lib/*-linux-gnu*)
loader=\$(ls "\$root"/usr/lib*/ld-linux-*.so.* "\$libraries"/ld-linux-*.so.* 2>/dev/null | head -n 1)
export VIMRUNTIME="\$root/usr/share/nvim/runtime"
export LUA_PATH="\$root/usr/share/lua/5.1/?.lua;\$root/usr/share/lua/5.1/?/init.lua;;"
export LUA_CPATH="\$libraries/lua/5.1/?.so;;"
exec "\$loader" --library-path "\$libraries" "\$root/$program" $arguments "\$@"
WRAPPER
  chmod +x "$folder/bin/$name"
}

# neovim VERSION SUITE
neovim() {
  local folder=$cache/neovim-$1 fresh=$cache/neovim-$1.new found
  if [ -x "$folder/bin/nvim" ]; then return; fi
  echo "Fetching Neovim $1 into $folder" >&2
  rm -rf "$fresh" && mkdir -p "$fresh"
  unpack "$fresh" "$2" neovim
  wrap "$fresh" nvim usr/bin/nvim
  found=$("$fresh/bin/nvim" --version | head -n 1)
  case $found in
    "NVIM v$1."*) mv -T "$fresh" "$folder" ;;
    *) echo "fetch.sh: $2 has $found now and not $1; give another suite in fetch.sh." >&2 && return 1 ;;
  esac
}

luacheck() {
  local folder=$cache/luacheck fresh=$cache/luacheck.new
  if [ -x "$folder/bin/luacheck" ]; then return; fi
  echo "Fetching luacheck into $folder" >&2
  rm -rf "$fresh" && mkdir -p "$fresh"
  unpack "$fresh" trixie "lua-check lua5.1"
  wrap "$fresh" luacheck usr/bin/lua5.1 '"$root/usr/bin/luacheck"'
  "$fresh/bin/luacheck" --version >/dev/null
  mv -T "$fresh" "$folder"
}

stylua() {
  local folder=$cache/stylua
  if [ -x "$folder/bin/stylua" ]; then return; fi
  echo "Fetching stylua into $folder" >&2
  npm install --silent --no-fund --no-audit --prefix "$folder" @johnnymorganz/stylua-bin@2.5.2
  mkdir -p "$folder/bin"
  ln -sfn ../node_modules/.bin/stylua "$folder/bin/stylua"
}

mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
neovim 0.12 forky
neovim 0.10 trixie
luacheck
stylua
