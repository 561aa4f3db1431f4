/* SPDX-License-Identifier: Apache-2.0 */
/* What every test program includes: cmocka and where things are. */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "xtransplant/error.h"

/* The thread sanitizer cannot start threads in a forked child. And it is asked about RACES alone:
 * it makes everything slow. */
#if defined(__SANITIZE_THREAD__)
#define CAN_FORK_THREADS 0
#define RACES 1
#else
#define CAN_FORK_THREADS 1
#define RACES 0
#endif

/* Begins a test that runs on one thread. */
#define ON_ONE_THREAD() \
  do {                  \
    if (RACES) skip();  \
  } while (0)

/* Asserts success of a call and prints its error otherwise. Needs a local `xt_error error`. */
#define ASSERT_OK(call)                                                        \
  do {                                                                         \
    if ((call) != XT_STATUS_OK) {                                              \
      char line_[1400];                                                        \
      fail_msg("%s: %s", #call, xt_error_format(&error, line_, sizeof line_)); \
    }                                                                          \
  } while (0)

#endif
