# Sourced by the scripts that fetch Debian packages without installing them. They set, before:
#   name   for messages      work   directory for lists and packages
#
# Debian's archive is the one that this machine's apt uses; its lists and settings are not touched.
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
  echo "$name: $1" >&2
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
mirror=$(find_mirror)

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

download() {
  (cd "$work/$suite/debs" && apt_for "$suite" download "$@")
}

# fetch SUITE DIRECTORY PACKAGE...: unpacks the packages into the directory.
fetch() {
  suite=$1
  unpacked=$2
  shift 2
  [ -n "$mirror" ] || fail "no Debian archive in /etc/apt/sources.list*: set PODNET_DEBIAN_MIRROR to one"
  [ -f "$keyring" ] || fail "$keyring is missing: install debian-archive-keyring"
  mkdir -p "$work/$suite/debs" "$unpacked"
  rm -f "$work/$suite/debs"/*.deb
  # What an old list names may be gone from the archive.
  download "$@" 2>/dev/null || {
    apt_for "$suite" update || fail "cannot read the package list of $suite from $mirror"
    download "$@" || fail "cannot fetch $* of $suite from $mirror"
  }
  for deb in "$work/$suite/debs"/*.deb; do
    dpkg-deb -x "$deb" "$unpacked"
    echo "$name: unpacked $(basename "$deb")"
  done
}

# wrap FROM NAME PROGRAM WRAPPER: keeps what was unpacked into FROM as $tools/NAME-root, and writes WRAPPER, which runs PROGRAM of it with its own C library.
wrap() {
  loader=$(cd "$1" && find . -name 'ld-linux*.so.*' -path '*/lib*' | head -n 1 | cut -c 3-)
  [ -n "$loader" ] || fail "the packages hold no dynamic loader"
  rm -rf "$tools/$2-root"
  mv "$1" "$tools/$2-root"
  cat >"$4" <<WRAPPER
#!/bin/sh
root=\$(dirname "\$(readlink -f "\$0")")/$2-root
libs=\$(echo "\$root"/usr/lib/*-linux-gnu* "\$root"/lib/*-linux-gnu* | tr ' ' ':')
exec "\$root/$loader" --library-path "\$libs" "\$root$3" "\$@"
WRAPPER
}
