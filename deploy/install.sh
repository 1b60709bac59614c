#!/bin/sh
# Installs haldane from a release, for whoever calls it: no root is needed.
#
#   sh install.sh --from https://HOST/…/releases/download/v0.1.0 [--version 0.1.0] [--to ~/.local/bin]
#
# --from is the address, or a local folder, that holds the release's files: the archive of this machine's kind and
# SHA256SUMS. The install.sh of a release knows its own. The archive's checksum is compared before anything of it is run or
# put in its place; who made it is told by the release's attestation (deploy/UPGRADE.md).
set -eu

from=""
version=""
to="${HOME:-}/.local/bin"
folder=""

fail() {
  printf 'install.sh: %s\n' "$1" >&2
  exit 1
}

need() {
  command -v "$1" >/dev/null 2>&1 || fail "$1 is needed and not there: install it first"
}

# The kind of this machine, as archives are named.
target() {
  case "$(uname -s) $(uname -m)" in
    "Linux x86_64" | "Linux amd64") kind=x86_64-unknown-linux-gnu ;;
    "Linux aarch64" | "Linux arm64") kind=aarch64-unknown-linux-gnu ;;
    "Darwin arm64") kind=aarch64-apple-darwin ;;
    *) fail "there is no archive for $(uname -s) on $(uname -m): build it from source, see README.md" ;;
  esac
  if [ "${kind%linux-gnu}" != "$kind" ] && ldd --version 2>&1 | grep -qi musl; then
    fail "this system has musl, and archives are for glibc: build it from source, or use the image"
  fi
  printf '%s' "$kind"
}

# Brings a file of the release into the folder.
fetch() {
  case "$from" in
    https://* | http://127.0.0.1:* | http://localhost:*)
      if command -v curl >/dev/null 2>&1; then
        curl --fail --silent --show-error --location --retry 2 --output "$folder/$1" "$from/$1" || fail "cannot fetch $from/$1"
      else
        need wget
        wget --quiet --output-document "$folder/$1" "$from/$1" || fail "cannot fetch $from/$1"
      fi
      ;;
    http://*) fail "--from $from is not encrypted: use https" ;;
    *) cp "$from/$1" "$folder/$1" || fail "there is no $1 in $from" ;;
  esac
}

digest() {
  if command -v sha256sum >/dev/null 2>&1; then
    sha256sum "$1" | cut -d ' ' -f 1
  else
    need shasum
    shasum -a 256 "$1" | cut -d ' ' -f 1
  fi
}

clean() {
  if [ -n "$folder" ]; then rm -rf "$folder"; fi
}

main() {
  while [ $# -gt 0 ]; do
    case "$1" in
      --from | --version | --to)
        [ $# -ge 2 ] || fail "$1 needs a value"
        case "$1" in
          --from) from="${2%/}" ;;
          --version) version="$2" ;;
          --to) to="$2" ;;
        esac
        shift 2
        ;;
      --help | -h)
        printf 'usage: install.sh --from ADDRESS|FOLDER [--version VERSION] [--to FOLDER]\n'
        exit 0
        ;;
      *) fail "unknown argument $1; see --help" ;;
    esac
  done
  [ -n "$from" ] || fail "say with --from where the release's files are"
  need tar
  need uname
  kind="$(target)"
  folder="$(mktemp -d)"
  trap clean EXIT
  trap 'exit 130' INT TERM
  fetch SHA256SUMS
  # One version is in a release; --version asks for a certain one.
  archive="$(sed -n "s/^[0-9a-f]\{64\}  \(haldane-[^/ ]*-$kind\.tar\.gz\)\$/\1/p" "$folder/SHA256SUMS")"
  if [ -n "$version" ]; then archive="$(printf '%s\n' "$archive" | grep -Fx "haldane-$version-$kind.tar.gz" || true)"; fi
  [ -n "$archive" ] || fail "SHA256SUMS of $from names no archive${version:+ of version $version} for $kind"
  [ "$(printf '%s\n' "$archive" | wc -l)" -eq 1 ] || fail "SHA256SUMS of $from names several versions: choose one with --version"
  fetch "$archive"
  wanted="$(sed -n "s/^\([0-9a-f]\{64\}\)  $archive\$/\1/p" "$folder/SHA256SUMS")"
  [ "$(digest "$folder/$archive")" = "$wanted" ] || fail "the checksum of $archive is another one: nothing was installed"
  tar -xzf "$folder/$archive" -C "$folder"
  program="$folder/${archive%.tar.gz}/haldane"
  [ -f "$program" ] || fail "$archive holds no program haldane"
  said="$("$program" --version)" || fail "haldane does not run here (its libraries: OpenSSL 3, zlib)"
  mkdir -p "$to" || fail "cannot make $to: choose another folder with --to"
  # Put into its place at once: a running one goes on.
  cp "$program" "$to/.haldane.new" || fail "cannot write to $to: choose another folder with --to"
  chmod 755 "$to/.haldane.new"
  mv -f "$to/.haldane.new" "$to/haldane"
  printf '%s is installed as %s/haldane\n' "$said" "$to"
  case ":$PATH:" in
    *":$to:"*) ;;
    *) printf 'add it to your path: export PATH="%s:$PATH"\n' "$to" ;;
  esac
}

# All of it is read before any of it is done: half a download does nothing.
main "$@"
