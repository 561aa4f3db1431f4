/* SPDX-License-Identifier: Apache-2.0 */
#include "shell/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "shell/cli.h"

#define TERMINAL_SECONDS 0.3 /* between two lines */
#define PLAIN_SECONDS 60.0

const char *const progress_modes[] = {
    [PROGRESS_AUTO] = "auto", [PROGRESS_PLAIN] = "plain", [PROGRESS_NONE] = "none", NULL};

const char *format_seconds(double seconds, char buffer[32]) {
  const double bounded = seconds < 0 ? 0 : seconds > 1e9 ? 1e9 : seconds;
  const long whole = (long)(bounded + 0.5);
  snprintf(buffer, 32, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  return buffer;
}

uint64_t resident_bytes(void) {
  FILE *file = fopen("/proc/self/statm", "re");
  unsigned long long all = 0, resident = 0;
  const int got = file ? fscanf(file, "%llu %llu", &all, &resident) : 0;
  if (file) fclose(file);
  return got == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

void progress_begin(Progress *progress, int mode, bool quiet) {
  const double now = seconds_now();
  const bool terminal = isatty(STDERR_FILENO);
  *progress = (Progress){.shown = !quiet && mode != PROGRESS_NONE,
                         .plain = mode == PROGRESS_PLAIN || !terminal,
                         .began = now,
                         .next = now};
  if (mode == PROGRESS_AUTO && !terminal) progress->next = now + PLAIN_SECONDS;
}

bool progress_due(const Progress *progress) {
  return progress->shown && seconds_now() >= progress->next;
}

void progress_print(Progress *progress, double share, const char *format, ...) {
  if (!progress_due(progress)) return;
  const double now = seconds_now(), spent = now - progress->began;
  char eta[32] = "-", text[200];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (share > 0) format_seconds(share < 1 ? spent / share - spent : 0, eta);
  fprintf(stderr, progress->plain ? "%s  ETA %s\n" : "\r%s  ETA %s\x1b[K", text, eta);
  progress->printed = now;
  progress->next = now + (progress->plain ? PLAIN_SECONDS : TERMINAL_SECONDS);
}

void progress_next(Progress *progress) {
  progress->began = seconds_now();
  if (progress->printed > 0) progress->next = progress->began;
}

void progress_bytes(Progress *progress, uint64_t done, uint64_t total) {
  if (!progress_due(progress)) return;
  const double rate = (double)done / (seconds_now() - progress->began + 1e-9);
  progress_print(progress, total ? (double)done / (double)total : 0, "%.2f/%.2f GB  %.0f MB/s",
                 (double)done / 1e9, (double)total / 1e9, rate / 1e6);
}

void progress_break(Progress *progress) {
  if (progress->shown && !progress->plain && progress->printed > 0) fputc('\n', stderr);
  progress->printed = 0;
}

void progress_end(Progress *progress) {
  if (progress->shown && !progress->plain && progress->printed > 0) fputs("\r\x1b[K", stderr);
  progress->shown = false;
}
