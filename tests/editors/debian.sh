# Sourced by the fetch scripts: programs of another Debian suite beside the system's own, without root.
# Private apt folders with an empty dpkg status bring every package with all that it needs, libc too; dpkg-deb unpacks
# them, and a wrapper runs the program through the loader that came along. Packages come from the mirror that apt is set
# up for, and their signatures are checked.
# shellcheck shell=bash

cache=${XDG_CACHE_HOME:-$HOME/.cache}/midfill-editors
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# fetch NAME FUNCTION ARGUMENTS: run the function, which fills a new folder $fresh, and keep that as $cache/NAME; unless
# it is there already. What fails is named, and the rest is fetched all the same: `finish` ends with the exit status.
missing=()
fetch() {
  local name=$1 log
  shift
  [ -d "$cache/$name" ] && return
  echo "Fetching $name into $cache" >&2
  fresh=$(mktemp -d "$cache/$name.XXXXXX")
  log=$(mktemp)
  (set -e && "$@") >"$log" 2>&1 & # apart from `if`, which would have it go on after an error
  if wait $!; then
    [ -d "$cache/$name" ] || mv -T "$fresh" "$cache/$name" # another run may have been faster
  else
    missing+=("$name")
    sed "s/^/  /" "$log" | tail -n 8 >&2
    echo "$name could not be fetched (above: why)." >&2
  fi
  rm -rf "$fresh" "$log"
}

finish() {
  [ ${#missing[@]} = 0 ] && return
  echo "Missing, and fetched again by the next run: ${missing[*]}." >&2
  return 1
}

# unpack SUITES PACKAGES: the packages' files under $fresh/root, from the first of the suites that has them
unpack() {
  local suites=$1 packages=$2 suite
  for suite in $suites; do
    if unpack_from "$suite" "$packages"; then return; fi
    rm -rf "$fresh/apt" "$fresh/root"
  done
  echo "Debian's $packages could not be had from $suites."
  return 1
}

unpack_from() {
  local suite=$1 packages=$2 mirror apt options package
  if ! command -v apt-get >/dev/null || [ ! -e "$keyring" ]; then
    echo "This machine is no Debian (no apt-get, or no $keyring)."
    return 1
  fi
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -i debian | grep -v security | head -n 1)
  if [ -z "$mirror" ]; then
    echo "apt is set up for no Debian mirror (apt-get indextargets lists none)."
    return 1
  fi
  apt=$fresh/apt
  mkdir -p "$apt"/etc/{sources.list.d,preferences.d} "$apt"/state/lists/partial "$apt"/cache/archives/partial || return
  : >"$apt/state/status"
  echo "deb [signed-by=$keyring] $mirror $suite main" >"$apt/etc/sources.list"
  options=(-o Dir::Etc::sourcelist="$apt/etc/sources.list" -o Dir::Etc::sourceparts="$apt/etc/sources.list.d"
    -o Dir::Etc::preferencesparts="$apt/etc/preferences.d" -o Dir::State="$apt/state"
    -o Dir::State::status="$apt/state/status" -o Dir::Cache="$apt/cache" -o Debug::NoLocking=1
    -o APT::Sandbox::User="$(id -un)" -o APT::Keep-Downloaded-Packages=true
    -o Binary::apt-get::APT::Keep-Downloaded-Packages=true -o DPkg::Post-Invoke= -o APT::Update::Post-Invoke=
    -o Acquire::Retries=3 -o APT::Update::Error-Mode=any)
  apt-get "${options[@]}" -qq update || return
  # shellcheck disable=SC2086  # packages is a list
  apt-get "${options[@]}" -qq -y --no-install-recommends --download-only install $packages >/dev/null || return
  for package in "$apt"/cache/archives/*.deb; do dpkg-deb -x "$package" "$fresh/root" || return; done
  rm -rf "$apt"
}

# wrap NAME PROGRAM ARGUMENTS ENVIRONMENT: $fresh/bin/NAME, which runs the unpacked program. $root: where it was unpacked
wrap() {
  local name=$1 program=$2 arguments=${3:-} environment=${4:-}
  mkdir -p "$fresh/bin"
  cat >"$fresh/bin/$name" <<WRAPPER
#!/bin/sh
root=\$(cd "\$(dirname "\$0")/.." && pwd)/root
libraries=\$(echo "\$root"/usr/lib/*-linux-gnu*)
loader=\$(ls "\$root"/usr/lib*/ld-linux-*.so.* "\$libraries"/ld-linux-*.so.* 2>/dev/null | head -n 1)
${environment:+export $environment}
exec "\$loader" --library-path "\$libraries" "\$root/$program" $arguments "\$@"
WRAPPER
  chmod +x "$fresh/bin/$name"
}
