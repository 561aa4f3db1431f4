/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into the program, is a CUDA driver (and NVRTC) whose memory is the host's, and whose
 * kernels are looked at and, if a compiler is named, run on the host (cuda_run.c). It stops the
 * program with one line where a call is out of order: before cuInit, without a context, with a
 * stream, module, function or pointer that is not there or no longer, beyond an allocation, with a
 * grid that no card takes, or with other arguments than the kernel declares; or where pinned memory
 * changes, or is given back, before a copy from it is waited for: such copies are done as late as
 * may be, which is before a kernel that is run. It cannot show that a real driver agrees. In the environment:
 *   XT_CUDA_FAULT=CALL:N:CODE[:lost]  the N-th call of that name gives CODE; lost: so does every
 *   later one
 *   XT_CUDA_COUNT=FILE                at exit: each call and how often it came, and what was made and not released ("live memory
 * 0")
 *   XT_CUDA_DRIVER=N, XT_CUDA_NVRTC=N, XT_CUDA_CAPABILITY=N  versions (13000, 1300) and kind of card
 *   (90); XT_CUDA_DEVICES=N cards (2)
 *   XT_CUDA_COMPILER=COMMAND          a C++ compiler: kernels are run
 *   XT_CUDA_LACKS=WORD,..             libraries that are not there: libcuda, libnvrtc, libcublasLt; old: libcuda has another library's functions */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/gpu/cublaslt_api.h"
#include "cuda_shim.h"

#define INDEX(result, name, parameters) CALL_##name,
enum { CUDA_CALLS(INDEX) NVRTC_CALLS(INDEX) CUBLASLT_CALLS(INDEX) CALLS };
#define TEXT(result, name, parameters) #name,
static const char *const names[CALLS] = {CUDA_CALLS(TEXT) NVRTC_CALLS(TEXT) CUBLASLT_CALLS(TEXT)};
static _Atomic long counts[CALLS];
static int lost;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

enum { MEMORY, STREAM, MODULE, FUNCTION, PROGRAM, PINNED, EVENT, KINDS };
static const char *const kinds[KINDS] = {"memory",  "stream", "module", "function",
                                         "program", "pinned", "event"};

/* All that was made. A function is not released: it goes with its module. */
typedef struct Thing {
  int kind;
  bool live;
  char *data; /* of memory; of a program: the kernels as the compiler made them */
  size_t bytes;
  char *text;        /* of a program and a module: the source; of a function: its name */
  struct Thing *of;  /* a function's module */
  void *code;        /* a module's */
  ShimKernel kernel; /* a function's */
  long after; /* an event: so many copies were under way, or done, when it was recorded; a function:
                 so often it was run */
} Thing;
enum { THINGS = 8192, DEVICES = 2 };
static Thing things[THINGS];
static int thing_count, contexts[DEVICES];
static bool begun;
static _Thread_local CudaContext current;
static _Atomic long pushed; /* contexts that are some thread's */

void wrong(const char *call, const char *what) {
  fprintf(stderr, "cuda shim: %s: %s\n", call, what);
  fflush(NULL);
  abort();
}

void *dlopen(const char *name, int flags) {
  static const char *const ours[] = {"libcuda.so", "libnvrtc.so", "libcublasLt.so"};
  const char *lacks = getenv("XT_CUDA_LACKS");
  Dl_info own;
  for (size_t i = 0; name && i < sizeof ours / sizeof *ours; i++) {
    char library[16];
    if (!strstr(name, ours[i])) continue;
    snprintf(library, sizeof library, "%.*s", (int)strcspn(ours[i], "."), ours[i]);
    if (lacks && strstr(lacks, library)) return NULL;
    if (lacks && i == 0 && strstr(lacks, "old"))
      name = "libm.so.6";
    else if (name[0] != '/' && dladdr(&things, &own))
      name = own.dli_fname;
    break;
  }
  return ((__typeof__(&dlopen))dlsym(RTLD_NEXT, "dlopen"))(name, flags);
}

void *shim_open_real(const char *name) {
  return ((__typeof__(&dlopen))dlsym(RTLD_NEXT, "dlopen"))(name, RTLD_NOW);
}

__attribute__((destructor)) static void end(void) {
  const char *path = getenv("XT_CUDA_COUNT");
  FILE *out = path ? fopen(path, "w") : NULL;
  long live[KINDS] = {0};
  if (!out) return;
  for (int i = 0; i < CALLS; i++) fprintf(out, "%s %ld\n", names[i], counts[i]);
  for (int i = 0; i < thing_count; i++) {
    live[things[i].kind] += things[i].live;
    if (things[i].kind == FUNCTION && things[i].after)
      fprintf(out, "ran %s %ld\n", things[i].text, things[i].after);
  }
  for (int i = 0; i < KINDS; i++)
    if (i != FUNCTION) fprintf(out, "live %s %ld\n", kinds[i], live[i]);
  fprintf(out, "live descriptions %ld\nlive contexts-of-threads %ld\n", shim_lt_live(), pushed);
  for (int i = 0; i < DEVICES; i++) fprintf(out, "live context-of-%d %d\n", i, contexts[i]);
  fclose(out);
}

static int fault(int call) {
  const char *wanted = getenv("XT_CUDA_FAULT");
  const size_t length = strlen(names[call]);
  char *rest;
  const long number = ++counts[call];
  const bool releases = strstr(names[call], "Free") || strstr(names[call], "Destroy") ||
                        strstr(names[call], "Unload") || strstr(names[call], "Release") ||
                        strstr(names[call], "Pop") ||
                        (call == CALL_cuCtxPushCurrent_v2 && wanted && !strstr(wanted, "Push"));
  if (lost && !releases && call != CALL_cuGetErrorName) return lost;
  if (!wanted || strncmp(wanted, names[call], length) != 0 || wanted[length] != ':' ||
      strtol(wanted + length + 1, &rest, 10) != number)
    return 0;
  const int code = (int)strtol(rest + 1, &rest, 10);
  if (*rest == ':') {
    lost = code;
    shim_copies_lose();
  }
  return code;
}
#define BEGIN(name)                    \
  CHECK(begun, "cuInit comes first");  \
  const int code = fault(CALL_##name); \
  if (code) return code
#define BEGIN_HERE(name)                                                            \
  CHECK(current &&contexts[(size_t)current - 1] > 0, "no context is the thread's"); \
  BEGIN(name)

static Thing *make(int kind, size_t bytes) {
  pthread_mutex_lock(&lock);
  CHECK(thing_count < THINGS, "too many things");
  Thing *t = &things[thing_count++];
  pthread_mutex_unlock(&lock);
  *t = (Thing){.kind = kind, .live = true, .bytes = bytes};
  return t;
}
static Thing *find(void *name, int kind) {
  for (int i = 0; i < thing_count; i++)
    if (&things[i] == name && things[i].kind == kind && things[i].live) return &things[i];
  return NULL;
}
static Thing *thing_at(CudaPointer p, int kind) {
  for (int i = 0; i < thing_count; i++)
    if (things[i].kind == kind && things[i].live && p >= (CudaPointer)(uintptr_t)things[i].data &&
        p < (CudaPointer)(uintptr_t)things[i].data + things[i].bytes)
      return &things[i];
  return NULL;
}
static Thing *memory_at(CudaPointer p) { return thing_at(p, MEMORY); }
static bool within(CudaPointer p, size_t bytes) {
  const Thing *t = memory_at(p);
  return t && p + bytes <= (CudaPointer)(uintptr_t)t->data + t->bytes;
}

bool shim_has_context(void) { return current && contexts[(size_t)current - 1] > 0; }
bool shim_has_stream(CudaStream stream) { return find(stream, STREAM); }
bool shim_is_within(CudaPointer at, size_t bytes) { return within(at, bytes); }
int shim_fault(const char *call) {
  for (int i = 0; i < CALLS; i++)
    if (strcmp(names[i], call) == 0) return fault(i);
  wrong(call, "is no call of the driver");
  return 0;
}

static int setting(const char *name, int otherwise) {
  const char *text = getenv(name);
  return text ? atoi(text) : otherwise;
}

/* ---- devices and contexts -------------------------------------------------------------------- */

CudaResult cuInit(unsigned flags) {
  CHECK(flags == 0, "flags");
  const int code = fault(CALL_cuInit);
  begun = code == 0;
  return code;
}
CudaResult cuDriverGetVersion(int *version) {
  return *version = setting("XT_CUDA_DRIVER", 13000), fault(CALL_cuDriverGetVersion);
}
CudaResult cuDeviceGetCount(int *count) {
  BEGIN(cuDeviceGetCount);
  return *count = setting("XT_CUDA_DEVICES", DEVICES), 0;
}
CudaResult cuDeviceGet(int *device, int index) {
  BEGIN(cuDeviceGet);
  CHECK(index >= 0 && index < DEVICES, "there is no such device");
  return *device = index, 0;
}
CudaResult cuDeviceGetName(char *name, int size, int device) {
  BEGIN(cuDeviceGetName);
  return snprintf(name, (size_t)size, "Pretended card %d", device), 0;
}
CudaResult cuDeviceGetAttribute(int *value, int which, int device) {
  BEGIN(cuDeviceGetAttribute);
  (void)device;
  *value = which == CUDA_MAX_THREADS_PER_BLOCK     ? 1024
           : which == CUDA_SHARED_MEMORY_PER_BLOCK ? 48 << 10
           : which == CUDA_MULTIPROCESSORS         ? 132
           : which == CUDA_CAPABILITY_MAJOR        ? setting("XT_CUDA_CAPABILITY", 90) / 10
           : which == CUDA_CAPABILITY_MINOR        ? setting("XT_CUDA_CAPABILITY", 90) % 10
                                                   : 0;
  return 0;
}
CudaResult cuDeviceTotalMem_v2(size_t *bytes, int device) {
  BEGIN(cuDeviceTotalMem_v2);
  (void)device;
  return *bytes = (size_t)1 << 30, 0;
}
CudaResult cuDevicePrimaryCtxRetain(CudaContext *out, int device) {
  BEGIN(cuDevicePrimaryCtxRetain);
  contexts[device]++;
  return *out = (CudaContext)(size_t)(device + 1), 0;
}
CudaResult cuDevicePrimaryCtxRelease_v2(int device) {
  BEGIN(cuDevicePrimaryCtxRelease_v2);
  CHECK(contexts[device] > 0, "was not retained");
  contexts[device]--;
  return 0;
}
CudaResult cuCtxPushCurrent_v2(CudaContext context) {
  BEGIN(cuCtxPushCurrent_v2);
  CHECK(context && (size_t)context <= DEVICES && contexts[(size_t)context - 1] > 0,
        "no such context");
  CHECK(!current, "a context was left behind by the call before");
  pushed++;
  return current = context, 0;
}
CudaResult cuCtxPopCurrent_v2(CudaContext *context) {
  CHECK(current, "there is no context");
  const int code = fault(CALL_cuCtxPopCurrent_v2);
  pushed--;
  *context = current;
  return current = NULL, code;
}
CudaResult cuGetErrorName(CudaResult code, const char **name) {
  return *name = code == 2     ? "CUDA_ERROR_OUT_OF_MEMORY"
                 : code == 719 ? "CUDA_ERROR_LAUNCH_FAILED"
                               : "CUDA_ERROR_PRETENDED",
         fault(CALL_cuGetErrorName);
}

/* ---- memory ---------------------------------------------------------------------------------- */

CudaResult cuMemHostAlloc(void **out, size_t bytes, unsigned flags) {
  BEGIN_HERE(cuMemHostAlloc);
  CHECK(bytes > 0 && flags == 0, "arguments");
  Thing *t = make(PINNED, bytes);
  t->data = malloc(bytes);
  CHECK(t->data, "the host's memory is full");
  return *out = t->data, 0;
}
CudaResult cuMemFreeHost(void *p) {
  BEGIN_HERE(cuMemFreeHost);
  Thing *t = thing_at((CudaPointer)(uintptr_t)p, PINNED);
  CHECK(t && t->data == p, "no such memory");
  CHECK(!shim_copies_read(t->data, t->bytes), "a copy from it is under way");
  free(t->data);
  t->live = false;
  return 0;
}
CudaResult cuEventCreate(CudaEvent *out, unsigned flags) {
  BEGIN_HERE(cuEventCreate);
  CHECK(flags == CUDA_EVENT_WITHOUT_TIME, "flags");
  return *out = (CudaEvent)(void *)make(EVENT, 0), 0;
}
CudaResult cuEventRecord(CudaEvent event, CudaStream stream) {
  BEGIN_HERE(cuEventRecord);
  Thing *t = find(event, EVENT);
  CHECK(t && find(stream, STREAM), "no such event or stream");
  t->after = shim_copies_begun();
  return 0;
}
CudaResult cuEventSynchronize(CudaEvent event) {
  BEGIN_HERE(cuEventSynchronize);
  const Thing *t = find(event, EVENT);
  CHECK(t, "no such event");
  shim_copies_finish(t->after);
  return 0;
}
CudaResult cuEventDestroy_v2(CudaEvent event) {
  BEGIN_HERE(cuEventDestroy_v2);
  Thing *t = find(event, EVENT);
  CHECK(t, "no such event");
  t->live = false;
  return 0;
}

CudaResult cuMemAlloc_v2(CudaPointer *out, size_t bytes) {
  BEGIN_HERE(cuMemAlloc_v2);
  CHECK(bytes > 0, "of no bytes");
  Thing *t = make(MEMORY, bytes);
  t->data = malloc(bytes);
  CHECK(t->data, "the host's memory is full");
  memset(t->data, 0xa5, bytes); /* a card's memory is not clean */
  return *out = (CudaPointer)(uintptr_t)t->data, 0;
}
CudaResult cuMemFree_v2(CudaPointer p) {
  BEGIN_HERE(cuMemFree_v2);
  Thing *t = memory_at(p);
  CHECK(t && (CudaPointer)(uintptr_t)t->data == p, "no such memory");
  shim_copies_finish(shim_copies_begun());
  free(t->data);
  t->live = false;
  return 0;
}
CudaResult cuMemGetInfo_v2(size_t *left, size_t *all) {
  BEGIN_HERE(cuMemGetInfo_v2);
  *all = *left = (size_t)1 << 30;
  for (int i = 0; i < thing_count; i++)
    if (things[i].kind == MEMORY && things[i].live) *left -= things[i].bytes;
  return 0;
}
CudaResult cuMemsetD8Async(CudaPointer p, unsigned char value, size_t bytes, CudaStream stream) {
  BEGIN_HERE(cuMemsetD8Async);
  CHECK(find(stream, STREAM), "no such stream");
  CHECK(within(p, bytes), "beyond the memory");
  shim_copies_finish(shim_copies_begun());
  memset((void *)(uintptr_t)p, value, bytes);
  return 0;
}
CudaResult cuMemcpyHtoDAsync_v2(CudaPointer to, const void *from, size_t bytes, CudaStream stream) {
  BEGIN_HERE(cuMemcpyHtoDAsync_v2);
  CHECK(find(stream, STREAM), "no such stream");
  CHECK(within(to, bytes), "beyond the memory");
  if (thing_at((CudaPointer)(uintptr_t)from, PINNED)) {
    shim_copy_begin((char *)(uintptr_t)to, from, bytes);
    return 0;
  }
  shim_copies_finish(shim_copies_begun());
  memcpy((void *)(uintptr_t)to, from, bytes);
  return 0;
}
CudaResult cuMemcpyDtoHAsync_v2(void *to, CudaPointer from, size_t bytes, CudaStream stream) {
  BEGIN_HERE(cuMemcpyDtoHAsync_v2);
  CHECK(find(stream, STREAM), "no such stream");
  CHECK(within(from, bytes), "beyond the memory");
  shim_copies_finish(shim_copies_begun());
  memcpy(to, (void *)(uintptr_t)from, bytes);
  return 0;
}

/* ---- streams, modules, launches -------------------------------------------------------------- */

CudaResult cuStreamCreate(CudaStream *out, unsigned flags) {
  BEGIN_HERE(cuStreamCreate);
  CHECK(flags == 1, "is no stream of its own");
  return *out = (CudaStream)(void *)make(STREAM, 0), 0;
}
CudaResult cuStreamSynchronize(CudaStream stream) {
  BEGIN_HERE(cuStreamSynchronize);
  CHECK(find(stream, STREAM), "no such stream");
  shim_copies_finish(shim_copies_begun());
  return 0;
}
CudaResult cuStreamDestroy_v2(CudaStream stream) {
  BEGIN_HERE(cuStreamDestroy_v2);
  Thing *t = find(stream, STREAM);
  CHECK(t, "no such stream");
  t->live = false;
  return 0;
}

/* An image: these words, the source, and behind its end the size of the kernels for the host, and
 * those. */
#define MAGIC "a pretended cubin\n"
CudaResult cuModuleLoadData(CudaModule *out, const void *image) {
  BEGIN_HERE(cuModuleLoadData);
  CHECK(strncmp(image, MAGIC, strlen(MAGIC)) == 0, "is no image that NVRTC made");
  Thing *t = make(MODULE, 0);
  t->text = strdup((const char *)image + strlen(MAGIC));
  const char *end = (const char *)image + strlen(image) + 1;
  memcpy(&t->bytes, end, sizeof t->bytes);
  if (shim_runs()) t->code = shim_code_open(end + sizeof t->bytes, t->bytes);
  return *out = (CudaModule)(void *)t, 0;
}
CudaResult cuModuleUnload(CudaModule module) {
  BEGIN_HERE(cuModuleUnload);
  Thing *t = find(module, MODULE);
  CHECK(t, "no such module");
  if (t->code) dlclose(t->code);
  free(t->text);
  t->live = false;
  return 0;
}

CudaResult cuModuleGetFunction(CudaFunction *out, CudaModule module, const char *name) {
  unsigned items;
  BEGIN_HERE(cuModuleGetFunction);
  Thing *of = find(module, MODULE);
  CHECK(of, "no such module");
  CHECK(shim_declaration(of->text, name, &items), name);
  Thing *t = make(FUNCTION, 0);
  t->text = strdup(name);
  t->of = of;
  if (of->code) t->kernel = shim_code_find(of->code, name);
  return *out = (CudaFunction)(void *)t, 0;
}

CudaResult cuLaunchKernel(CudaFunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                          unsigned by, unsigned bz, unsigned shared, CudaStream stream,
                          void **arguments, void **extra) {
  BEGIN_HERE(cuLaunchKernel);
  Thing *f = find(function, FUNCTION);
  unsigned items;
  CHECK(f && find(f->of, MODULE), "no such function");
  CHECK(find(stream, STREAM), "no such stream");
  CHECK(gx > 0 && gy > 0 && gz > 0 && gx <= 0x7fffffff && gy <= 65535 && gz <= 65535,
        "no card takes such a grid");
  CHECK(!extra && arguments && shared == 0, "arguments");
  const char *at = shim_declaration(f->of->text, f->text, &items);
  CHECK(bx == items && by == 1 && bz == 1, f->text);
  int given = 0;
  for (int depth = 0; *at; at++) {
    depth += *at == '(' ? 1 : *at == ')' ? -1 : 0;
    if (strncmp(at, "GLOBAL", 6) == 0) {
      CudaPointer p;
      CHECK(arguments[given], f->text);
      memcpy(&p, arguments[given++], sizeof p);
      if (p && !memory_at(p)) wrong("cuLaunchKernel: an array that is not there", f->text);
    }
    if (depth == 0) break;
  }
  CHECK(given > 0 && arguments[given], f->text);
  if (f->kernel.call) {
    f->after++;
    shim_copies_finish(shim_copies_begun());
    shim_code_run(&f->kernel, f->text, (const unsigned[]){gx, gy, gz}, items, arguments);
  }
  return 0;
}

/* ---- NVRTC ----------------------------------------------------------------------------------- */

int nvrtcVersion(int *major, int *minor) {
  const int version = setting("XT_CUDA_NVRTC", 1300);
  return *major = version / 100, *minor = version % 100, fault(CALL_nvrtcVersion);
}
int nvrtcCreateProgram(NvrtcProgram *out, const char *source, const char *name, int headers,
                       const char *const *texts, const char *const *includes) {
  const int code = fault(CALL_nvrtcCreateProgram);
  (void)name, (void)texts, (void)includes;
  if (code) return code;
  CHECK(source && headers == 0, "arguments");
  Thing *t = make(PROGRAM, 0);
  t->text = strdup(source);
  return *out = (NvrtcProgram)(void *)t, 0;
}
int nvrtcCompileProgram(NvrtcProgram program, int count, const char *const *flags) {
  char card[40];
  snprintf(card, sizeof card, "--gpu-architecture=sm_%d", setting("XT_CUDA_CAPABILITY", 90));
  const char *const needed[] = {"--fmad=false", "--ftz=false", "--prec-div=true",
                                "--prec-sqrt=true", card};
  Thing *t = find(program, PROGRAM);
  CHECK(t, "no such program");
  for (size_t n = 0; n < sizeof needed / sizeof *needed; n++) {
    bool there = false;
    for (int i = 0; i < count; i++) there = there || strcmp(flags[i], needed[n]) == 0;
    CHECK(there, needed[n]);
  }
  const int code = fault(CALL_nvrtcCompileProgram);
  if (code || !shim_runs()) return code;
  t->data = shim_compile(t->text, &t->bytes);
  return t->data ? 0 : 6;
}
int nvrtcGetCUBINSize(NvrtcProgram program, size_t *size) {
  const Thing *t = find(program, PROGRAM);
  CHECK(t, "no such program");
  return *size = strlen(MAGIC) + strlen(t->text) + 1 + sizeof t->bytes + t->bytes,
         fault(CALL_nvrtcGetCUBINSize);
}
int nvrtcGetCUBIN(NvrtcProgram program, char *image) {
  const Thing *t = find(program, PROGRAM);
  CHECK(t, "no such program");
  image += sprintf(image, "%s%s", MAGIC, t->text) + 1;
  memcpy(image, &t->bytes, sizeof t->bytes);
  if (t->bytes) memcpy(image + sizeof t->bytes, t->data, t->bytes);
  return fault(CALL_nvrtcGetCUBIN);
}
int nvrtcGetProgramLogSize(NvrtcProgram program, size_t *size) {
  CHECK(find(program, PROGRAM), "no such program");
  return *size = 17, fault(CALL_nvrtcGetProgramLogSize);
}
int nvrtcGetProgramLog(NvrtcProgram program, char *log) {
  CHECK(find(program, PROGRAM), "no such program");
  memcpy(log, "error: pretended", 17);
  return fault(CALL_nvrtcGetProgramLog);
}
int nvrtcDestroyProgram(NvrtcProgram *program) {
  Thing *t = find(*program, PROGRAM);
  CHECK(t, "no such program");
  free(t->text), free(t->data);
  t->live = false;
  return fault(CALL_nvrtcDestroyProgram);
}
