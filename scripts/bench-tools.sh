#!/bin/sh
# Fetches what the benchmarks measure podnet beside, into .cache/bench-tools of this package; nothing is installed.
#
#   cni-bookworm   Debian 12's containernetworking-plugins (1.1)       cni-sid   those of Debian unstable (1.9 or newer)
#   knotd, nsd, unbound, ipset   Debian 12's name servers and resolver, and its ipset, each with its own C library, behind a wrapper
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

# server NAME PROGRAM PACKAGE...: a program, its libraries, and a wrapper that runs it.
server() {
  server=$1
  program=$2
  shift 2
  if [ ! -x "$tools/$server" ]; then
    stage=$work/stage-$server
    rm -rf "$stage"
    fetch bookworm "$stage" "$@"
    wrap "$stage" "$server" "$program" "$work/$server"
    chmod 755 "$work/$server"
    mv "$work/$server" "$tools/$server"
  fi
  # knotd -V, nsd -v and unbound -V: the version is the last word of a line.
  version=$("$tools/$server" -V 2>&1 | sed -n 's/^[Vv]ersion *//p; s/.*Knot DNS), version //p' | head -n 1)
  [ -n "$version" ] || version=$("$tools/$server" -v 2>&1 | sed -n 's/^NSD version //p; s/^ipset v\([^,]*\),.*/\1/p' | head -n 1)
  [ -n "$version" ] || fail "$tools/$server does not run: remove $tools and try again"
  echo "bench-tools: $server is $version"
}

mkdir -p "$tools"
plugins bookworm
plugins sid
server knotd /usr/sbin/knotd knot libknot13 libzscanner4 libdnssec9 libcap-ng0 libedit2 libtinfo6 libbsd0 libmd0 libgnutls30 libgmp10 libhogweed6 libnettle8 \
  libidn2-0 libunistring2 libp11-kit0 libffi8 libtasn1-6 liblmdb0 liburcu8 libbpf1 libelf1 zlib1g libxdp1 libsystemd0 libcap2 libgcrypt20 libgpg-error0 \
  liblz4-1 liblzma5 libzstd1 libc6
server nsd /usr/sbin/nsd nsd libevent-2.1-7 libfstrm0 libprotobuf-c1 libssl3 libsystemd0 libcap2 libgcrypt20 libgpg-error0 liblz4-1 liblzma5 libzstd1 libc6
server unbound /usr/sbin/unbound unbound libevent-2.1-7 libnghttp2-14 libprotobuf-c1 libpython3.11 libssl3 libsystemd0 libexpat1 zlib1g \
  libcap2 libgcrypt20 libgpg-error0 liblz4-1 liblzma5 libzstd1 libc6
server ipset /usr/sbin/ipset ipset libipset13 libmnl0 libc6
