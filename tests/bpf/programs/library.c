// inner(), in a shared library, below it a function that is not exported. NAME is what it is
// called.
#include "nap.h"

#ifndef NAME
#define NAME hidden
#endif

static __attribute__((noinline)) void NAME(void) {
  nap();
  AFTERWARDS;
}

void inner(void) {
  NAME();
  AFTERWARDS;
}
