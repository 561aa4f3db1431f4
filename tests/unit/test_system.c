/* SPDX-License-Identifier: Apache-2.0 */
/* Memory and processors that a process may use, read from made-up /proc and /sys folders. */
#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

#include "base/system.h"

static char root[64];

static int remove_one(const char *path, const struct stat *info, int flag, struct FTW *ftw) {
  (void)info, (void)flag, (void)ftw;
  return remove(path);
}

static int setup(void **state) {
  (void)state;
  strcpy(root, "/tmp/xt-test-XXXXXX");
  return mkdtemp(root) ? 0 : -1;
}
static int teardown(void **state) {
  (void)state;
  return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Writes a file below the root, with the folders above it. */
static void put(const char *path, const char *text) {
  char full[512];
  snprintf(full, sizeof full, "%s%s", root, path);
  for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
    *slash = 0;
    assert_true(mkdir(full, 0777) == 0 || errno == EEXIST);
  }
  FILE *file = fopen(full, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static const char meminfo[] = "MemTotal:       32000000 kB\nMemAvailable:   20000000 kB\n";
#define AVAILABLE (UINT64_C(20000000) * 1024)

static void test_nothing(void **state) {
  (void)state;
  assert_true(system_available_memory_at(root) == UINT64_MAX);
  assert_true(system_cpu_quota_at(root) == UINT64_MAX);
  put("/proc/meminfo", meminfo);
  assert_true(system_available_memory_at(root) == AVAILABLE);
}

static void test_version_2(void **state) {
  (void)state;
  put("/proc/meminfo", meminfo);
  put("/proc/self/cgroup", "0::/slurm/job_7/step_0\n");
  put("/proc/self/mountinfo", "23 1 0:21 / /proc rw - proc proc rw\n30 23 0:26 / /sys/fs/cgroup "
                              "rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
  put("/sys/fs/cgroup/slurm/job_7/step_0/memory.max", "max\n");
  put("/sys/fs/cgroup/slurm/job_7/step_0/memory.current", "3000\n");
  put("/sys/fs/cgroup/slurm/job_7/step_0/cpu.max", "max 100000\n");
  assert_true(system_available_memory_at(root) == AVAILABLE); /* no limit at all */
  assert_true(system_cpu_quota_at(root) == UINT64_MAX);
  /* the job's limit, above the step's group */
  put("/sys/fs/cgroup/slurm/job_7/memory.max", "8000000\n");
  put("/sys/fs/cgroup/slurm/job_7/memory.current", "3000000\n");
  assert_int_equal(system_available_memory_at(root), 5000000);
  /* can be dropped */
  put("/sys/fs/cgroup/slurm/job_7/memory.stat",
      "anon 500\nfile 9\ninactive_file 1000000\nactive_file 7\n");
  assert_int_equal(system_available_memory_at(root), 6000000);
  put("/sys/fs/cgroup/slurm/job_7/step_0/memory.high", "4000\n"); /* the step's own, less */
  assert_int_equal(system_available_memory_at(root), 1000);
  put("/sys/fs/cgroup/slurm/job_7/step_0/memory.high", "2000\n"); /* more in use than that */
  assert_int_equal(system_available_memory_at(root), 0);
  put("/sys/fs/cgroup/slurm/cpu.max", "350000 100000\n");
  assert_int_equal(system_cpu_quota_at(root), 3500);
  put("/sys/fs/cgroup/slurm/job_7/cpu.max", "50000 100000\n");
  assert_int_equal(system_cpu_quota_at(root), 500);
}

static void test_version_1(void **state) {
  (void)state;
  put("/proc/meminfo", meminfo);
  put("/proc/self/cgroup",
      "9:name=systemd:/x\n4:cpu,cpuacct:/job:3\n3:memory:/batch/job:3\n2:cpuset:/\n0::/\n");
  put("/proc/self/mountinfo",
      "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n35 31 0:32 / "
      "/sys/fs/cgroup/my\\040memory rw - cgroup cgroup rw,memory\n"
      "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  /* as much as none */
  put("/sys/fs/cgroup/my memory/memory.limit_in_bytes", "9223372036854771712\n");
  put("/sys/fs/cgroup/my memory/memory.usage_in_bytes", "70000000\n");
  put("/sys/fs/cgroup/my memory/batch/job:3/memory.limit_in_bytes", "5000000\n");
  put("/sys/fs/cgroup/my memory/batch/job:3/memory.usage_in_bytes", "2000000\n");
  put("/sys/fs/cgroup/my memory/batch/job:3/memory.stat",
      "inactive_file 1\ntotal_inactive_file 500000\n");
  assert_int_equal(system_available_memory_at(root), 3500000);
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  assert_true(system_cpu_quota_at(root) == UINT64_MAX);
  put("/sys/fs/cgroup/cpu,cpuacct/job:3/cpu.cfs_quota_us", "150000\n");
  put("/sys/fs/cgroup/cpu,cpuacct/job:3/cpu.cfs_period_us", "100000\n");
  assert_int_equal(system_cpu_quota_at(root), 1500);
}

/* A container sees its own group as the top: named in full (Docker, version 1), or outside of what
 * it sees. */
static void test_containers(void **state) {
  (void)state;
  static const char *const groups[] = {"4:memory:/docker/abc\n", "4:memory:/docker/abc/inner\n",
                                       "4:memory:/../../elsewhere\n", "4:memory:/docker/abcdef\n"};
  put("/proc/self/mountinfo",
      "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "4096000\n");
  put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "96000\n");
  for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
    put("/proc/self/cgroup", groups[i]);
    assert_int_equal(system_available_memory_at(root), 4000000);
  }
}

static void test_broken_files(void **state) {
  (void)state;
  static const char *const texts[] = {
      "", "\n", ":", "0::", "0::/\0", "4:memory", "\xff\xfe:::", "4:memory:/a\n0::/b"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
      put("/proc/self/cgroup", texts[i]);
      put("/proc/self/mountinfo",
          k ? texts[k] : "35 31 0:32 / /sys/fs/cgroup rw - cgroup2 cgroup2\n");
      assert_true(system_available_memory_at(root) == UINT64_MAX);
      assert_true(system_cpu_quota_at(root) == UINT64_MAX);
    }
  put("/proc/self/cgroup", "0::/\n");
  put("/proc/self/mountinfo", "35 31 0:32 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  put("/sys/fs/cgroup/cpu.max", "100000 0\n");
  put("/sys/fs/cgroup/memory.max", "words\n");
  assert_true(system_cpu_quota_at(root) == UINT64_MAX);
  assert_true(system_available_memory_at(root) == UINT64_MAX);
}

static void test_this_machine(void **state) {
  (void)state;
  assert_true(system_processors() >= 1);
  assert_true(system_available_memory() > 1 << 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
      cmocka_unit_test_setup_teardown(test_version_2, setup, teardown),
      cmocka_unit_test_setup_teardown(test_version_1, setup, teardown),
      cmocka_unit_test_setup_teardown(test_containers, setup, teardown),
      cmocka_unit_test_setup_teardown(test_broken_files, setup, teardown),
      cmocka_unit_test(test_this_machine),
  };
  return cmocka_run_group_tests_name("system", tests, NULL, NULL);
}
