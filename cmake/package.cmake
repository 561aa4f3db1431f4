# SPDX-License-Identifier: Apache-2.0
# What is installed, and the Debian package of it (make install, make package).

# Man pages and completions are printed by the program itself.
set(XT_MANUAL ${PROJECT_BINARY_DIR}/manual)
if(NOT CMAKE_CROSSCOMPILING)
  add_custom_command(OUTPUT ${XT_MANUAL}.done DEPENDS xtransplant ${PROJECT_SOURCE_DIR}/cmake/manual.cmake
                     COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:xtransplant> -DOUTPUT=${XT_MANUAL} -P ${PROJECT_SOURCE_DIR}/cmake/manual.cmake
                     COMMAND ${CMAKE_COMMAND} -E touch ${XT_MANUAL}.done
                     COMMENT "Man pages and completions" VERBATIM)
  add_custom_target(manual ALL DEPENDS ${XT_MANUAL}.done)
  install(DIRECTORY ${XT_MANUAL}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
  install(FILES ${XT_MANUAL}/bash/xtransplant DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${XT_MANUAL}/zsh/_xtransplant DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
  install(FILES ${XT_MANUAL}/fish/xtransplant.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()

# The pkg-config file finds the prefix from where it lies, so that a package may be unpacked anywhere.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  message(FATAL_ERROR "CMAKE_INSTALL_LIBDIR and CMAKE_INSTALL_INCLUDEDIR have to be relative to the prefix")
endif()
file(RELATIVE_PATH XT_PREFIX_FROM_PC /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" XT_PREFIX_FROM_PC "${XT_PREFIX_FROM_PC}")
configure_file(cmake/xtransplant.pc.in xtransplant.pc @ONLY)

set(XT_DOC ${CMAKE_INSTALL_DATADIR}/doc/xtransplant)
install(TARGETS xtransplant xtransplant_static xtransplant_shared)
install(DIRECTORY include/xtransplant DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY demo/facts-4m DESTINATION ${CMAKE_INSTALL_DATADIR}/xtransplant/demo)
install(FILES demo/to-language.jsonl demo/from-language.jsonl demo/tuning.jsonl demo/README.md DESTINATION ${CMAKE_INSTALL_DATADIR}/xtransplant/demo)
install(FILES ${PROJECT_BINARY_DIR}/xtransplant.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES README.md CHANGELOG.md CITATION.cff NOTICE DESTINATION ${XT_DOC})
install(DIRECTORY docs/ DESTINATION ${XT_DOC}/docs FILES_MATCHING PATTERN "*.md" PATTERN "*.png")
install(DIRECTORY examples/ DESTINATION ${XT_DOC}/examples FILES_MATCHING PATTERN "*.c")
install(FILES cmake/copyright LICENSES/LGPL-2.1-or-later.txt DESTINATION ${XT_DOC})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME xtransplant)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "cross-lingual latent transplantation in decoder language models")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
    " Takes the activation of a prompt's last token at one layer of a language model,
 puts it in place at a layer of the translated prompt's forward pass, and
 generates: one transplant, or every pair of layers over a whole benchmark, with
 tables, figures and a page of every response. Results equal those of Hugging
 Face transformers in float32.
 .
 The package holds the program, the C library with its headers, the manual,
 completions for bash, zsh and fish, and a small model and questions for
 \"xtransplant demo\".")
set(CPACK_PACKAGE_CONTACT "xtransplant developers <xtransplant@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
