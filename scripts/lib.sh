# Helpers for the scripts beside this file; sourced, not run.
# shellcheck shell=bash

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
tools="$root/.tools"
# shellcheck disable=SC2034 # the scripts read it
target="${CARGO_TARGET_DIR:-$root/target}"

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "this needs root, and there is no sudo: $*"
  fi
}

# Debian's packages, without starting any service they bring.
apt_updated=
install_packages() {
  command -v apt-get >/dev/null || fail "install these by hand, there is no apt-get: $*"
  say "installing $*"
  if [ -z "$apt_updated" ]; then
    as_root apt-get -qq update >&2 || fail "apt-get update failed; is there a network?"
    apt_updated=yes
  fi
  local policy=/usr/sbin/policy-rc.d saved='' status=0
  if [ -e "$policy" ]; then
    saved="$policy.streamr-saved"
    as_root cp -a "$policy" "$saved"
  fi
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
    -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 "$@" >/dev/null || status=$?
  if [ -n "$saved" ]; then
    as_root mv -f "$saved" "$policy"
  else
    as_root rm -f "$policy"
  fi
  [ "$status" = 0 ] || fail "apt-get could not install: $*"
}

# need <command> <package>...: installs the packages when the command is missing.
need() {
  local command="$1"
  shift
  command -v "$command" >/dev/null || install_packages "$@"
}

need_rust() {
  [ ! -d "$HOME/.cargo/bin" ] || export PATH="$PATH:$HOME/.cargo/bin"
  command -v cargo >/dev/null || fail "cargo is missing: install Rust from https://rustup.rs, then run this again"
  # C is compiled by ring and SQLite.
  need cc gcc libc6-dev
}

need_python_venv() {
  need python3 python3
  python3 -c 'import ensurepip' 2>/dev/null || install_packages python3-venv
}

# Puts a node that is new enough first on PATH; xtask knows which that is and installs it in .tools.
use_node() {
  local version
  version="$(node --version 2>/dev/null || true)"
  case "$version" in
    v2[2-9].* | v[3-9][0-9].* | v20.19.* | v20.2[0-9].*) ;;
    *) [ -x "$tools/node/bin/node" ] || need_python_venv ;;
  esac
  local folder
  folder="$(cd "$root" && cargo xtask node)" || fail "no node.js for building the pages"
  export PATH="$folder:$PATH"
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# playwright-core drives Debian's Chromium; it downloads no browser.
use_browser() {
  need chromium chromium
  local folder="$root/tests/browser"
  # What is installed must be what the lock file says now.
  if ! cmp -s "$folder/package-lock.json" "$folder/node_modules/.installed-lock.json"; then
    say "installing playwright-core and axe-core in tests/browser"
    npm ci --prefix "$folder" --no-audit --no-fund --loglevel error >&2
    cp "$folder/package-lock.json" "$folder/node_modules/.installed-lock.json"
  fi
  STREAMR_TEST_CHROMIUM="$(command -v chromium)"
  STREAMR_TEST_NODE="$(command -v node)"
  export STREAMR_TEST_CHROMIUM STREAMR_TEST_NODE
}
