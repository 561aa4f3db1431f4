/* SPDX-License-Identifier: Apache-2.0 */
/* Output files and folders: whole or not at all, links kept, devices and FIFOs written into,
 * nothing left over. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/out_file.h"
#include "base/out_folder.h"
#include "files_support.h"
#include "xtransplant/file.h"

static Folder folder;
static char path[200], other[200];

static const char *in_folder(const char *name, char *to) {
  return folder_file(&folder, name, to, sizeof path);
}

static int setup(void **state) {
  (void)state;
  folder = folder_make();
  return 0;
}

static int teardown(void **state) {
  (void)state;
  out_folder_remove(folder.path);
  return 0;
}

static void holds(const char *file, const char *text) {
  size_t size;
  uint8_t *bytes = read_whole(file, &size);
  assert_int_equal(size, strlen(text));
  assert_memory_equal(bytes, text, size);
  free(bytes);
}

static int entries(void) {
  int count = -2; /* . and .. */
  DIR *list = opendir(folder.path);
  while (readdir(list)) count++;
  closedir(list);
  return count;
}

static mode_t mode_of(const char *file) {
  struct stat about;
  assert_int_equal(lstat(file, &about), 0);
  return about.st_mode;
}

static void test_new_and_replaced(void **state) {
  (void)state;
  xt_error error;
  const mode_t mask = umask(027);
  in_folder("a", path);
  ASSERT_OK(xt_file_write(path, "first", 5, &error));
  holds(path, "first");
  assert_int_equal(mode_of(path) & 0777, 0640);
  ASSERT_OK(xt_file_write(path, "second one", 10, &error));
  holds(path, "second one");
  ASSERT_OK(xt_file_write(path, "", 0, &error));
  holds(path, "");
  umask(mask);
  assert_int_equal(entries(), 1);
}

/* Until it is committed, the old file is there; discarded, nothing of the new one is. */
static void test_discarded(void **state) {
  (void)state;
  xt_error error;
  OutFile file;
  folder_text(&folder, "a", "old");
  ASSERT_OK(out_file_open(in_folder("a", path), &file, &error));
  ASSERT_OK(out_file_write(&file, "new", 3, &error));
  assert_int_equal(entries(), 2);
  holds(path, "old");
  out_file_discard(&file);
  out_file_discard(&file); /* twice is harmless */
  holds(path, "old");
  assert_int_equal(entries(), 1);
}

/* A name that a process of the same number would once have used is not followed. */
static void test_planted_link(void **state) {
  (void)state;
  xt_error error;
  char planted[260];
  folder_text(&folder, "victim", "precious");
  in_folder("a", path);
  snprintf(planted, sizeof planted, "%s.%ld.partial", path, (long)getpid());
  assert_int_equal(symlink(in_folder("victim", other), planted), 0);
  ASSERT_OK(xt_file_write(path, "x", 1, &error));
  holds(other, "precious");
  holds(path, "x");
}

/* Two files of one name at once have different temporary names, which nobody can foretell. */
/* A new file is nobody else's, and no link to one, even where the name was foretold. */
static void test_created_alone(void **state) {
  (void)state;
  folder_text(&folder, "victim", "kept");
  assert_int_equal(symlink("victim", in_folder("planted", path)), 0);
  assert_int_equal(out_create(path), -1);
  assert_int_equal(errno, EEXIST);
  assert_int_equal(symlink("nothing", in_folder("dangling", path)), 0);
  assert_int_equal(out_create(path), -1);
  assert_int_equal(out_create(in_folder("victim", path)), -1);
  holds(path, "kept");
  assert_int_equal(entries(), 3);
}

static void test_temporary_names(void **state) {
  (void)state;
  xt_error error;
  OutFile one, two;
  in_folder("a", path);
  ASSERT_OK(out_file_open(path, &one, &error));
  ASSERT_OK(out_file_open(path, &two, &error));
  assert_string_not_equal(one.name.temporary, two.name.temporary);
  assert_true(fcntl(one.out.fd, F_GETFD) & FD_CLOEXEC);
  assert_true(out_name_is_temporary(strrchr(one.name.temporary, '/') + 1, "a"));
  assert_false(out_name_is_temporary("a.partial", "a"));
  assert_false(out_name_is_temporary("ab.0123456789abcdef.partial", "a"));
  assert_false(out_name_is_temporary("a.0123456789abcdef.partial2", "a"));
  assert_false(out_name_is_temporary("a.0123456789abcde.partial", "a"));
  ASSERT_OK(out_file_commit(&one, &error));
  ASSERT_OK(out_file_commit(&two, &error));
  assert_int_equal(entries(), 1);
}

static void test_links_stay(void **state) {
  (void)state;
  xt_error error;
  char inner[200], link[200];
  assert_int_equal(mkdir(in_folder("d", inner), 0777), 0);
  folder_text(&folder, "d/real", "old");
  assert_int_equal(symlink("d/real", in_folder("one", path)), 0);
  assert_int_equal(symlink("one", in_folder("two", link)), 0);
  ASSERT_OK(xt_file_write(link, "new", 3, &error));
  assert_true(S_ISLNK(mode_of(path)) && S_ISLNK(mode_of(link)));
  holds(in_folder("d/real", other), "new");
  assert_int_equal(symlink("d/later", in_folder("three", link)), 0); /* to what is not there yet */
  ASSERT_OK(xt_file_write(link, "late", 4, &error));
  assert_true(S_ISLNK(mode_of(link)));
  holds(in_folder("d/later", other), "late");
  assert_int_equal(symlink("loop", in_folder("loop", link)), 0);
  assert_int_equal(xt_file_write(link, "x", 1, &error), XT_STATUS_IO);
  assert_non_null(strstr(error.message, strerror(ELOOP)));
}

typedef struct Reading {
  const char *path;
  char text[64];
  ssize_t size;
} Reading;

static void *read_fifo(void *argument) {
  Reading *r = argument;
  const int fd = open(r->path, O_RDONLY);
  r->size = 0;
  for (ssize_t got;
       fd >= 0 && (got = read(fd, r->text + r->size, sizeof r->text - (size_t)r->size)) > 0;)
    r->size += got;
  close(fd);
  return NULL;
}

static void test_fifo(void **state) {
  (void)state;
  xt_error error;
  pthread_t thread;
  char link[200];
  assert_int_equal(mkfifo(in_folder("f", path), 0600), 0);
  assert_int_equal(symlink("f", in_folder("l", link)), 0);
  for (int i = 0; i < 2; i++) {
    Reading reading = {.path = path};
    assert_int_equal(pthread_create(&thread, NULL, read_fifo, &reading), 0);
    ASSERT_OK(xt_file_write(i ? link : path, "through", 7, &error));
    pthread_join(thread, NULL);
    assert_int_equal(reading.size, 7);
    assert_memory_equal(reading.text, "through", 7);
    assert_true(S_ISFIFO(mode_of(path)) && S_ISLNK(mode_of(link)));
  }
  assert_int_equal(entries(), 2);
}

/* A device of our own that swallows bytes, and one that is always full. */
static void test_devices(void **state) {
  (void)state;
  xt_error error;
  if (mknod(in_folder("null", path), S_IFCHR | 0600, makedev(1, 3)) != 0) skip(); /* needs root */
  const int probe = open(path, O_WRONLY);
  if (probe < 0) skip(); /* a file system without devices */
  close(probe);
  ASSERT_OK(xt_file_write(path, "gone", 4, &error));
  assert_true(S_ISCHR(mode_of(path)));
  assert_int_equal(mknod(in_folder("full", path), S_IFCHR | 0600, makedev(1, 7)), 0);
  assert_int_equal(xt_file_write(path, "gone", 4, &error), XT_STATUS_IO);
  assert_non_null(strstr(error.message, strerror(ENOSPC)));
  assert_true(S_ISCHR(mode_of(path)));
  assert_int_equal(entries(), 2);
}

/* /dev/stdout that is a file which somebody appends to: what is there stays. */
static void test_own_descriptor(void **state) {
  (void)state;
  xt_error error;
  char name[64], link[200];
  folder_text(&folder, "log", "before\n");
  const int fd = open(in_folder("log", path), O_WRONLY | O_APPEND);
  assert_true(fd >= 0);
  snprintf(name, sizeof name, "/dev/fd/%d", fd);
  ASSERT_OK(xt_file_write(name, "one\n", 4, &error));
  assert_int_equal(symlink(name, in_folder("l", link)), 0);
  ASSERT_OK(xt_file_write(link, "two\n", 4, &error));
  close(fd);
  holds(path, "before\none\ntwo\n");
  assert_int_equal(entries(), 2);
}

static void test_what_fails(void **state) {
  (void)state;
  xt_error error;
  assert_int_equal(xt_file_write(folder.path, "x", 1, &error), XT_STATUS_IO);
  assert_non_null(strstr(error.message, strerror(EISDIR)));
  assert_int_equal(xt_file_write(in_folder("no/such", path), "x", 1, &error), XT_STATUS_IO);
  assert_non_null(strstr(error.message, strerror(ENOENT)));
  assert_string_equal(error.file, path);
  assert_int_equal(entries(), 0);
}

/* As long a name as the file system takes, in letters of several bytes. */
static void test_long_name(void **state) {
  (void)state;
  xt_error error;
  char name[256] = "", whole[400];
  for (int i = 0; i < 85; i++) strcat(name, "\xE2\x82\xAC");
  snprintf(whole, sizeof whole, "%s/%s", folder.path, name);
  ASSERT_OK(xt_file_write(whole, "x", 1, &error));
  holds(whole, "x");
  assert_int_equal(entries(), 1);
}

static void put_in(OutFolder *out, const char *name) {
  xt_error error;
  FILE *stream;
  ASSERT_OK(out_folder_file(out, name, &stream, &error));
  fputs("text", stream);
  ASSERT_OK(out_folder_close(out, stream, &error));
}

static void test_folders(void **state) {
  (void)state;
  xt_error error;
  OutFolder out;
  char link[200];
  in_folder("o/", path);
  ASSERT_OK(out_folder_open(path, &out, &error));
  put_in(&out, "a/b");
  assert_int_equal(entries(), 1);
  out_folder_discard(&out);
  assert_int_equal(entries(), 0);
  assert_int_equal(mkdir(in_folder("there", other), 0777), 0);
  assert_int_equal(symlink("there", in_folder("l", link)), 0);
  ASSERT_OK(out_folder_open(link, &out, &error));
  put_in(&out, "a/b");
  put_in(&out, "c");
  ASSERT_OK(out_folder_commit(&out, &error));
  assert_true(S_ISLNK(mode_of(link)));
  holds(in_folder("there/a/b", other), "text");
  holds(in_folder("there/c", other), "text");
  assert_int_equal(entries(), 2);
  assert_int_equal(out_folder_open(link, &out, &error), XT_STATUS_IO);
  assert_non_null(strstr(error.message, "not an empty folder"));
}

static void test_lock(void **state) {
  (void)state;
  xt_error error;
  int first, second;
  ASSERT_OK(out_folder_lock(folder.path, &first, &error));
  assert_int_equal(out_folder_lock(folder.path, &second, &error), XT_STATUS_IO);
  assert_int_equal(second, -1);
  close(first);
  ASSERT_OK(out_folder_lock(folder.path, &second, &error));
  close(second);
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
  const struct CMUnitTest tests[] = {TEST(test_new_and_replaced),
                                     TEST(test_discarded),
                                     TEST(test_planted_link),
                                     TEST(test_created_alone),
                                     TEST(test_temporary_names),
                                     TEST(test_links_stay),
                                     TEST(test_fifo),
                                     TEST(test_devices),
                                     TEST(test_own_descriptor),
                                     TEST(test_what_fails),
                                     TEST(test_long_name),
                                     TEST(test_folders),
                                     TEST(test_lock)};
  return cmocka_run_group_tests_name("output files", tests, NULL, NULL);
}
