# SPDX-License-Identifier: Apache-2.0
# What scripts that look for things that should not be have in common. They end with: exit $failed
failed=0

# report FOUND NAME: a test that passes when nothing was found
report() {
  if [ -z "$1" ]; then
    echo "ok - $2"
  else
    echo "$1" | sed 's/^/# /'
    echo "not ok - $2"
    failed=1
  fi
}
