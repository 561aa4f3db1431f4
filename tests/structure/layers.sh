#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A folder of src/ may include itself and the folders before it in this order; src/cli only include/, and its own folders in their
# order.
cd "$(dirname "$0")/../../src" || exit 1
order="base files text backend model synth engine sweep tasks store job analysis report train"
allowed=
bad=0
for folder in $order; do
  allowed="$allowed $folder"
  for file in $(find "$folder" -name '*.[ch]' -o -name '*.cpp' -o -name '*.inc'); do
    for target in $(sed -n 's/^ *# *include *"\([a-z_]*\)\/.*/\1/p' "$file"); do
      [ "$target" = xtransplant ] && continue
      case " $allowed " in *" $target "*) ;; *) echo "# src/$file includes $target/, which comes after $folder/"; bad=1 ;; esac
    done
  done
done
allowed=xtransplant
for folder in shell inputs results verbs .; do
  allowed="$allowed $folder"
  for file in cli/"$folder"/*.[ch]; do
    [ -e "$file" ] || continue
    for target in $(sed -n 's/^ *# *include *"\([a-z_]*\)\/.*/\1/p' "$file"); do
      case " $allowed " in
        *" $target "*) ;;
        *) echo "# src/$file includes $target/; of the library the program may use include/ only, of its own folders those before"; bad=1 ;;
      esac
    done
  done
done
for file in cli/*/*/*; do [ -e "$file" ] && { echo "# $file: src/cli has one level of folders"; bad=1; }; done
[ $bad -eq 0 ] && echo "ok - folders include only the folders before them" || { echo "not ok - folders include only the folders before them"; exit 1; }
# File names are unique, so that one can be named without its path.
twice=$(find . -name '*.[ch]' -exec basename {} \; | sort | uniq -d)
[ -z "$twice" ] && echo "ok - file names are unique" || { echo "not ok - file names are unique: $twice"; exit 1; }
