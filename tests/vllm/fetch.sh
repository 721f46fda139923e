#!/usr/bin/env bash
# fetch.sh PYTHON
# Brings the released vLLM's Python sources, and what its request classes import, into a folder of
# $XDG_CACHE_HOME/midfill-vllm, one for each version of it and of Python, unless they are there: PYTHONPATH for a process
# of its own, never the project's environment. The wheel is large (336 MB); of it only the sources are kept, so that 130 MB
# stay.
set -euo pipefail
version=0.33.0
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/midfill-vllm
name=$version-$("$1" -c 'import sys; print("python{}.{}".format(*sys.version_info))')
[ -e "$cache/$name" ] && exit
mkdir -p "$cache"
fresh=$(mktemp -d "$cache/fresh.XXXXXX")
trap 'rm -rf "$fresh"' EXIT
pip() { "$1" -m pip --quiet --disable-pip-version-check "${@:2}"; }
pip "$1" install --no-deps --target "$fresh/$name" --requirement "$here/requirements.txt"
pip "$1" download --no-deps --only-binary :all: --platform manylinux_2_28_x86_64 --dest "$fresh" "vllm==$version"
"$1" - "$fresh"/vllm-*.whl "$fresh/$name" <<'PYTHON'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    wheel.extractall(sys.argv[2], [name for name in wheel.namelist() if name.endswith((".py", "/METADATA"))])
PYTHON
mv "$fresh/$name" "$cache/$name"
