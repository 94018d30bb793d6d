#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The first command of README on a bare machine of today's other Debian: makes a minimal
# root of it with debootstrap in TMPDIR, clones what is committed here into it and runs
# scripts/demo there, without any of this environment's variables. Needs root, and one of
# apt's own sources within reach. Packages are kept in .cache/bare for the next time.
#
# All of it happens in a mount and a pid namespace: when this script ends, no mount and no
# process is left. Ends with LEFT_OUT where it cannot run, and says why.
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

PATH="$PATH:/usr/sbin:/sbin" # debootstrap, chroot

leave_out() {
    say "left out: $*"
    exit "$LEFT_OUT"
}

codename() { . /etc/os-release && echo "${VERSION_CODENAME-}"; }

if [ "$(codename)" = trixie ]; then
    RELEASE=bookworm
else
    RELEASE=trixie
fi
CACHE="$ROOT/.cache/bare/$RELEASE"

# That of apt, or else of the environment; empty where there is none.
proxy() {
    local proxy=
    eval "$(apt-config shell proxy Acquire::http::Proxy)"
    echo "${proxy:-${http_proxy-}}"
}

# The first of apt's sources that has the release; fails where none has.
mirror() {
    local uri
    for uri in $(apt-get indextargets --format '$(REPO_URI)' | sort -u); do
        uri="${uri%/}" # some mirrors refuse //
        if wget -q -T 20 -t 2 -O /dev/null "$uri/dists/$RELEASE/InRelease"; then
            echo "$uri"
            return
        fi
    done
    return 1
}

# --- In the namespaces ------------------------------------------------------------

# A file system like /tmp may forbid devices and set-user-id programs.
allow_devices() {
    mount --bind "$TARGET" "$TARGET"
    mount -o remount,bind,dev,suid,exec "$TARGET"
}

make_root() {
    say "making a bare root of $RELEASE"
    quietly "$FOLDER/debootstrap.log" debootstrap --variant=minbase --cache-dir="$CACHE" \
        "$RELEASE" "$TARGET" "$MIRROR"
    cp /etc/hosts "$TARGET/etc/hosts"
    [ -z "$http_proxy" ] ||
        echo "Acquire::http::Proxy \"$http_proxy\";" >"$TARGET/etc/apt/apt.conf.d/proxy"
    mount -t proc proc "$TARGET/proc"
    mount --bind "$CACHE" "$TARGET/var/cache/apt/archives"
}

# Whoever owns this tree.
clone_tree() {
    printf '[safe]\n\tdirectory = *\n' >"$FOLDER/gitconfig"
    GIT_CONFIG_GLOBAL="$FOLDER/gitconfig" git clone -q "$ROOT" "$TARGET/root/understudy"
}

in_target() { env -i "$(command -v chroot)" "$TARGET" "$@"; }

# Fails where a process is left; this one is the first of the namespace.
nothing_runs() {
    local process code=0
    for process in "$TARGET"/proc/[0-9]*; do
        if [ "$(basename "$process")" -ne 1 ]; then
            echo "left behind: $(tr '\0' ' ' <"$process/cmdline")"
            code=1
        fi
    done
    return "$code"
}

inside() {
    allow_devices
    make_root
    clone_tree
    in_target /root/understudy/scripts/demo
    nothing_runs
    in_target /usr/bin/apt-get autoclean -qq # packages of which there is a newer one
    . "$TARGET/etc/os-release"
    echo "scripts/demo works on a bare $PRETTY_NAME"
}

# --- Outside ----------------------------------------------------------------------

if [ "${1-}" = inside ]; then
    TARGET="$FOLDER/root"
    inside
    exit
fi
[ "$(id -u)" -eq 0 ] || leave_out "needs root"
[ -e "$ROOT/.git" ] || leave_out "not a git clone"
command -v debootstrap >/dev/null || leave_out "debootstrap is not installed"
unshare --mount --pid --fork true 2>/dev/null ||
    leave_out "root may not make namespaces here"
http_proxy="$(proxy)"
export http_proxy
MIRROR="$(mirror)" || leave_out "none of apt's sources within reach has $RELEASE"
export MIRROR
FOLDER="$(mktemp -d "${TMPDIR:-/tmp}/bare.XXXXXX")"
export FOLDER
trap 'rm -rf "$FOLDER"' EXIT
mkdir -p "$CACHE" "$FOLDER/root"
unshare --mount --pid --fork --kill-child "$BASH" "${BASH_SOURCE[0]}" inside
