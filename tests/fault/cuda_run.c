/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of the pretended CUDA, run on the host: their source, as NVRTC is given it, is
 * compiled by a C++ compiler behind cuda_host.inc. Each work-item is a fibre. Those of a work-group
 * run one after the other up to the next barrier, forwards and backwards in turns, so that what an
 * item reads of another's without a barrier between them is not what it should be; a barrier that
 * some of them do not reach stops the program. */
#undef _FORTIFY_SOURCE /* with it longjmp takes no other fibre */
#include "cuda_shim.h"

#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "backend/gpu/gpu.h"

typedef struct Place {
  unsigned x, y, z;
} Place;
Place threadIdx, blockIdx; /* which the kernels read */

/* ---- declarations ---------------------------------------------------------------------------- */

const char *shim_declaration(const char *source, const char *name, unsigned *items) {
  char text[120];
  const bool few = strncmp(name, "few_", 4) == 0, product = strncmp(name, "product_", 8) == 0;
  if (few || product) { /* declared once for all types, by a macro */
    snprintf(text, sizeof text, "#define %s %s\n", few ? "FEW" : "PRODUCT", name);
    source = strstr(source, text);
    name = few ? "FEW" : "PRODUCT";
    *items = few || strstr(text, "_large_") ? 256 : 64;
  }
  snprintf(text, sizeof text, "%s(", name);
  for (const char *at = source; at && (at = strstr(at, text)); at++) {
    const char *open = at - 2;
    if ((at[-1] != ' ' && at[-1] != '\n') || *open != ')') continue;
    while (open > source && *open != '(') open--;
    if (strncmp(open - 6, "KERNEL", 6) != 0 && strncmp(open - 9, "KERNEL_OF", 9) != 0) continue;
    if (!few && !product) *items = (unsigned)strtoul(open + 1, NULL, 10);
    return at + strlen(name);
  }
  return NULL;
}

/* ---- compiling ------------------------------------------------------------------------------- */

/* -ffp-contract=off is what --fmad=false is to NVRTC; a place that is not aligned stops the
 * program. */
static const char command[] =
    "exec $XT_CUDA_COMPILER -x c++ -std=c++17 -O2 -march=native -ffp-contract=off -w "
    "-fsanitize=alignment,bounds,shift -fsanitize-undefined-trap-on-error "
    "-fPIC -shared -fvisibility=hidden -include " XT_CUDA_HOST " -o \"$XT_CUDA_MADE\" -";

#define CALL(name) "CALL_KERNEL(" #name ")\n"
static const char calls[] = GPU_KERNELS(CALL);

bool shim_runs(void) { return getenv("XT_CUDA_COMPILER") != NULL; }

static int memory_file(const void *data, size_t bytes) {
  const int file = memfd_create("kernels", 0);
  CHECK(file >= 0 && write(file, data, bytes) == (ssize_t)bytes, "a file in memory");
  return file;
}

char *shim_compile(const char *source, size_t *bytes) {
  char made[] = "/tmp/cuda_shim_XXXXXX", *image = NULL;
  const size_t length = strlen(source);
  char *whole = malloc(length + sizeof calls);
  CHECK(whole, "the host's memory is full");
  memcpy(whole, source, length);
  memcpy(whole + length, calls, sizeof calls);
  const int text = memory_file(whole, length + sizeof calls - 1), out = mkstemp(made);
  CHECK(out >= 0, "a temporary file");
  free(whole);
  const pid_t child = fork();
  if (child == 0) {
    unsetenv("LD_PRELOAD");
    setenv("XT_CUDA_MADE", made, 1);
    lseek(text, 0, SEEK_SET);
    dup2(text, STDIN_FILENO);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
  }
  int code = -1;
  waitpid(child, &code, 0);
  FILE *in = code == 0 ? fopen(made, "rb") : NULL;
  if (in) {
    fseek(in, 0, SEEK_END);
    *bytes = (size_t)ftell(in);
    rewind(in);
    image = malloc(*bytes);
    CHECK(image && fread(image, 1, *bytes, in) == *bytes, "what was compiled");
    fclose(in);
  }
  close(text), close(out);
  unlink(made);
  return image;
}

void *shim_code_open(const void *image, size_t bytes) {
  char name[40];
  const int file = memory_file(image, bytes);
  snprintf(name, sizeof name, "/proc/self/fd/%d", file);
  void *code = shim_open_real(name);
  CHECK(code, dlerror());
  close(file);
  return code;
}

ShimKernel shim_code_find(void *code, const char *name) {
  char text[120];
  snprintf(text, sizeof text, "call_%s", name);
  void *address = dlsym(code, text);
  ShimKernel kernel = {0};
  /* a kernel is found by its name, too: it is __global__ and extern "C" */
  CHECK(address && dlsym(code, name), name);
  memcpy(&kernel.call, &address, sizeof address);
  address = dlsym(code, "spoil_shared");
  memcpy(&kernel.spoil, &address, sizeof address);
  return kernel;
}

/* ---- running --------------------------------------------------------------------------------- */

enum { ITEMS = 1024, STACK = 64 << 10 };
typedef struct Fibre {
  bool begun;
  ucontext_t start;
  jmp_buf here;
  int line; /* of the barrier that its item waits at; 0: the item is done */
} Fibre;
static Fibre fibres[ITEMS], *running;
static jmp_buf back;
static struct {
  ShimKernel kernel;
  const char *name;
  void **arguments;
} launched;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static void leave(int line) {
  running->line = line;
  if (_setjmp(running->here) == 0) _longjmp(back, 1);
}
void shim_barrier(int line) { leave(line); }

/* One item of a work-group after another. */
static void live(void) {
  for (;;) {
    launched.kernel.call(launched.arguments);
    leave(0);
  }
}

static void go_on(Fibre *f, unsigned item) {
  static char *stacks;
  if (!stacks)
    stacks = mmap(NULL, (size_t)ITEMS * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                  -1, 0);
  CHECK((void *)stacks != MAP_FAILED, "the host's memory is full");
  running = f;
  threadIdx = (Place){item, 0, 0};
  if (_setjmp(back)) return;
  if (f->begun) _longjmp(f->here, 1);
  f->begun = true;
  CHECK(getcontext(&f->start) == 0, "a context");
  f->start.uc_stack.ss_sp = stacks + (size_t)(f - fibres) * STACK;
  f->start.uc_stack.ss_size = STACK;
  makecontext(&f->start, live, 0);
  setcontext(&f->start);
}

static void run_group(unsigned items) {
  unsigned used = 0; /* items that end before their first barrier share a fibre */
  Fibre *of[ITEMS], *spare = NULL;
  for (int line = 1, turn = 0; line; turn++) {
    for (unsigned i = 0; i < items; i++) {
      const unsigned item = turn % 2 ? items - 1 - i : i;
      if (turn == 0) of[item] = spare ? spare : &fibres[used++];
      Fibre *f = of[item];
      go_on(f, item);
      spare = turn == 0 && f->line == 0 ? f : NULL;
      if (i == 0) line = f->line;
      CHECK(f->line == line, "a barrier that a part of the work-group does not reach");
    }
  }
}

/* Not by the handlers of a test program, which go on. */
static void trapped(int signal) {
  wrong(launched.name, signal == SIGILL
                           ? "reads or writes at a place that is not aligned, or beyond "
                             "an array"
                           : "reads or writes where no memory is");
}

void shim_code_run(const ShimKernel *kernel, const char *name, const unsigned groups[3],
                   unsigned items, void **arguments) {
  CHECK(items <= ITEMS, "so many items");
  pthread_mutex_lock(&one_at_a_time);
  launched.kernel = *kernel;
  launched.name = name;
  launched.arguments = arguments;
  signal(SIGILL, trapped), signal(SIGSEGV, trapped);
  kernel->spoil();
  for (unsigned z = 0; z < groups[2]; z++)
    for (unsigned y = 0; y < groups[1]; y++)
      for (unsigned x = 0; x < groups[0]; x++) {
        blockIdx = (Place){x, y, z};
        run_group(items);
      }
  pthread_mutex_unlock(&one_at_a_time);
}
