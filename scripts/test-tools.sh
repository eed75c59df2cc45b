#!/bin/sh
# Fetches the tools that some tests compare podnet with, into .cache/tools of this package; nothing is installed.
#
#   kubectl-1.20   Debian 12's kubernetes-client       kubectl-1.32   Debian 13's kubectl
#   nft-1.1        Debian 13's nftables with its own C library, behind a wrapper
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
  rm -rf "$tools/nft-root"
  fetch trixie "$stage/nft" nftables libnftables1 libnftnl11 libmnl0 libxtables12 libjansson4 libgmp10 libedit2 libtinfo6 libbsd0 libmd0 libc6
  loader=$(cd "$stage/nft" && find . -name 'ld-linux*.so.*' -path '*/lib*' | head -n 1 | cut -c 3-)
  [ -n "$loader" ] || fail "the packages hold no dynamic loader"
  mv "$stage/nft" "$tools/nft-root"
  cat >"$stage.nft" <<WRAPPER
#!/bin/sh
root=\$(dirname "\$(readlink -f "\$0")")/nft-root
libs=\$(echo "\$root"/usr/lib/*-linux-gnu* "\$root"/lib/*-linux-gnu* | tr ' ' ':')
exec "\$root/$loader" --library-path "\$libs" "\$root/usr/sbin/nft" "\$@"
WRAPPER
  place nft-1.1 "$stage.nft"
fi
rm -rf "$stage"

for tool in kubectl-1.20 kubectl-1.32; do
  version=$("$tools/$tool" version --client -o json 2>/dev/null | awk -F'"' '/gitVersion/ { print $4; exit }') || true
  [ -n "$version" ] || fail "$tools/$tool does not run: remove $tools and try again"
  echo "test-tools: $tool is $version"
done
echo "test-tools: nft-1.1 is $("$tools/nft-1.1" --version)"
