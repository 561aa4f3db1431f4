#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A report's drawings and LaTeX outside of a browser: in rsvg-convert, CairoSVG and ImageMagick, as PNG and PDF, in pdflatex.
# What needs a program that is not there is skipped and named.
. "$(dirname "$0")/lib.sh"
tools=$here/../../tools
# what librsvg's libraries keep until the end is no leak of ours (a build with LeakSanitizer)
printf 'leak:%s\n' libfontconfig libpango libglib libgobject librsvg libcairo >keeps
export LSAN_OPTIONS=suppressions=$work/keeps:print_suppressions=0
make_model tiny-llama
i=0
while [ $i -lt 24 ]; do
  case $((i / 12)) in 0) lang=$(echo "de hi sw" | cut -d' ' -f$((i % 3 + 1))) ;; *) lang=$(echo "de hi sw português 日本 fr_CA" | cut -d' ' -f$((i % 6 + 1))) ;; esac
  case $((i / 12)) in
    0) printf '{"id": "x%d", "lang": "%s", "source": "Question %d?", "target": "Swali %d:", "gold": "%d", "task": "xnli"}\n' $i "$lang" $i $i $((i % 3 + 1)) ;;
    1) printf '{"id": "f%d", "lang": "%s", "source_lang": "中文 & 50%%", "source": "Who is %d?", "target": "Nani %d?", "gold": "%s", "task": "facts"}\n' $i "$lang" $i $i "$(echo "e a o i u y" | cut -d' ' -f$((i % 6 + 1)))" ;;
  esac
  i=$((i + 1))
done >pairs.jsonl
sites=attn,ffn,block,a:m,m:f,f:o
[ -n "${XT_TEST_BRIEF:-}" ] && sites=attn
"$X" sweep -m "$model" --threads 1 --quiet --pairs pairs.jsonl --site $sites -o results.db || { echo "not ok - sweep"; exit 1; }
"$X" select --strategy coarse -o results.db --quiet >/dev/null 2>&1
run "$X" report results.db --tuned results.db --beside results.db -o rep --bootstrap 50 --permutations 16 --quiet
expect "report" 0

# ---- drawings: no style sheet, no variables, nothing that a drawing would have to fetch
same "svg: no style, variables or links" "$(cat rep/*.svg | grep -cE '<style|var\(|style=|href|@import|url\(|currentColor')" 0
# ImageMagick's program has a name of its own in some versions; another program may be called convert.
magick=convert
for name in convert-im6.q16 magick; do command -v $name >/dev/null && magick=$name; done
render() { # PROGRAM IN OUT
  case $1 in
    rsvg) rsvg-convert -o "$3" "$2" ;;
    cairosvg) "$python" -m cairosvg "$2" -o "$3" ;;
    magick) $magick -font DejaVu-Sans "msvg:$2" -depth 8 "png32:$3" ;;
  esac
}
has() {
  case $1 in
    rsvg) command -v rsvg-convert ;;
    cairosvg) "$python" -c 'import cairosvg' ;;
    magick) # its part that reads SVG is a package of its own
      echo '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="5" height="5"/></svg>' >probe.svg
      $magick -version | grep '^Version: ImageMagick' && $magick msvg:probe.svg png32:probe.png ;;
  esac >/dev/null 2>&1
}
figures="figure2 figure3-xnli-attn figure4 heatmap-xnli-attn"
[ -n "${XT_TEST_BRIEF:-}" ] && figures=figure2 # drawings are the same in every build
# ImageMagick takes bands, whose colours are pale, for opaque: it knows no opacity of a fill.
if has rsvg && has cairosvg; then # CairoSVG brings what compares them
  for figure in $figures; do render rsvg rep/$figure.svg rsvg-$figure.png; done
  for program in cairosvg magick; do
    case $program in cairosvg) limits="--mean 0.005 --worst 0.3" name=CairoSVG ;; magick) limits="--mean 0.05 --worst 0.4" name=ImageMagick ;; esac
    if has $program; then
      for figure in $figures; do
        render $program rep/$figure.svg $program-$figure.png
        # shellcheck disable=SC2086
        run "$python" "$tools/compare_drawings.py" rsvg-$figure.png $program-$figure.png $limits
        expect "$figure: $name draws what librsvg draws ($(cat out err | head -1))" 0
      done
    else skip "drawings in $name" "needs $name, with what reads SVG"; fi
  done
else skip "drawings in two programs" "no rsvg-convert or no CairoSVG"; fi

# ---- PNG and PDF
figures_there=$(ls rep/*.svg | wc -l)
same "the program itself needs neither librsvg nor Cairo" "$(ldd "$X" | grep -cE 'librsvg|libcairo')" 0
if "$X" report results.db -o shots --bootstrap 10 --quiet --png --pdf >/dev/null 2>err; then
  pass "report --png --pdf"
  same "a png and a pdf of each figure" "$(ls shots/*.png | wc -l) $(ls shots/*.pdf | wc -l)" "$figures_there $((figures_there + 1))"
  same "figures.pdf has a page a figure" "$(LC_ALL=C grep -ac '/Type /Page\( \|$\)' shots/figures.pdf)" "$figures_there"
  same "every pdf is whole" "$(for file in shots/*.pdf; do head -c 5 "$file"; tail -c 6 "$file"; done | tr -d '\0' | grep -c 'EOF')" $((figures_there + 1))
  # ImageMagick takes bands, whose colours are pale, for opaque: it knows no opacity of a fill.
if has rsvg && has cairosvg; then
    rsvg-convert --zoom 2 -o twice.png rep/figure2.svg
    run "$python" "$tools/compare_drawings.py" twice.png shots/figure2.png --mean 0.001 --worst 0.01
    expect "png: two pixels a unit, as rsvg-convert draws them" 0
  fi
  "$X" report results.db -o again --bootstrap 10 --quiet --png --pdf >/dev/null
  same "png and pdf: the same bytes again" "$(cmp shots/figure2.png again/figure2.png; cmp shots/figures.pdf again/figures.pdf)" ""
  "$X" report results.db -o shots --bootstrap 10 --quiet >/dev/null
  same "and they go with a report that has none" "$(ls shots | grep -cE 'png|pdf')" 0
else skip "report --png --pdf" "no librsvg: $(cat err)"; fi
mkdir broken && : >broken/librsvg-2.so.2
refuses "librsvg is not there" 3 "xtransplant report: PNG and PDF need the library librsvg, which is not there; install it (Debian and Ubuntu: librsvg2-2)" env LD_LIBRARY_PATH=broken "$X" report results.db -o none --bootstrap 10 --quiet --png
same "and nothing is left" "$(ls -A none 2>/dev/null)" ""
refuses "--pdf without a folder" 2 "xtransplant report: --png and --pdf need a folder: -o DIR" "$X" report results.db --pdf

# ---- LaTeX
same "tex: one caption each, without the paper's number" "$(for file in rep/*.tex; do [ "$file" = rep/tables.tex ] || grep -c '\\caption{' "$file"; done | sort -u) $(grep -c '\\caption{Table' rep/*.tex | grep -cv ':0')" "1 0"
same "tex: no minus sign of Unicode" "$(cat rep/*.tex | grep -c '−')" 0
same "tex: a table each in the document of all" "$(grep -c '^\\input{' rep/tables.tex)" $(($(ls rep/*.tex | wc -l) - 1))
[ -n "${XT_TEST_BRIEF:-}" ] && finish # and so are tables
for engine in pdflatex xelatex; do
  if command -v $engine >/dev/null && kpsewhich booktabs.sty >/dev/null; then
    (cd rep && $engine -interaction=nonstopmode -halt-on-error tables.tex >latex.log 2>&1)
    same "$engine compiles every table" "$? $(grep -c '^!' rep/latex.log) $(grep -c '^Output written on tables.pdf' rep/latex.log)" "0 0 1"
    same "$engine: none is wider than the line, or refers to what is not there" "$(grep -E 'Overfull|Undefined' rep/latex.log)" ""
  else skip "$engine compiles every table" "no $engine with booktabs"; fi
done
finish
