// main -> outer -> middle -> inner -> asleep.
// SLEEP, READ: by that function of the C library. THREAD: below a second thread. DLOPEN: inner() is
// in the library named by the first argument; LINKED: in one that it is linked with.
#include "nap.h"
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#if defined(LINKED)
extern void inner(void);
#elif defined(DLOPEN)
static void (*inner)(void);
#else
static __attribute__((noinline)) void inner(void) {
#if defined(SLEEP)
  sleep(1000);
#elif defined(READ)
  char letter;
  if (read(0, &letter, 1)) AFTERWARDS;
#else
  nap();
#endif
  AFTERWARDS;
}
#endif

static __attribute__((noinline)) void middle(void) {
  inner();
  AFTERWARDS;
}

__attribute__((noinline)) void *outer(void *unused) {
  middle();
  AFTERWARDS;
  return unused;
}

int main(int argc, char **argv) {
  (void)argc, (void)argv;
#ifdef DLOPEN
  inner = dlsym(dlopen(argv[1], RTLD_NOW), "inner");
#endif
#ifdef THREAD
  pthread_t thread;
  pthread_create(&thread, 0, outer, 0);
  pthread_join(thread, 0);
#endif
  outer(0);
  return 0;
}
