// Processes that do a little of everything as often as they can: rounds of known size.
//
//     scope PROCESSES FILE COUNTERS
//
// A round is CALLS system calls, READS reads of a cached page, one read of the disk, TALKS messages
// of BYTES bytes each way over TCP to itself, and a sleep. How many rounds each process has done
// stands in the file COUNTERS, as 64-bit numbers. FILE has 64 pages. Used by scope.py.
// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALLS 100
#define READS 20
#define TALKS 10
#define BYTES 100
#define SLEEP_NS 1000000
#define PAGE 4096
#define PAGES 64

static void must(int good) {
  if (!good) _exit(1);
}

static void connect_to_self(int *client, int *server) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof(address);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  must(!bind(listener, (struct sockaddr *)&address, size) && !listen(listener, 1));
  getsockname(listener, (struct sockaddr *)&address, &size);
  *client = socket(AF_INET, SOCK_STREAM, 0);
  must(!connect(*client, (struct sockaddr *)&address, size));
  *server = accept(listener, NULL, NULL);
  must(*server >= 0);
}

static void work(const char *path, volatile uint64_t *rounds) {
  char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int cached = open(path, O_RDONLY), direct = open(path, O_RDONLY | O_DIRECT), client, server;
  struct timespec pause = {0, SLEEP_NS};
  connect_to_self(&client, &server);
  for (uint64_t at = getpid();; at++) {
    for (int i = 0; i < CALLS; i++) getpriority(PRIO_PROCESS, 0);
    for (int i = 0; i < READS; i++) must(pread(cached, page, PAGE, (at + i) % PAGES * PAGE) > 0);
    must(pread(direct, page, PAGE, at % PAGES * PAGE) > 0);
    for (int i = 0; i < TALKS; i++) {
      must(send(client, page, BYTES, 0) == BYTES);
      must(recv(server, page, BYTES, MSG_WAITALL) == BYTES);
    }
    nanosleep(&pause, NULL);
    ++*rounds;
  }
}

int main(int argc, char **argv) {
  must(argc == 4);
  int processes = atoi(argv[1]), counters = open(argv[3], O_RDWR);
  uint64_t *rounds = mmap(NULL, 8 * processes, PROT_READ | PROT_WRITE, MAP_SHARED, counters, 0);
  must(rounds != MAP_FAILED);
  for (int i = 0; i < processes; i++) {
    if (fork()) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    work(argv[2], rounds + i);
  }
  wait(NULL);
  return 1;
}
