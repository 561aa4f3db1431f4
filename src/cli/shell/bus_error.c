/* SPDX-License-Identifier: Apache-2.0 */
#include "shell/bus_error.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "shell/cli.h"

static const char *running; /* the verb */

static void put(const char *text) {
  size_t left = strlen(text);
  while (left) {
    const ssize_t got = write(STDERR_FILENO, text, left);
    if (got <= 0) return;
    text += got;
    left -= (size_t)got;
  }
}

static void put_number(uint64_t number) {
  char digits[24];
  char *at = digits + sizeof digits - 1;
  *at = 0;
  do *--at = (char)('0' + number % 10);
  while ((number /= 10) != 0);
  put(at);
}

/* Only calls that a signal handler may make. A fault elsewhere is a defect: it gets the signal's
 * own end. */
static void on_bus_error(int number, siginfo_t *about, void *context) {
  char path[1024];
  uint64_t offset;
  (void)context;
  if (about->si_code <= 0 || !xt_mapped_file(about->si_addr, path, sizeof path, &offset)) {
    signal(number, SIG_DFL);
    raise(number);
    return;
  }
  put("xtransplant ");
  put(running);
  put(": ");
  put(path);
  put(": at byte ");
  put_number(offset);
  put(": the file was cut short while it was in use, or its disk cannot be read\n");
  _exit(EXIT_INPUT);
}

void bus_error_watch(const char *verb) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  running = verb;
  sigaction(SIGBUS, &action, NULL);
}
