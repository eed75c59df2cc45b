#!/bin/sh
# Fetches container runtimes that podnet is tested under, as Debian 12 has them, into .cache/runtimes of this package; nothing is installed, and no
# service of this machine is touched: the tests start them in namespaces and folders of their own.
#
#   containerd (1.6) with runc      podman (4.3) with conmon      busybox-static, which becomes the image of the tests' pods
#   containerd-1.7, containerd-2    containerd of Debian 13 and of unstable, in folders of their own; they use the same runc and the machine's C library
#
# What is there stays; -f fetches anew.
set -eu

name=test-runtimes
root=$(cd "$(dirname "$0")/.." && pwd)
runtimes=$root/.cache/runtimes
work=$root/.cache/apt
[ "${1:-}" = -f ] && rm -rf "$runtimes" "$work/bookworm" "$work/trixie" "$work/sid"
. "$root/scripts/debian.sh"

if [ ! -d "$runtimes" ]; then
  stage=$work/runtimes-stage
  rm -rf "$stage"
  # podman's and runc's libraries come along, their C library does not: the one of this machine must be as new as Debian 12's (2.36).
  fetch bookworm "$stage" containerd runc podman conmon golang-github-containers-common golang-github-containers-image \
    libgpgme11 libassuan0 libgpg-error0 libdevmapper1.02.1 libsubid4 libseccomp2 libglib2.0-0 libpcre2-8-0 \
    libsystemd0 liblzma5 libzstd1 liblz4-1 libcap2 libgcrypt20 libselinux1 libudev1 libaudit1 libcap-ng0 libacl1 busybox-static
  rm -rf "$stage/usr/share" "$stage/etc" "$stage/lib/systemd" "$stage/usr/lib/systemd"
  mkdir -p "$root/.cache"
  # In one step, so that runtimes that are there are whole.
  mv "$stage" "$runtimes"
fi

# newer NAME SUITE: another containerd, by itself; runs here, or is not there.
newer() {
  [ ! -d "$runtimes/$1" ] || return 0
  stage=$work/runtimes-stage
  rm -rf "$stage"
  fetch "$2" "$stage" containerd && "$stage/usr/bin/containerd" --version >/dev/null && mv "$stage/usr/bin" "$runtimes/$1"
}
newer containerd-1.7 trixie
# What unstable has today need not run here: then the tests of it skip, and say so.
(newer containerd-2 sid) || echo "$name: containerd-2 is not to be had"

LD_LIBRARY_PATH=$(echo "$runtimes"/usr/lib/*-linux-gnu* "$runtimes"/lib/*-linux-gnu* | tr ' ' ':')
export LD_LIBRARY_PATH
for program in usr/bin/containerd containerd-1.7/containerd usr/sbin/runc usr/bin/podman usr/bin/conmon; do
  version=$("$runtimes/$program" --version 2>/dev/null | head -n 1) || true
  [ -n "$version" ] || fail "$runtimes/$program does not run here: $("$runtimes/$program" --version 2>&1 | head -n 1)"
  echo "$name: $version"
done
[ ! -d "$runtimes/containerd-2" ] || echo "$name: $("$runtimes/containerd-2/containerd" --version)"
