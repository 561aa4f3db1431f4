/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into the program, makes the n-th system call or allocation fail: XT_FAULT=CALL:N:WHAT,
 * where CALL is read (pread too), write (pwrite too), sync, rename, open (for writing) or malloc; N
 * counts from 1, 0 is every call; WHAT is ENOSPC, EIO, EMFILE, EINTR (once for each call), SHORT,
 * KILL, or CUT, which cuts the file XT_FAULT_FILE to 4096 bytes and lets the call be made.
 * XT_FAULT_COUNT=FILE has the calls counted into a file instead. XT_CLOCK=SECONDS has every clock
 * jump by so much, forwards, back and forwards again, each eighth time that it is looked at. glibc
 * alone: stdio's own reads and writes are not seen. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CALL_READ, CALL_WRITE, CALL_SYNC, CALL_RENAME, CALL_OPEN, CALL_MALLOC, CALLS };
static const char *const names[CALLS] = {"read", "write", "sync", "rename", "open", "malloc"};

static atomic_long counts[CALLS];
static int chosen = -1;
static long chosen_number;
static char what[16];
static _Thread_local int interrupted; /* this call was just interrupted, and is made again */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);

__attribute__((constructor)) static void begin(void) {
  const char *fault = getenv("XT_FAULT");
  for (int i = 0; fault && i < CALLS; i++) {
    const size_t length = strlen(names[i]);
    if (strncmp(fault, names[i], length) != 0 || fault[length] != ':') continue;
    char *end;
    chosen_number = strtol(fault + length + 1, &end, 10);
    snprintf(what, sizeof what, "%s", *end ? end + 1 : "");
    chosen = i;
  }
}

__attribute__((destructor)) static void end(void) {
  const char *path = getenv("XT_FAULT_COUNT");
  FILE *out = path ? fopen(path, "w") : NULL;
  for (int i = 0; out && i < CALLS; i++)
    fprintf(out, "%s %ld\n", names[i], atomic_load(&counts[i]));
  if (out) fclose(out);
}

/* 0: go on; 1: write less; -1: fail, errno is set. */
static int fault(int call) {
  const long number = atomic_fetch_add(&counts[call], 1) + 1;
  if (call != chosen || (chosen_number && number != chosen_number)) return 0;
  if (strcmp(what, "KILL") == 0) kill(getpid(), SIGKILL);
  if (strcmp(what, "SHORT") == 0) return 1;
  if (strcmp(what, "CUT") == 0) return truncate(getenv("XT_FAULT_FILE"), 4096);
  if (strcmp(what, "EINTR") == 0) {
    interrupted = !interrupted;
    if (!interrupted) return 0;
  }
  errno = strcmp(what, "EINTR") == 0    ? EINTR
          : strcmp(what, "EIO") == 0    ? EIO
          : strcmp(what, "EMFILE") == 0 ? EMFILE
          : strcmp(what, "ENOMEM") == 0 ? ENOMEM
                                        : ENOSPC;
  return -1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Messages and results on the terminal are not what is tested. */
static int watched(int fd) { return fd > 2; }

ssize_t read(int fd, void *data, size_t size) {
  const int kind = watched(fd) ? fault(CALL_READ) : 0;
  if (kind < 0) return -1;
  return REAL(read)(fd, data, kind && size > 1 ? size / 2 : size);
}
ssize_t pread(int fd, void *data, size_t size, off_t at) {
  const int kind = fault(CALL_READ);
  if (kind < 0) return -1;
  return REAL(pread)(fd, data, kind && size > 1 ? size / 2 : size, at);
}
ssize_t pread64(int fd, void *data, size_t size, off64_t at) {
  const int kind = fault(CALL_READ);
  if (kind < 0) return -1;
  return REAL(pread64)(fd, data, kind && size > 1 ? size / 2 : size, at);
}
ssize_t write(int fd, const void *data, size_t size) {
  const int kind = watched(fd) ? fault(CALL_WRITE) : 0;
  if (kind < 0) return -1;
  return REAL(write)(fd, data, kind && size > 1 ? size / 2 : size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  const int kind = fault(CALL_WRITE);
  if (kind < 0) return -1;
  return REAL(pwrite)(fd, data, kind && size > 1 ? size / 2 : size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  const int kind = fault(CALL_WRITE);
  if (kind < 0) return -1;
  return REAL(pwrite64)(fd, data, kind && size > 1 ? size / 2 : size, at);
}
int fsync(int fd) { return fault(CALL_SYNC) < 0 ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fault(CALL_SYNC) < 0 ? -1 : REAL(fdatasync)(fd); }
int rename(const char *from, const char *to) {
  return fault(CALL_RENAME) < 0 ? -1 : REAL(rename)(from, to);
}

static int writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY; }
int open(const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
  va_end(args);
  return writes(flags) && fault(CALL_OPEN) < 0 ? -1 : REAL(open)(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
  va_end(args);
  return writes(flags) && fault(CALL_OPEN) < 0 ? -1 : REAL(open64)(path, flags, mode);
}

void *malloc(size_t size) { return fault(CALL_MALLOC) < 0 ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) {
  return fault(CALL_MALLOC) < 0 ? NULL : __libc_calloc(count, size);
}
void *realloc(void *block, size_t size) {
  return fault(CALL_MALLOC) < 0 ? NULL : __libc_realloc(block, size);
}

int clock_gettime(clockid_t clock, struct timespec *out) {
  static atomic_long looks;
  static long jump;
  static int known;
  const int code = REAL(clock_gettime)(clock, out);
  if (!known) {
    const char *seconds = getenv("XT_CLOCK");
    jump = seconds ? strtol(seconds, NULL, 10) : 0;
    known = 1;
  }
  if (jump && atomic_fetch_add(&looks, 1) / 8 % 2) out->tv_sec += jump;
  return code;
}
