#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What tools/packages.txt asks for, checked or installed.
#   tools/setup.sh check          says what building lacks, with every system's package names; installs nothing
#   tools/setup.sh install [test] installs what is missing, for the tests too: on Debian and Ubuntu, as root.
#                                 Elsewhere it says what is missing, and fails where building or testing needs it.
set -eu
cd "$(dirname "$0")"
mode=${1:-check}
uses="need"
[ "$mode" = install ] && uses="need want"
[ "${2:-}" = test ] && uses="need want test test-want"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

compiles() { # COMPILER FLAG: a program builds with it
  echo 'int main(void) { return 0; }' >"$scratch/probe.c"
  "$1" "$2" "$scratch/probe.c" -o "$scratch/probe" 2>/dev/null
}

is_here() { # PROBE
  what=${1#*:}
  case $1 in
    command:*)
      for program in $(echo "$what" | tr , ' '); do command -v "$program" >/dev/null 2>&1 && return 0; done
      return 1 ;;
    module:*) pkg-config --exists "$(echo "$what" | sed 's/>=/ >= /')" 2>/dev/null ;;
    header:*) echo "#include <$what>" | cc -E -x c - >/dev/null 2>&1 ;;
    python:*) /usr/bin/python3 -c "import $what" 2>/dev/null || python3 -c "import $what" 2>/dev/null ;;
    cc:* | clang:*) compiles "${1%%:*}" "$what" ;;
    file:*) [ -e "$what" ] ;;
    coder:*) find /usr/lib* -path '*ImageMagick*' -name "$what.so" 2>/dev/null | grep -q . ;;
    font:*) find /usr/share/fonts /usr/local/share/fonts -iname "*$what*" 2>/dev/null | grep -q . ;;
  esac
}

# lacking USES COLUMN: the packages of a system that are not here, each once
lacking() {
  grep -v '^#' packages.txt | while read -r use probe apt dnf pacman apk; do
    case " $1 " in *" $use "*) ;; *) continue ;; esac
    case $2 in apt) name=$apt ;; dnf) name=$dnf ;; pacman) name=$pacman ;; apk) name=$apk ;; *) name=${probe#*:} ;; esac
    is_here "$probe" || [ "$name" = - ] || echo "$name"
  done | awk '!seen[$0]++' | tr '\n' ' ' | sed 's/ $//'
}

name_all() { # USES
  echo "Missing: $(lacking "$1" what)"
  echo "  Debian, Ubuntu   apt-get install $(lacking "$1" apt)"
  echo "  Fedora           dnf install $(lacking "$1" dnf)"
  echo "  Arch             pacman -S $(lacking "$1" pacman)"
  echo "  Alpine           apk add $(lacking "$1" apk)"
}

missing=$(lacking "$uses" what)
[ -n "$missing" ] || exit 0
required=$(lacking "$(echo "$uses" | sed 's/[a-z-]*want//g')" what)

if [ "$mode" = install ] && command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  packages=$(lacking "$uses" apt)
  # Nothing can be asked about packages before the lists have been fetched once.
  apt-cache show libjansson-dev >/dev/null 2>&1 || apt-get update -q >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; exit 1; }
  for package in $packages; do
    if apt-cache show "$package" >/dev/null 2>&1; then echo "$package"; else echo "$package is no package of this system" >&2; fi
  done >"$scratch/packages"
  packages=$(tr '\n' ' ' <"$scratch/packages")
  echo "Installing: $packages" >&2
  # shellcheck disable=SC2086
  apt-get install -y -q --no-install-recommends $packages >"$scratch/log" 2>&1 ||
    { apt-get update -q && apt-get install -y -q --no-install-recommends $packages; } >"$scratch/log" 2>&1 ||
    { cat "$scratch/log" >&2; exit 1; }
  # The compiler came with them, so that some things can be seen only now.
  required=$(lacking "$(echo "$uses" | sed 's/[a-z-]*want//g')" what)
  [ -z "$required" ] || { name_all "$uses" >&2; exit 1; }
  exit 0
fi
[ -n "$required" ] || exit 0
name_all "$(echo "$uses" | sed 's/[a-z-]*want//g')" >&2
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ]; then echo "\`make setup\` installs them." >&2; fi
exit 1
