# SPDX-License-Identifier: MIT
#
# Shared by the scripts here: sourced, never run. Sets ROOT, a usable PATH and HOME, and
# the small functions that print.

set -euo pipefail

export PATH="${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}"
export HOME="${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}"
export LC_ALL="${LC_ALL:-C.UTF-8}"
unset CDPATH # makes cd print
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
BUILD="$ROOT/build"
VENV="$ROOT/.venv"
PYTHON=/usr/bin/python3
JOBS="$(nproc)"
LEFT_OUT=77 # exit code of a part of scripts/test that cannot run here

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
[ -t 2 ] || say() { printf '%s\n' "$*" >&2; }
fail() { say "$(basename "$0"): $*"; exit 1; }

# quietly LOG command…: output goes to the file LOG, and to stderr if it fails.
quietly() {
    local log="$1"
    shift
    mkdir -p "$(dirname "$log")"
    "$@" >"$log" 2>&1 </dev/null && return
    local code=$?
    tail -n 60 "$log" >&2
    say "failed ($code): $* (whole output: $log)"
    return "$code"
}

# configure_and_build DIR cmake-arguments…
configure_and_build() {
    local dir="$1"
    shift
    quietly "$dir/configure.log" cmake -G Ninja -S "$ROOT" -B "$dir" \
        -DPython3_EXECUTABLE="$PYTHON" "$@"
    quietly "$dir/build.log" ninja -C "$dir" -j "$JOBS"
}
