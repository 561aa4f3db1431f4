/* SPDX-License-Identifier: Apache-2.0 */
/* devices: what --device may name on this machine. */
#include "shell/output.h"
#include "verbs/verbs.h"

typedef struct Arguments {
  bool json;
} Arguments;

static const Option options[] = {OPTION_JSON(Arguments, json)};

#define DEVICES_MAX 32

static xt_status print_json(const xt_device *found, int count, const char *why, xt_error *error) {
  json_t *list = json_array(), *object = json_object();
  for (int i = 0; i < count; i++)
    json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I, s:i, s:b, s:s, s:s}", "device",
                                          found[i].id, "name", found[i].name, "driver",
                                          found[i].driver, "memory", (json_int_t)found[i].memory,
                                          "units", found[i].units, "exact", !found[i].lacks[0],
                                          "lacks", found[i].lacks, "unfit", found[i].unfit));
  json_object_set_new(object, "devices", list);
  json_object_set_new(object, "missing", json_string(why));
  return json_print(object, error);
}

static int run(const Cli *cli, void *arguments) {
  const Arguments *a = arguments;
  xt_device found[DEVICES_MAX];
  xt_error error;
  char why[256];
  const int all = xt_devices(found, DEVICES_MAX, why, sizeof why),
            count = all < DEVICES_MAX ? all : DEVICES_MAX;
  if (a->json) return cli_exit(cli, print_json(found, count, why, &error), &error);
  printf("cpu         this processor\n");
  for (int i = 0; i < count; i++) {
    printf("%-10s  %s: %.1f GB, %d compute units, %s\n", found[i].id, found[i].name,
           (double)found[i].memory / 1e9, found[i].units, found[i].driver);
    if (found[i].unfit[0])
      printf("%-10s  cannot be used: %s\n", "", found[i].unfit);
    else if (found[i].lacks[0])
      printf("%-10s  does not promise %s: use it with --inexact\n", "", found[i].lacks);
    else
      printf("%-10s  float32 results have the same bits as the CPU's\n", "");
  }
  if (why[0]) printf("%s\n", why);
  return cli_exit(cli, XT_STATUS_OK, &error);
}

const Verb verb_devices = {
    .name = "devices",
    .summary = "list the devices that models can run on",
    .about = "Lists the devices that --device accepts on this machine: the CPU, and the devices "
             "of the installed OpenCL and CUDA drivers, with their memory and whether they "
             "can be used and promise the same bits as the CPU in float32. It is no error when "
             "there is only the "
             "CPU.",
    .example = "xtransplant devices",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
