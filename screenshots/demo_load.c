// A web shop on one machine, and a backup that gets in its way: what the demo recording shows.
//
//     demo_load FOLDER CGROUP SECONDS
//
// loadgen -> nginx (epoll, v4 and v6) -> app (threads that share a lock) -> redis and postgres (a
// process per connection, direct reads, a log that is flushed by each commit). These are stand-ins
// with the names and the habits of the real programs, and they do wait for each other: when the
// disk is busy a commit takes longer, the lock is held longer, and fewer requests are answered.
// An etl job reads cold and warm, and looks for files that are not there. After 100 s comes the
// backup, for 30 s; before and after it gzip wants the CPUs. Compiled with frame pointers;
// calls that wait are made without the C library, which keeps none. Used by demo_load.py.
// SPDX-License-Identifier: Apache-2.0
#include "demo_load.h"
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#define CLIENTS 6

static const char *cgroups;
static char *title, *title_end;
static long draws_per_us;
static __thread uint64_t state;  // of the random numbers
int64_t began_ms;

uint64_t draw(uint64_t below) {  // xorshift64
  if (!state) state = 0x9e3779b97f4a7c15ull * (syscall(SYS_gettid) + 1);
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state % below;
}

void pause_us(long us) {
  struct timespec t = {us / 1000000, us % 1000000 * 1000};
  call(SYS_nanosleep, (long)&t, 0, 0, 0);
}

int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / NS_PER_MS;
}

void until_s(int s) {
  while (now_ms() < began_ms + s * 1000) pause_us(50000);
}

// By count, because a clock of CPU time is a system call.
void compute(long us) {
  for (long i = 0; i < us * draws_per_us; i++) draw(2);
}

static void calibrate(void) {
  draws_per_us = 20;
  int64_t from_ms = now_ms();
  compute(100000);
  draws_per_us = 100 * draws_per_us / (now_ms() - from_ms + 1) + 1;
}

int opened(const char *path, int flags, long bytes) {
  int fd = open(path, flags | O_CREAT, 0666);
  if (fd < 0 || (bytes && lseek(fd, 0, SEEK_END) < bytes && ftruncate(fd, bytes))) {
    perror(path);
    exit(1);
  }
  return fd;
}

char *buffer(long bytes) {
  return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1,
              0);
}

static void filled(const char *path, long bytes) {
  char *data = buffer(MB);
  int fd = opened(path, O_WRONLY, 0);
  for (long at = 0; at < bytes; at += MB) {
    for (long i = 0; i < MB; i += 8) *(uint64_t *)(data + i) = draw(UINT64_MAX);
    if (pwrite(fd, data, MB, at) < 0) exit(1);
  }
  fsync(fd);
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);  // what is read next makes folios of its own
  close(fd);
  munmap(data, MB);
}

// Processes.

void become(const char *name, const char *command, const char *unit, int user) {
  char path[512], pid[16];
  snprintf(path, sizeof(path), "%s/%s/cgroup.procs", cgroups, unit);
  int fd = *cgroups && *unit ? open(path, O_WRONLY) : -1;
  if (fd >= 0) {
    int length = snprintf(pid, sizeof(pid), "%d", getpid());
    if (write(fd, pid, length) < 0) perror(path);
    close(fd);
  }
  prctl(PR_SET_NAME, name);
  memset(title, 0, title_end - title);
  snprintf(title, title_end - title - 1, "%s", command);
  title_end[-1] = '.';  // the kernel then takes the text to end where it ends
  if (user && (setgroups(0, NULL) || setgid(user) || setuid(user))) perror("setuid");
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // a change of user takes it back
}

void started(role *work, int number) {
  if (fork()) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  state = 0;
  work(number);
  exit(0);
}

void in_thread(void *(*work)(void *), void *with) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, work, with)) exit(1);
  pthread_detach(thread);
}

// Connections.

static socklen_t address_of(struct sockaddr_storage *address, int family, int port) {
  memset(address, 0, sizeof(*address));
  address->ss_family = family;
  if (family == AF_INET6) {
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    v6->sin6_addr = in6addr_loopback;
    v6->sin6_port = htons(port);
    return sizeof(*v6);
  }
  struct sockaddr_in *v4 = (struct sockaddr_in *)address;
  v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  v4->sin_port = htons(port);
  return sizeof(*v4);
}

int listening(int family, int port) {
  struct sockaddr_storage address;
  int fd = socket(family, SOCK_STREAM, 0), yes = 1;
  socklen_t size = address_of(&address, family, port);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, 128)) {
    perror("demo_load: listen");
    exit(1);
  }
  return fd;
}

int connected(int family, int port) {
  struct sockaddr_storage address;
  socklen_t size = address_of(&address, family, port);
  for (;;) {
    int fd = socket(family, SOCK_STREAM, 0);
    if (!call(SYS_connect, fd, (long)&address, size, 0)) return fd;
    close(fd);
    pause_us(100000);
  }
}

int is_received(int fd, char *data, long bytes) {
  for (long got, at = 0; at < bytes; at += got)
    if ((got = call(SYS_read, fd, (long)(data + at), bytes - at, 0)) <= 0) return 0;
  return 1;
}

int is_sent(int fd, const char *data, long bytes) {
  for (long put, at = 0; at < bytes; at += put)
    if ((put = call(SYS_write, fd, (long)(data + at), bytes - at, 0)) <= 0) return 0;
  return 1;
}

static void gzip(int number) {
  become("gzip", number % 2 ? "gzip -9 access.log.1" : "gzip -9 error.log.1",
         "system.slice/logrotate.service", 0);
  int end_s = (now_ms() - began_ms) / 1000 + 10;
  while (now_ms() < began_ms + end_s * 1000) compute(100000);
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  title = argv[0], title_end = argv[argc - 1] + strlen(argv[argc - 1]) + 1;
  cgroups = strdup(argv[2]);
  int seconds = atoi(argv[3]);
  if (chdir(argv[1])) return 1;
  umask(0);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_IGN);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  filled("heap", HEAP_BYTES);
  filled("index", INDEX_BYTES);
  filled("static", STATIC_BYTES);
  filled("dump", DUMP_BYTES);
  filled("wal", WAL_BYTES);
  filled("archive", ARCHIVE_BYTES);
  close(open("secret", O_CREAT | O_WRONLY, 0600));
  calibrate();
  began_ms = now_ms();
  started(redis, 0);
  started(postgres, 0);
  int at = listening(AF_INET, APP);
  for (int i = 0; i < 2; i++) started(app, at);
  started(nginx, 0);
  for (int i = 0; i < CLIENTS; i++) started(loadgen, i);
  for (int i = 0; i < 2; i++) started(etl, i);
  puts("started");
  fflush(stdout);
  until_s(45);
  for (int i = 0; i < 3; i++) started(gzip, i);
  until_s(102);
  started(backup, 0);
  until_s(190);
  for (int i = 0; i < 3; i++) started(gzip, i);
  until_s(seconds);
  return 0;  // and they die with it
}
