# SPDX-License-Identifier: Apache-2.0
# Compiler and linker flags.
include(CheckCCompilerFlag)
include(CheckPIESupported)

# No -ffast-math; contraction is off so that a product and a sum fuse only where the code says so.
# Names of functions and lines are what a backtrace needs; a Debug build has variables too.
add_compile_options(-Wall -Wextra -Wshadow -Wconversion $<IF:$<CONFIG:Debug>,-g,-g1> -ffp-contract=off -fno-math-errno -fvisibility=hidden
                    $<$<COMPILE_LANGUAGE:C>:-Werror=implicit-function-declaration>)
if(XT_WERROR)
  add_compile_options(-Werror)
endif()

# The same source gives the same bytes in whatever folder it is built.
add_compile_options(-ffile-prefix-map=${PROJECT_BINARY_DIR}=build -ffile-prefix-map=${PROJECT_SOURCE_DIR}=. -Wdate-time)
set(CMAKE_C_ARCHIVE_CREATE "<CMAKE_AR> qcD <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_C_ARCHIVE_FINISH "<CMAKE_RANLIB> -D <TARGET>")
set(CMAKE_CXX_ARCHIVE_CREATE "${CMAKE_C_ARCHIVE_CREATE}")
set(CMAKE_CXX_ARCHIVE_FINISH "${CMAKE_C_ARCHIVE_FINISH}")

if(XT_FUZZ)
  add_compile_options(-O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(XT_SANITIZE STREQUAL "address")
  # -O1: above it gcc spends minutes on the checks inside the vector kernels.
  add_compile_options(-O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(XT_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread)
  add_link_options(-fsanitize=thread)
endif()

# Hardening; tests/structure/hardening.sh looks for it in what was built.
if(XT_HARDEN AND NOT XT_SANITIZE AND NOT XT_FUZZ)
  foreach(flag -fstack-protector-strong -fstack-clash-protection)
    string(MAKE_C_IDENTIFIER "XT_HAS${flag}" has)
    check_c_compiler_flag(${flag} ${has})
    if(${has})
      add_compile_options(${flag})
    endif()
  endforeach()
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    add_compile_options(-fcf-protection=full)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    add_compile_options(-mbranch-protection=standard)
  endif()
  # It needs optimisation; some systems' compilers define a level of their own.
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  endif()
  add_link_options(LINKER:-z,relro,-z,now,-z,noexecstack)
endif()
check_pie_supported(LANGUAGES C)
