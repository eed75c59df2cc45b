#!/bin/sh
# Fetches what the benchmarks measure podnet beside, into .cache/bench-tools of this package; nothing is installed.
#
#   cni-bookworm   Debian 12's containernetworking-plugins (1.1)       cni-sid   those of Debian unstable (1.9 or newer)
#
# Debian's archive is the one that this machine's apt uses; its lists and settings are not touched. What is there stays; -f fetches anew.
# The plugins are bound to no library but libc, and those of unstable run on Debian 12.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
tools=$root/.cache/bench-tools
work=$root/.cache/bench-apt
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ "${1:-}" = -f ] && rm -rf "$tools" "$work"

fail() {
  echo "bench-tools: $1" >&2
  exit 1
}
for command in apt-get dpkg-deb dpkg awk; do
  command -v $command >/dev/null || fail "$command is missing: the plugins come as Debian packages"
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

# plugins SUITE: unpacked aside, then put in place in one step, so that plugins that are there are whole.
plugins() {
  into=$tools/cni-$1
  if [ ! -x "$into/bridge" ]; then
    [ -n "$mirror" ] || fail "no Debian archive in /etc/apt/sources.list*: set PODNET_DEBIAN_MIRROR to one"
    [ -f "$keyring" ] || fail "$keyring is missing: install debian-archive-keyring"
    apt_for "$1" update || fail "cannot read the package list of $1 from $mirror"
    rm -rf "$work/$1/debs" "$work/$1/stage"
    mkdir -p "$work/$1/debs"
    (cd "$work/$1/debs" && apt_for "$1" download containernetworking-plugins) || fail "cannot fetch containernetworking-plugins of $1 from $mirror"
    dpkg-deb -x "$work/$1/debs"/*.deb "$work/$1/stage"
    dpkg-deb -f "$work/$1/debs"/*.deb Version >"$work/$1/stage/usr/lib/cni/.version"
    mv "$work/$1/stage/usr/lib/cni" "$into"
    rm -rf "$work/$1/stage"
  fi
  # Without a command a plugin says which versions of CNI it speaks, or that the command is missing; it must run at all.
  [ "$(CNI_COMMAND=VERSION "$into/bridge" </dev/null 2>/dev/null | head -c 1)" = "{" ] || fail "$into/bridge does not run: remove $tools and try again"
  echo "bench-tools: cni-$1 is containernetworking-plugins $(cat "$into/.version")"
}

mkdir -p "$tools"
mirror=$(find_mirror)
plugins bookworm
plugins sid
