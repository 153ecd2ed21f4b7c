/* Files out: whole or not at all, whatever stands at the path; what a kill left; and files in: regular ones alone. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "formats/file.h"
#include "scratch.h"

static int exists(const char *name) { return access(at(name), F_OK) == 0; }

static void holds(const char *name, const char *text) {
  char *got;
  size_t n;
  must(pc_file_read(&got, &n, at(name), 0));
  ck_assert_str_eq(got, text);
  pc_free(got);
}

static int leftovers(void) {
  char command[700];
  snprintf(command, sizeof command, "test -z \"$(ls -A '%s' | grep -F .tmp-)\"", dir);
  return system(command) != 0;
}

START_TEST(test_replaces) {
  struct stat st;
  must(pc_file_save(at("a"), "one", 3));
  ck_assert_int_eq(chmod(at("a"), 0640), 0);
  must(pc_file_save(at("a"), "two", 3));
  holds("a", "two");
  ck_assert_int_eq(stat(at("a"), &st), 0);
  ck_assert_int_eq(st.st_mode & 07777, 0640); /* permissions stay */
  ck_assert(!leftovers());
}
END_TEST

/* A link is followed to its end: one there is, one there isn't, a chain of relative ones, a circle. */
START_TEST(test_links) {
  struct stat st;
  ck_assert_int_eq(mkdir(at("sub"), 0777), 0);
  put("sub/target", "old");
  ck_assert_int_eq(symlink("sub/target", at("link")), 0);
  ck_assert_int_eq(symlink("link", at("chain")), 0);
  ck_assert_int_eq(symlink(at("sub/new"), at("dangling")), 0);
  ck_assert_int_eq(symlink("circle2", at("circle1")), 0);
  ck_assert_int_eq(symlink("circle1", at("circle2")), 0);
  must(pc_file_save(at("chain"), "new", 3));
  holds("sub/target", "new");
  must(pc_file_save(at("dangling"), "made", 4));
  holds("sub/new", "made");
  for (int i = 0; i < 3; i++) {
    ck_assert_int_eq(lstat(at((const char *[]){"link", "chain", "dangling"}[i]), &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
  }
  must_fail(pc_file_save(at("circle1"), "x", 1), PC_EIO, "cannot be written");
}
END_TEST

START_TEST(test_not_replaced) {
  struct stat st;
  char got[16] = "";
  ck_assert_int_eq(mkdir(at("folder"), 0777), 0);
  must_fail(pc_file_save(at("folder"), "x", 1), PC_EIO, "it is a folder");
  must_fail(pc_file_save(at("no/such"), "x", 1), PC_EIO, "cannot be written");
  must_fail(pc_file_save("/dev/full", "x", 1), PC_EIO, "No space left");
  must(pc_file_save("/dev/null", "x", 1));
  ck_assert_int_eq(stat("/dev/null", &st), 0);
  ck_assert(S_ISCHR(st.st_mode));
  ck_assert_int_eq(symlink("/dev/full", at("full")), 0);
  must_fail(pc_file_save(at("full"), "x", 1), PC_EIO, "No space left");
  ck_assert_int_eq(mkfifo(at("fifo"), 0666), 0);
  int fd = open(at("fifo"), O_RDONLY | O_NONBLOCK);
  must(pc_file_save(at("fifo"), "through", 7));
  ck_assert_int_eq(read(fd, got, sizeof got), 7);
  ck_assert_str_eq(got, "through");
  close(fd);
  ck_assert_int_eq(stat(at("fifo"), &st), 0);
  ck_assert(S_ISFIFO(st.st_mode));
  ck_assert(!leftovers());
}
END_TEST

/* A disk that is full after n bytes, for several n: the old file stays, nothing else is left. */
START_TEST(test_full_disk) {
  static char text[300000];
  memset(text, 'x', sizeof text);
  put("a", "old");
  for (size_t room = 0; room < sizeof text; room += 70000) {
    pid_t child = fork();
    if (!child) {
      struct rlimit r = {room, room};
      signal(SIGXFSZ, SIG_IGN);
      setrlimit(RLIMIT_FSIZE, &r);
      _exit(pc_file_save(at("a"), text, sizeof text) == PC_EIO && strstr(pc_error_text(), "writing failed") ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    holds("a", "old");
    ck_assert(!leftovers());
  }
}
END_TEST

/* What a process that was killed left goes with the next write into the folder; what lives, or only looks so, stays. */
START_TEST(test_leftovers) {
  pid_t child = fork();
  if (!child) {
    pc_file_writer w;
    if (pc_file_begin(&w, at("dead")) == PC_OK) raise(SIGKILL);
    _exit(1);
  }
  int status;
  char name[64], locked[64];
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  ck_assert(leftovers());
  snprintf(name, sizeof name, "alive.tmp-%ld-0", (long)getppid());
  snprintf(locked, sizeof locked, "locked.tmp-%ld-0", (long)child); /* its process is on another machine */
  put(name, "");
  put(locked, "");
  put("notes.tmp-12a-0", "");
  put("notes.tmp-", "");
  int fd = open(at(locked), O_RDONLY);
  ck_assert_int_eq(flock(fd, LOCK_EX), 0);
  must(pc_file_save(at("a"), "x", 1));
  char dead[64];
  snprintf(dead, sizeof dead, "dead.tmp-%ld-0", (long)child);
  ck_assert(!exists(dead));
  ck_assert(exists(name) && exists(locked) && exists("notes.tmp-12a-0") && exists("notes.tmp-"));
  close(fd);
}
END_TEST

/* Nothing waits for a FIFO, reads a device, or takes a folder for a file. */
START_TEST(test_reads_regular_files_alone) {
  char *text;
  size_t n;
  ck_assert_int_eq(mkfifo(at("fifo"), 0666), 0);
  ck_assert_int_eq(symlink("fifo", at("link")), 0);
  alarm(20);
  must_fail(pc_file_read(&text, &n, at("fifo"), 0), PC_EIO, "it is a FIFO");
  must_fail(pc_file_read(&text, &n, at("link"), 0), PC_EIO, "it is a FIFO");
  must_fail(pc_file_read(&text, &n, "/dev/zero", 0), PC_EIO, "it is a device");
  must_fail(pc_file_read(&text, &n, dir, 0), PC_EIO, "it is a folder");
  must_fail(pc_file_read(&text, &n, at("none"), 0), PC_ENOTFOUND, "No such file");
  alarm(0);
  put("big", "0123456789");
  must_fail(pc_file_read(&text, &n, at("big"), 9), PC_EFORMAT, "10 bytes are more than");
}
END_TEST

static void add(TCase *c) {
  tcase_add_test(c, test_replaces);
  tcase_add_test(c, test_links);
  tcase_add_test(c, test_not_replaced);
  tcase_add_test(c, test_full_disk);
  tcase_add_test(c, test_leftovers);
  tcase_add_test(c, test_reads_regular_files_alone);
}

int main(void) { return run_in_scratch("file", add); }
