/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "xtransplant/engine.h"

static const char tap_letters[XT_TAP_COUNT + 1] = "amfo";

static const struct {
  const char *name;
  xt_site site;
} named[] = {
    {"attn", {XT_TAP_ATTN, XT_TAP_ATTN}},
    {"ffn", {XT_TAP_FFN, XT_TAP_FFN}},
    {"block", {XT_TAP_BLOCK, XT_TAP_BLOCK}},
    {"attn-released", {XT_TAP_MID, XT_TAP_ATTN}},
};

xt_status xt_site_parse(const char *text, xt_site *out, xt_error *error) {
  for (size_t i = 0; i < sizeof named / sizeof *named; i++)
    if (strcmp(text, named[i].name) == 0) {
      *out = named[i].site;
      return XT_STATUS_OK;
    }
  if (strlen(text) == 3 && text[1] == ':') {
    const char *read = strchr(tap_letters, text[0]), *write = strchr(tap_letters, text[2]);
    if (read && write) {
      *out = (xt_site){(xt_tap)(read - tap_letters), (xt_tap)(write - tap_letters)};
      return XT_STATUS_OK;
    }
  }
  return err_set(error, XT_STATUS_ARGUMENT, NULL, "site", -1,
                 "'%s' is not a site; sites are attn, ffn, block, attn-released, or READ:WRITE "
                 "with each of a, m, f, o",
                 text);
}

const char *xt_site_format(xt_site site, char *buffer) {
  for (size_t i = 0; i < sizeof named / sizeof *named; i++)
    if (named[i].site.read == site.read && named[i].site.write == site.write)
      return strcpy(buffer, named[i].name);
  snprintf(buffer, 16, "%c:%c", tap_letters[site.read], tap_letters[site.write]);
  return buffer;
}
