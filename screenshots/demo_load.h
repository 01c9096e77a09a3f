// What the parts of the demo's load share; see demo_load.c.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STEP static __attribute__((noinline))  // a frame in the stacks

#define KB 1024
#define MB (1024 * KB)
#define PAGE (8 * KB)
#define HEAP_BYTES (384L * MB)
#define INDEX_BYTES (24L * MB)
#define ARCHIVE_BYTES (192L * MB)
#define DUMP_BYTES (48L * MB)
#define STATIC_BYTES (4L * MB)
#define WAL_BYTES (16L * MB)
#define REPLY_BYTES (24 * KB)
#define QUERY_BYTES 256
#define ROW_BYTES 2048
#define KEY_BYTES 64
#define NS_PER_MS 1000000

#define HTTP 8080
#define APP 9000
#define POSTGRES 5432
#define REDIS 6379

enum { WWW_DATA = 33, BACKUP = 34, POSTGRES_USER = 113, REDIS_USER = 114, NOBODY = 65534 };

typedef void role(int number);

extern int64_t began_ms;

// A system call made by the function that wants it, so that its stack begins there.
static inline __attribute__((always_inline)) long call(long nr, long a, long b, long c, long d) {
#ifdef __x86_64__
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = 0;
  register long r9 __asm__("r9") = 0;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
#else
  return syscall(nr, a, b, c, d, 0, 0);
#endif
}

uint64_t draw(uint64_t below);
void pause_us(long us);
int64_t now_ms(void);
void until_s(int s);
void compute(long us);
int opened(const char *path, int flags, long bytes);
char *buffer(long bytes);

// Who the calling process is from now on: name, command line, cgroup and user.
void become(const char *name, const char *command, const char *unit, int user);
void started(role *work, int number);
void in_thread(void *(*work)(void *), void *with);

int listening(int family, int port);
int connected(int family, int port);
int is_received(int fd, char *data, long bytes);
int is_sent(int fd, const char *data, long bytes);

// What an application asks of postgres: S(elect), C(ommit) or R(eport).
void query_database(int postgres, char what);

role loadgen, nginx, app, redis;  // demo_web.c
role postgres, etl, backup;       // demo_disk.c
