#!/bin/sh
# Fetches the tools that some tests compare podnet with, into .cache/tools of this package; nothing is installed.
#
#   kubectl-1.20   Debian 12's kubernetes-client       kubectl-1.32   Debian 13's kubectl
#   nft-1.1        Debian 13's nftables with its own C library, behind a wrapper
#   drill          Debian 12's ldnsutils               unbound-host   Debian 12's unbound-host; both with their own libraries
#   unbound        Debian 12's unbound, likewise: the resolver that DNS forwards to in tests
#
# What is there stays; -f fetches anew.
set -eu

name=test-tools
root=$(cd "$(dirname "$0")/.." && pwd)
tools=$root/.cache/tools
work=$root/.cache/apt
[ "${1:-}" = -f ] && rm -rf "$tools" "$work"
. "$root/scripts/debian.sh"

# place NAME FILE: puts a tool in place in one step, so that a tool that is there is whole.
place() {
  chmod 755 "$2"
  mv "$2" "$tools/$1"
}

mkdir -p "$tools"
stage=$work/stage
rm -rf "$stage"

if [ ! -x "$tools/kubectl-1.20" ]; then
  fetch bookworm "$stage/k20" kubernetes-client
  place kubectl-1.20 "$stage/k20/usr/bin/kubectl"
fi
if [ ! -x "$tools/kubectl-1.32" ]; then
  fetch trixie "$stage/k32" kubectl
  place kubectl-1.32 "$stage/k32/usr/bin/kubectl"
fi
if [ ! -x "$tools/nft-1.1" ]; then
  fetch trixie "$stage/nft" nftables libnftables1 libnftnl11 libmnl0 libxtables12 libjansson4 libgmp10 libedit2 libtinfo6 libbsd0 libmd0 libc6
  wrap "$stage/nft" nft /usr/sbin/nft "$stage.nft"
  place nft-1.1 "$stage.nft"
fi
if [ ! -x "$tools/unbound" ]; then
  fetch bookworm "$stage/unbound" unbound libevent-2.1-7 libnghttp2-14 libprotobuf-c1 libpython3.11 libssl3 libsystemd0 libexpat1 zlib1g \
    libcap2 libgcrypt20 libgpg-error0 liblz4-1 liblzma5 libzstd1 libc6
  wrap "$stage/unbound" unbound /usr/sbin/unbound "$stage.unbound"
  place unbound "$stage.unbound"
fi
if [ ! -x "$tools/drill" ]; then
  rm -rf "$tools/drill-root"
  fetch bookworm "$stage/drill" ldnsutils libldns3 libssl3 libpcap0.8 libdbus-1-3 libsystemd0 libcap2 libgcrypt20 libgpg-error0 liblz4-1 liblzma5 \
    libzstd1 libc6
  wrap "$stage/drill" drill /usr/bin/drill "$stage.drill"
  place drill "$stage.drill"
fi
if [ ! -x "$tools/unbound-host" ]; then
  rm -rf "$tools/unbound-host-root"
  fetch bookworm "$stage/unbound-host" unbound-host libunbound8 libevent-2.1-7 libnghttp2-14 libssl3 libhogweed6 libnettle8 libgmp10 libexpat1 libprotobuf-c1 \
    libpython3.11 zlib1g libsystemd0 libcap2 libgcrypt20 libgpg-error0 liblz4-1 liblzma5 libzstd1 libc6
  wrap "$stage/unbound-host" unbound-host /usr/bin/unbound-host "$stage.unbound-host"
  place unbound-host "$stage.unbound-host"
fi
rm -rf "$stage"

for tool in kubectl-1.20 kubectl-1.32; do
  version=$("$tools/$tool" version --client -o json 2>/dev/null | awk -F'"' '/gitVersion/ { print $4; exit }') || true
  [ -n "$version" ] || fail "$tools/$tool does not run: remove $tools and try again"
  echo "test-tools: $tool is $version"
done
echo "test-tools: nft-1.1 is $("$tools/nft-1.1" --version)"
echo "test-tools: unbound is $("$tools/unbound" -V | awk '/^Version/ { print $2 }')"
echo "test-tools: drill is $("$tools/drill" -v 2>&1 | awk '/drill version/ { print $3; exit }' FS='[ (]+'), unbound-host is $("$tools/unbound-host" -h 2>&1 | awk '/^Version/ { print $2 }')"
