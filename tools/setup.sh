#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages of tools/packages.txt that are missing, and those given. Without root it names them.
# usage: tools/setup.sh [PACKAGE...]
set -eu
cd "$(dirname "$0")"
missing=
for package in $(sed 's/#.*//' packages.txt) "$@"; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "These packages are missing; as root run: apt-get install -y$missing" >&2
  exit 1
fi
echo "Installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
apt-get install -y -q $missing >/dev/null 2>&1 || { apt-get update -q >/dev/null; apt-get install -y -q $missing >/dev/null; }
