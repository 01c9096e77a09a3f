// main -> interrupted, which a signal takes to handler(), where it sleeps.
#include "nap.h"
#include <signal.h>
#include <unistd.h>

static void handler(int number) {
  (void)number;
  nap();
  AFTERWARDS;
}

__attribute__((noinline)) void interrupted(void) {
  // kill(), without the C library.
#if defined(__x86_64__)
  long result = SYS_kill;
  __asm__ volatile("syscall" : "+a"(result) : "D"(getpid()), "S"(SIGUSR1) : "rcx", "r11", "memory");
#else
  raise(SIGUSR1);
#endif
  AFTERWARDS;
}

int main(void) {
  signal(SIGUSR1, handler);
  interrupted();
  return 0;
}
