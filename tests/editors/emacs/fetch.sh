#!/usr/bin/env bash
# fetch.sh: brings Debian 13's Emacs (30, with eglot) into $XDG_CACHE_HOME/midfill-editors/emacs, unless it is there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/editors/debian.sh
. "$here/../debian.sh"

# An unpacked Emacs is told where its files are.
# shellcheck disable=SC2016  # $root is expanded by the wrapper
emacs() {
  local files dump
  unpack trixie emacs-nox
  files=$(cd "$fresh/root" && echo usr/share/emacs/[0-9]*)
  dump=$(cd "$fresh/root" && echo usr/libexec/emacs/*/*/emacs-*.pdmp)
  wrap emacs usr/bin/emacs-nox '--dump-file="$root/'"$dump"'"' \
    'EMACSLOADPATH="$root/'"$files"'/lisp" EMACSDATA="$root/'"$files"'/etc" EMACSDOC="$root/'"$files"'/etc" EMACSPATH="$root/'"${dump%/*}"'"'
  "$fresh/bin/emacs" -Q --batch --eval "(require 'eglot)"
}

fetch emacs emacs
finish
