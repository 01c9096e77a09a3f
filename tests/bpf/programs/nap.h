// Sleeps without the help of the C library, whose functions have no frame pointers on many systems.
#pragma once
#include <sys/syscall.h>
#include <time.h>

static inline __attribute__((always_inline)) void nap(void) {
  struct timespec time = {1000, 0};
#if defined(__x86_64__)
  long result = SYS_nanosleep;
  __asm__ volatile("syscall" : "+a"(result) : "D"(&time), "S"(0) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
  register long number __asm__("x8") = SYS_nanosleep;
  register void *first __asm__("x0") = &time;
  register void *second __asm__("x1") = 0;
  __asm__ volatile("svc 0" : "+r"(first) : "r"(number), "r"(second) : "memory");
#endif
}

// What follows a call, so that it is not a jump.
#define AFTERWARDS __asm__ volatile("")
