# SPDX-License-Identifier: Apache-2.0
# The software bill of materials, in SPDX 2.3's JSON: this project and the libraries that it is linked with, as configured.
set(packages "")
set(relations "")
foreach(entry ${XT_SBOM})
  string(REPLACE "|" ";" entry "${entry}")
  list(GET entry 0 name)
  list(GET entry 1 version)
  if(NOT version) # Debian 13's fasttext.pc says none
    set(version "NOASSERTION")
  endif()
  list(GET entry 2 licence)
  list(GET entry 3 home)
  string(REGEX REPLACE "[^A-Za-z0-9.-]" "-" id "SPDXRef-${name}")
  string(APPEND packages ",\n    {\"SPDXID\": \"${id}\", \"name\": \"${name}\", \"versionInfo\": \"${version}\", \"downloadLocation\": \"${home}\",\n"
                         "     \"filesAnalyzed\": false, \"licenseConcluded\": \"NOASSERTION\", \"licenseDeclared\": \"${licence}\", \"copyrightText\": \"NOASSERTION\"}")
  string(APPEND relations ",\n    {\"spdxElementId\": \"SPDXRef-xtransplant\", \"relationshipType\": \"DYNAMIC_LINK\", \"relatedSpdxElement\": \"${id}\"}")
endforeach()
# The commit's time, so that the same source gives the same file.
set(created "1970-01-01T00:00:00Z")
if(DEFINED ENV{SOURCE_DATE_EPOCH})
  string(TIMESTAMP created "%Y-%m-%dT%H:%M:%SZ" UTC)
elseif(XT_GIT_HASH)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env TZ=UTC ${GIT_EXECUTABLE} log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd
                  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE created OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
string(SHA256 id "${PROJECT_VERSION} ${XT_GIT_HASH} ${XT_SBOM}")
string(SUBSTRING ${id} 0 32 id)
file(CONFIGURE OUTPUT xtransplant.spdx.json @ONLY CONTENT [[{
  "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "xtransplant-@PROJECT_VERSION@",
  "documentNamespace": "urn:xtransplant:sbom:@id@",
  "creationInfo": {"created": "@created@", "creators": ["Tool: xtransplant-cmake"]},
  "packages": [
    {"SPDXID": "SPDXRef-xtransplant", "name": "xtransplant", "versionInfo": "@PROJECT_VERSION@", "downloadLocation": "NOASSERTION",
     "sourceInfo": "commit @XT_GIT_HASH@", "filesAnalyzed": false, "licenseConcluded": "NOASSERTION", "licenseDeclared": "Apache-2.0",
     "copyrightText": "NOASSERTION"}@packages@
  ],
  "relationships": [
    {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-xtransplant"}@relations@
  ]
}
]])
install(FILES ${PROJECT_BINARY_DIR}/xtransplant.spdx.json DESTINATION ${CMAKE_INSTALL_DOCDIR})
