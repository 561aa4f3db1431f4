/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "cli.h"

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

void progress_begin(Progress *progress, bool quiet, uint64_t total, uint64_t instances) {
  *progress = (Progress){.shown = !quiet && isatty(STDERR_FILENO), .began = seconds_now(), .total = total, .instances = instances};
}

static bool is_due(Progress *progress, double now) {
  if (!progress->shown || now - progress->printed < 0.3) return false;
  progress->printed = now;
  return true;
}

void progress_bytes(Progress *progress, uint64_t done, uint64_t total) {
  const double now = seconds_now();
  if (!is_due(progress, now)) return;
  const double rate = (double)done / (now - progress->began + 1e-9);
  char eta[32];
  fprintf(stderr, "\r%.2f/%.2f GB  %.0f MB/s  ETA %s\x1b[K", (double)done / 1e9, (double)total / 1e9, rate / 1e6,
          format_seconds((double)(total - done) / (rate + 1e-9), eta));
}

void progress_tick(Progress *progress) {
  const double now = seconds_now();
  if (!is_due(progress, now)) return;
  const double rate = (double)progress->done / (now - progress->began + 1e-9);
  char eta[32] = "-";
  if (progress->done) format_seconds((double)(progress->total - progress->done) / rate, eta);
  fputc('\r', stderr);
  if (progress->instances) fprintf(stderr, "%llu/%llu instances  ", (unsigned long long)progress->instances_done, (unsigned long long)progress->instances);
  fprintf(stderr, "%llu/%llu %s  %.1f/s  ETA %s  %.2f GB\x1b[K", (unsigned long long)progress->done, (unsigned long long)progress->total,
          progress->instances ? "responses" : "values", rate, eta, (double)resident_bytes() / 1e9);
}

void progress_end(Progress *progress) {
  if (progress->shown && progress->printed > 0) fputs("\r\x1b[K", stderr);
  progress->shown = false;
}
