/* Fails every call that writes below a folder, from the n-th one on, with an error of the system.
   Stands before the C library by LD_PRELOAD: see faults.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[PATH_MAX];
static long seen, from;
static int error;

void fault_arm(const char *folder, long n, int number) {
  strncpy(root, folder, sizeof root - 1); seen = 0; from = n; error = number;
}
long fault_seen(void) { return seen; }

static int fails(const char *path) {
  if (!root[0] || strncmp(path, root, strlen(root))) return 0;
  seen++;
  if (!from || seen < from) return 0;
  errno = error;
  return 1;
}
static int fd_fails(int fd) {
  char link[64], path[PATH_MAX]; int kept = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  errno = kept;
  if (n < 0) return 0;
  path[n] = 0;
  return fails(path);
}
static int at_fails(int dir, const char *path) {
  char link[64], whole[2 * PATH_MAX];
  if (path[0] == '/') return fails(path);
  if (dir == AT_FDCWD) { if (!getcwd(whole, PATH_MAX)) return 0; }
  else { snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
         ssize_t n = readlink(link, whole, PATH_MAX - 1); if (n < 0) return 0; whole[n] = 0; }
  strcat(whole, "/"); strncat(whole, path, PATH_MAX - 1);
  return fails(whole);
}
#define REAL(name) static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)
ssize_t write(int fd, const void *b, size_t n) { REAL(write); return fd_fails(fd) ? -1 : real(fd, b, n); }
ssize_t writev(int fd, const struct iovec *v, int n) { REAL(writev); return fd_fails(fd) ? -1 : real(fd, v, n); }
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o) { REAL(pwrite64); return fd_fails(fd) ? -1 : real(fd, b, n, o); }
ssize_t sendfile64(int out, int in, off64_t *o, size_t n);
ssize_t sendfile64(int out, int in, off64_t *o, size_t n) { REAL(sendfile64); return fd_fails(out) ? -1 : real(out, in, o, n); }
ssize_t copy_file_range(int in, off64_t *i, int out, off64_t *o, size_t n, unsigned f) { REAL(copy_file_range); return fd_fails(out) ? -1 : real(in, i, out, o, n, f); }
int fsync(int fd) { REAL(fsync); return fd_fails(fd) ? -1 : real(fd); }
int ftruncate64(int fd, off64_t n) { REAL(ftruncate64); return fd_fails(fd) ? -1 : real(fd, n); }
int mkdir(const char *p, mode_t m) { REAL(mkdir); return at_fails(AT_FDCWD, p) ? -1 : real(p, m); }
int rename(const char *a, const char *b) { REAL(rename); return at_fails(AT_FDCWD, b) ? -1 : real(a, b); }
int link(const char *a, const char *b) { REAL(link); return at_fails(AT_FDCWD, b) ? -1 : real(a, b); }
#define OPEN(name, given, dir) \
  va_list rest; va_start(rest, flags); mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
  va_end(rest); REAL(name); \
  if ((flags & O_CREAT) && at_fails(dir, path)) return -1; return real given
int open(const char *path, int flags, ...) { OPEN(open, (path, flags, mode), AT_FDCWD); }
int open64(const char *path, int flags, ...) { OPEN(open64, (path, flags, mode), AT_FDCWD); }
int openat(int dir, const char *path, int flags, ...) { OPEN(openat, (dir, path, flags, mode), dir); }
int openat64(int dir, const char *path, int flags, ...) { OPEN(openat64, (dir, path, flags, mode), dir); }
