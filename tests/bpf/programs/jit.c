// A compiler that runs: makes a function that calls nap(), tells its name in /tmp/perf-PID.map as
// the first argument says, and runs it. With each line of its input it makes another.
#include "nap.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <pthread.h>
#include <unistd.h>

__attribute__((noinline)) void blocked(void) {
  nap();
  AFTERWARDS;
}

static void *run(void *code) {
  ((void (*)(void))code)();
  AFTERWARDS;
  return 0;
}

static void compile(uint8_t *code, const char *format, int number) {
#if defined(__x86_64__)
  // push rbp; mov rbp, rsp; movabs rax, blocked; call rax; pop rbp; ret
  uint8_t bytes[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0xb8, 0,    0,    0,
                     0,    0,    0,    0,    0,    0xff, 0xd0, 0x5d, 0xc3};
  uintptr_t target = (uintptr_t)blocked;
  memcpy(bytes + 6, &target, sizeof(target));
#elif defined(__aarch64__)
  // stp x29, x30, [sp, #-16]!; mov x29, sp; ldr x8, .+16; blr x8; ldp x29, x30, [sp], #16; ret
  uint32_t bytes[] = {0xa9bf7bfd, 0x910003fd, 0x58000088, 0xd63f0100, 0xa8c17bfd, 0xd65f03c0, 0, 0};
  uintptr_t target = (uintptr_t)blocked;
  memcpy(bytes + 6, &target, sizeof(target));
#endif
  memcpy(code, bytes, sizeof(bytes));
  __builtin___clear_cache((char *)code, (char *)code + sizeof(bytes));
  char path[64], name[64];
  snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
  snprintf(name, sizeof(name), format, number);
  FILE *map = fopen(path, "a");
  if (map) {
    fprintf(map, "%lx %zx %s\n", (unsigned long)code, sizeof(bytes), name);
    fclose(map);
  }
  pthread_t thread;
  pthread_create(&thread, 0, run, code);
}

int main(int argc, char **argv) {
  uint8_t *code =
      mmap(0, 65536, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  compile(code, argc > 1 ? argv[1] : "compiled_%d", 1);
  char line[16];
  for (int number = 2; fgets(line, sizeof(line), stdin); number++)
    compile(code + 64 * number, argc > 1 ? argv[1] : "compiled_%d", number);
  return 0;
}
