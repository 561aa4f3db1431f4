#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The library is a guest in its host's process: nothing with a buffer that threads share, nothing that prints, reads the
# environment, changes the locale or ends the process.
cd "$(dirname "$0")/../../src" || exit 1
forbidden='(strerror|strtok|localtime|gmtime|asctime|ctime|readdir_r|rand|srand|getenv|setenv|putenv|setlocale|exit|_exit|abort|printf|puts|putchar|perror)'
found=$(grep -rnE "(^|[^a-zA-Z0-9_.>])$forbidden *\(" --include='*.[ch]' --include='*.inc' --include='*.cpp' . | grep -v '^./cli/' |
  grep -vE ':[0-9]+: *(/?\*|//)' | grep -vE "/\*[^*]*$forbidden *\(")
if [ -z "$found" ]; then
  echo "ok - the library calls nothing that a host would mind"
else
  echo "$found" | sed 's/^/# src\//'
  echo "not ok - the library calls nothing that a host would mind"
  exit 1
fi
