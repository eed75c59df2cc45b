#!/bin/sh
# Fetches the tools that some tests compare podnet with, into .cache/tools of this package; nothing is installed.
#
#   kubectl-1.20   Debian 12's kubernetes-client       kubectl-1.32   Debian 13's kubectl
#   nft-1.1        Debian 13's nftables with its own C library, behind a wrapper
#
# Debian's archive is the one that this machine's apt uses; its lists and settings are not touched. What is there stays; -f fetches anew.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
tools=$root/.cache/tools
work=$root/.cache/apt
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ "${1:-}" = -f ] && rm -rf "$tools" "$work"

fail() {
  echo "test-tools: $1" >&2
  exit 1
}
for command in apt-get dpkg-deb dpkg awk; do
  command -v $command >/dev/null || fail "$command is missing: the tools come as Debian packages"
done
arch=$(dpkg --print-architecture)

# The first mirror with Debian's main archive in the machine's own sources (deb822 or one-line form). PODNET_DEBIAN_MIRROR overrides.
find_mirror() {
  if [ -n "${PODNET_DEBIAN_MIRROR:-}" ]; then
    echo "$PODNET_DEBIAN_MIRROR"
    return
  fi
  for file in /etc/apt/sources.list.d/*.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$file" ] || continue
    case $file in
    *.sources) awk '/^URIs:/ { for (i = 2; i <= NF; i++) print $i }' "$file" ;;
    *) awk '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) { print $i; break } }' "$file" ;;
    esac
  done | awk '/\/debian\/?$/ { sub(/\/$/, ""); print; exit }'
}

# A private apt for one suite: own lists, own cache, own (empty) state; the machine's proxy settings apply.
apt_for() {
  suite=$1
  shift
  dir=$work/$suite
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
  : >"$dir/status"
  echo "deb [signed-by=$keyring] $mirror $suite main" >"$dir/sources.list"
  apt-get -qq -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$dir/lists" \
    -o Dir::Cache="$dir/cache" -o Dir::State::status="$dir/status" -o APT::Architecture="$arch" -o Acquire::Languages=none \
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o APT::Sandbox::User="$(id -un)" -o Acquire::Check-Valid-Until=false "$@"
}

# fetch SUITE DIRECTORY PACKAGE...: unpacks the packages into the directory.
fetch() {
  suite=$1
  into=$2
  shift 2
  [ -n "$mirror" ] || fail "no Debian archive in /etc/apt/sources.list*: set PODNET_DEBIAN_MIRROR to one"
  [ -f "$keyring" ] || fail "$keyring is missing: install debian-archive-keyring"
  [ -d "$work/$suite/lists/partial" ] || apt_for "$suite" update || fail "cannot read the package list of $suite from $mirror"
  mkdir -p "$work/$suite/debs" "$into"
  rm -f "$work/$suite/debs"/*.deb
  (cd "$work/$suite/debs" && apt_for "$suite" download "$@") || fail "cannot fetch $* of $suite from $mirror"
  for deb in "$work/$suite/debs"/*.deb; do
    dpkg-deb -x "$deb" "$into"
    echo "test-tools: unpacked $(basename "$deb")"
  done
}

# move NAME FILE: puts a tool in place in one step, so that a tool that is there is whole.
place() {
  chmod 755 "$2"
  mv "$2" "$tools/$1"
}

mkdir -p "$tools"
mirror=$(find_mirror)
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
