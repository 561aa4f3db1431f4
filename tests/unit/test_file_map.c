/* SPDX-License-Identifier: Apache-2.0 */
/* Input files: only regular ones, opened without waiting, of bounded size; mapped ones that shrink;
 * links out of a folder. */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file_map.h"
#include "base/parallel.h"
#include "base/out_folder.h"
#include "files_support.h"
#include "xtransplant/file.h"
#include "xtransplant/model.h"

static Folder folder;
static char path[200], other[200];

static const char *in_folder(const char *name, char *to) {
  return folder_file(&folder, name, to, sizeof path);
}

static int setup(void **state) {
  (void)state;
  folder = folder_make();
  alarm(20); /* whatever waits for ever fails */
  return 0;
}

static int teardown(void **state) {
  (void)state;
  alarm(0);
  out_folder_remove(folder.path);
  return 0;
}

static void refused(const char *file, const char *message) {
  xt_error error;
  FileMap map;
  assert_int_equal(file_read(file, FILE_SMALL, &map, &error), XT_STATUS_INPUT);
  assert_string_equal(error.message, message);
  assert_string_equal(error.file, file);
  assert_int_equal(file_map_open(file, &map, &error), XT_STATUS_INPUT);
  assert_string_equal(error.message, message);
  file_map_close(&map);
}

static void test_not_regular(void **state) {
  (void)state;
  xt_error error;
  xt_model *model;
  assert_int_equal(mkfifo(in_folder("config.json", path), 0600), 0);
  refused(path, "not a regular file");
  refused("/dev/zero", "not a regular file");
  refused(folder.path, "not a regular file");
  assert_int_equal(symlink("config.json", in_folder("link", other)), 0);
  refused(other, "not a regular file");
  assert_int_equal(xt_model_inspect(folder.path, NULL, &model, &error), XT_STATUS_INPUT);
  assert_string_equal(error.message, "not a regular file");
}

static void test_read(void **state) {
  (void)state;
  xt_error error;
  FileMap map;
  folder_text(&folder, "a", "12345");
  in_folder("a", path);
  ASSERT_OK(file_read(path, 5, &map, &error));
  assert_int_equal(map.size, 5);
  assert_memory_equal(map.data, "12345", 5);
  assert_ptr_equal(map.data, map.owned);
  ASSERT_OK(file_map_check(&map, &error));
  file_map_close(&map);
  assert_int_equal(file_read(path, 4, &map, &error), XT_STATUS_INPUT);
  assert_non_null(strstr(error.message, "is too large: more than the 4 bytes"));
  folder_text(&folder, "a", "");
  for (int mapped = 0; mapped < 2; mapped++) {
    ASSERT_OK(mapped ? file_map_open(path, &map, &error) : file_read(path, 4, &map, &error));
    assert_int_equal(map.size, 0);
    assert_non_null(map.data);
    file_map_close(&map);
  }
  ASSERT_OK(file_read("/proc/self/status", 1 << 20, &map, &error)); /* whose size is said to be 0 */
  assert_true(map.size > 100);
  file_map_close(&map);
  assert_int_equal(file_read("/proc/self/status", 100, &map, &error), XT_STATUS_INPUT);
}

static void on_bus_error(int number, siginfo_t *about, void *context) {
  char name[200];
  uint64_t offset;
  (void)number, (void)context;
  _exit(xt_mapped_file(about->si_addr, name, sizeof name, &offset) && strcmp(name, path) == 0 &&
                offset == 20000
            ? 3
            : 4);
}

/* The calling thread leaves the reading to the worker. */
static void read_in_worker(void *context, size_t item, int thread) {
  (void)item;
  if (thread == 0) sleep(1);
  if (thread != 0) _exit(((const volatile uint8_t *)context)[20000]);
}

/* In a process of its own, by the calling thread or by a worker of a pool: how it ends. */
static int end_of_reading(const uint8_t *data, bool in_worker) {
  const pid_t child = fork();
  if (child == 0) {
    const struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    ThreadPool *pool;
    xt_error error;
    sigaction(SIGBUS, &action, NULL);
    if (in_worker && pool_create(2, &pool, &error) == XT_STATUS_OK)
      parallel_for(pool, 30, read_in_worker, (void *)(uintptr_t)data);
    _exit(in_worker ? 5 : ((const volatile uint8_t *)data)[20000]);
  }
  int code;
  assert_int_equal(waitpid(child, &code, 0), child);
  return WIFEXITED(code) ? WEXITSTATUS(code) : 128 + WTERMSIG(code);
}

/* Cut short while it is mapped: the check says so, and a handler is told which file it was. */
static void test_shrinks(void **state) {
  (void)state;
  xt_error error;
  FileMap map;
  char name[8];
  uint64_t offset;
  static uint8_t bytes[40000];
  folder_write(&folder, "w", bytes, sizeof bytes);
  ASSERT_OK(file_map_open(in_folder("w", path), &map, &error));
  ASSERT_OK(file_map_check(&map, &error));
  assert_true(xt_mapped_file(map.data + 39999, name, sizeof name, &offset));
  assert_int_equal(offset, 39999);
  assert_memory_equal(name, path, 7);
  assert_int_equal(name[7], 0);
  assert_false(xt_mapped_file(map.data + 40000, name, sizeof name, &offset));
  assert_false(xt_mapped_file(bytes, name, sizeof name, &offset));
  assert_int_equal(truncate(path, 100), 0);
  assert_int_equal(file_map_check(&map, &error), XT_STATUS_IO);
  assert_string_equal(error.message,
                      "the file was cut short while it was in use: it had 40000 bytes");
  assert_int_equal(error.offset, 100);
  assert_int_equal(end_of_reading(map.data, false), 3);
  assert_int_equal(end_of_reading(map.data, true), 3);
  const uint8_t *data = map.data;
  file_map_close(&map);
  assert_false(xt_mapped_file(data, name, sizeof name, &offset));
}

static bool leaves(const char *directory, const char *name) {
  bool out;
  xt_error error;
  ASSERT_OK(file_leaves(directory, name, &out, &error));
  return out;
}

static void test_leaves(void **state) {
  (void)state;
  char model[200];
  assert_int_equal(mkdir(in_folder("m", model), 0700), 0);
  folder_text(&folder, "secret", "x");
  folder_text(&folder, "m/own", "x");
  assert_int_equal(symlink("own", in_folder("m/inner", other)), 0);
  assert_int_equal(symlink("../secret", in_folder("m/outer", other)), 0);
  assert_int_equal(symlink(in_folder("secret", path), in_folder("m/whole", other)), 0);
  assert_false(leaves(model, "own"));
  assert_false(leaves(model, "inner"));
  assert_true(leaves(model, "outer"));
  assert_true(leaves(model, "whole"));
  assert_true(leaves(model, "none"));
  /* the folder itself may be reached by a link */
  assert_int_equal(symlink("m", in_folder("mm", other)), 0);
  assert_false(leaves(other, "own"));
  /* the cache of the Hugging Face hub */
  const char *const made[] = {"models--a--b", "models--a--b/blobs", "models--a--b/snapshots",
                              "models--a--b/snapshots/0f"};
  for (size_t i = 0; i < 4; i++) assert_int_equal(mkdir(in_folder(made[i], other), 0700), 0);
  folder_text(&folder, "models--a--b/blobs/77", "x");
  assert_int_equal(
      symlink("../../blobs/77", in_folder("models--a--b/snapshots/0f/vocab.json", other)), 0);
  assert_int_equal(
      symlink("../../../secret", in_folder("models--a--b/snapshots/0f/merges.txt", other)), 0);
  assert_false(leaves(in_folder("models--a--b/snapshots/0f", other), "vocab.json"));
  assert_true(leaves(other, "merges.txt"));
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
  const struct CMUnitTest tests[] = {TEST(test_not_regular), TEST(test_read), TEST(test_shrinks),
                                     TEST(test_leaves)};
  return cmocka_run_group_tests_name("input files", tests, NULL, NULL);
}
