/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "xtransplant/engine.h"

static const char tap_letters[XT_TAP_COUNT + 1] = "amfo";

static const struct {
  const char *name;
  xt_tap read, write;
} named[] = {
    {"attn", XT_TAP_ATTN, XT_TAP_ATTN},
    {"ffn", XT_TAP_FFN, XT_TAP_FFN},
    {"block", XT_TAP_BLOCK, XT_TAP_BLOCK},
    {"attn-released", XT_TAP_MID, XT_TAP_ATTN},
};

const char *xt_control_name(xt_control control) {
  static const char *const names[XT_CONTROL_COUNT] = {[XT_CONTROL_SELF] = "self",
                                                      [XT_CONTROL_SHUFFLED] = "shuffled",
                                                      [XT_CONTROL_RANDOM] = "random",
                                                      [XT_CONTROL_MEAN] = "mean"};
  return (unsigned)control < XT_CONTROL_COUNT ? names[control] : NULL;
}

static bool parse_taps(const char *text, size_t length, xt_site *out) {
  for (size_t i = 0; i < sizeof named / sizeof *named; i++)
    if (strlen(named[i].name) == length && memcmp(text, named[i].name, length) == 0) {
      *out = (xt_site){.read = named[i].read, .write = named[i].write};
      return true;
    }
  if (length != 3 || text[1] != ':') return false;
  const char *read = memchr(tap_letters, text[0], XT_TAP_COUNT),
             *write = memchr(tap_letters, text[2], XT_TAP_COUNT);
  if (!read || !write) return false;
  *out = (xt_site){.read = (xt_tap)(read - tap_letters), .write = (xt_tap)(write - tap_letters)};
  return true;
}

/* A seed as xt_site_format writes it: decimal, without leading zeros, and not 0. */
static bool parse_seed(const char *text, uint32_t *out) {
  uint64_t seed = 0;
  if (*text == '0') return false;
  for (; *text >= '0' && *text <= '9' && seed <= UINT32_MAX; text++)
    seed = 10 * seed + (uint64_t)(*text - '0');
  *out = (uint32_t)seed;
  return !*text && seed <= UINT32_MAX;
}

/* Sets `control` and `seed` of *out. */
static bool parse_control(const char *text, xt_site *out) {
  for (int control = XT_CONTROL_SELF; control < XT_CONTROL_COUNT; control++) {
    const char *name = xt_control_name((xt_control)control);
    const size_t length = strlen(name);
    if (strncmp(text, name, length) != 0) continue;
    out->control = (xt_control)control;
    return !text[length] || (control != XT_CONTROL_SELF && parse_seed(text + length, &out->seed));
  }
  return false;
}

xt_status xt_site_parse(const char *text, xt_site *out, xt_error *error) {
  const size_t length = strcspn(text, "+");
  xt_site site;
  if (!parse_taps(text, length, &site))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "site", -1,
                   "'%s' is not a site; sites are attn, ffn, block, attn-released, or READ:WRITE "
                   "with each of a, m, f, o",
                   text);
  if (text[length] && !parse_control(text + length + 1, &site))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "site", -1,
                   "'%s' is not a control of a site; controls are +self, +shuffled, +random and "
                   "+mean, the last three with a seed from 1 on if they have one",
                   text);
  *out = site;
  return XT_STATUS_OK;
}

xt_status xt_control_parse(const char *text, xt_site *out, xt_error *error) {
  xt_site site = {0};
  if (!parse_control(text, &site))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "control", -1,
                   "'%s' is not a control; controls are self, shuffled, random and mean, the last "
                   "three with a seed from 1 on if they have one (random7)",
                   text);
  *out = site;
  return XT_STATUS_OK;
}

static size_t format_taps(xt_site site, char *buffer) {
  for (size_t i = 0; i < sizeof named / sizeof *named; i++)
    if (named[i].read == site.read && named[i].write == site.write)
      return strlen(strcpy(buffer, named[i].name));
  return (size_t)snprintf(buffer, XT_SITE_NAME_SIZE, "%c:%c", tap_letters[site.read],
                          tap_letters[site.write]);
}

const char *xt_site_format(xt_site site, char *buffer) {
  const size_t length = format_taps(site, buffer), room = XT_SITE_NAME_SIZE - length;
  const char *control = xt_control_name(site.control);
  if (control && site.seed)
    snprintf(buffer + length, room, "+%s%lu", control, (unsigned long)site.seed);
  else if (control)
    snprintf(buffer + length, room, "+%s", control);
  return buffer;
}
