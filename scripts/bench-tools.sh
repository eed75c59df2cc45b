#!/bin/sh
# Fetches what the benchmarks measure podnet beside, into .cache/bench-tools of this package; nothing is installed.
#
#   cni-bookworm   Debian 12's containernetworking-plugins (1.1)       cni-sid   those of Debian unstable (1.9 or newer)
#
# What is there stays; -f fetches anew.
# The plugins are bound to no library but libc, and those of unstable run on Debian 12.
set -eu

name=bench-tools
root=$(cd "$(dirname "$0")/.." && pwd)
tools=$root/.cache/bench-tools
work=$root/.cache/bench-apt
[ "${1:-}" = -f ] && rm -rf "$tools" "$work"
. "$root/scripts/debian.sh"

# plugins SUITE: unpacked aside, then put in place in one step, so that plugins that are there are whole.
plugins() {
  into=$tools/cni-$1
  if [ ! -x "$into/bridge" ]; then
    rm -rf "$work/$1/stage"
    fetch "$1" "$work/$1/stage" containernetworking-plugins
    dpkg-deb -f "$work/$1/debs"/*.deb Version >"$work/$1/stage/usr/lib/cni/.version"
    mv "$work/$1/stage/usr/lib/cni" "$into"
    rm -rf "$work/$1/stage"
  fi
  # Without a command a plugin says which versions of CNI it speaks, or that the command is missing; it must run at all.
  [ "$(CNI_COMMAND=VERSION "$into/bridge" </dev/null 2>/dev/null | head -c 1)" = "{" ] || fail "$into/bridge does not run: remove $tools and try again"
  echo "bench-tools: cni-$1 is containernetworking-plugins $(cat "$into/.version")"
}

mkdir -p "$tools"
plugins bookworm
plugins sid
