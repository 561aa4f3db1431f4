/* SPDX-License-Identifier: Apache-2.0 */
#include "shell/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "shell/cli.h"

static volatile sig_atomic_t asked; /* the first signal's number; a signal handler can reach
                                       nothing else */

static void ask(int number) {
  if (!asked) {
    asked = number;
    return;
  }
  signal(number, SIG_DFL);
  raise(number); /* takes effect when the handler returns */
}

void interrupt_watch(void) {
  static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
  struct sigaction action, before;
  memset(&action, 0, sizeof action);
  action.sa_handler = ask; /* no SA_RESTART: a signal must end a read from an empty pipe */
  sigemptyset(&action.sa_mask);
  asked = 0;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    if (numbers[i] == SIGHUP && sigaction(SIGHUP, NULL, &before) == 0 &&
        before.sa_handler == SIG_IGN)
      continue;
    sigaction(numbers[i], &action, NULL);
  }
}

bool interrupt_asked(void) { return asked != 0; }

int interrupt_exit_code(void) { return asked ? 128 + (int)asked : EXIT_FAILED; }
