// The call of never_returns() in main(), and that of asleep_for_ever() in it, are the last
// instructions of their functions: the address of return is that of the function that follows.
#include "nap.h"

__attribute__((noinline, noreturn)) void asleep_for_ever(void) {
  for (;;) nap();
}

__attribute__((noinline, noreturn)) void never_returns(void) { asleep_for_ever(); }

__attribute__((noinline)) void innocent(void) { AFTERWARDS; }

int main(void) { never_returns(); }
