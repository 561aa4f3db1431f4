# SPDX-License-Identifier: Apache-2.0
# Writes files into a C source as byte arrays: cmake -DOUTPUT=x.c -DHEADER=folder/assets.h -DFILES="a;b" -P embed.cmake
# page.css becomes `const unsigned char asset_page_css[]` and `const unsigned long asset_page_css_size`.
set(text "/* Made by cmake/embed.cmake. */\n#include \"${HEADER}\"\n")
foreach(path ${FILES})
  get_filename_component(name ${path} NAME)
  string(MAKE_C_IDENTIFIER ${name} name)
  file(READ ${path} bytes HEX)
  string(LENGTH "${bytes}" size)
  math(EXPR size "${size} / 2")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND text "const unsigned char asset_${name}[] = {${bytes}0};\nconst unsigned long asset_${name}_size = ${size};\n")
endforeach()
file(WRITE ${OUTPUT} "${text}")
