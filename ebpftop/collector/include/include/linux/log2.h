#pragma once
// BPF_STACK_TRACE sizes a map with this, so it has to be a constant expression.
#define EBPFTOP_FILL1(n) ((n) | ((n) >> 1))
#define EBPFTOP_FILL2(n) (EBPFTOP_FILL1(n) | (EBPFTOP_FILL1(n) >> 2))
#define EBPFTOP_FILL4(n) (EBPFTOP_FILL2(n) | (EBPFTOP_FILL2(n) >> 4))
#define EBPFTOP_FILL8(n) (EBPFTOP_FILL4(n) | (EBPFTOP_FILL4(n) >> 8))
#define EBPFTOP_FILL16(n) (EBPFTOP_FILL8(n) | (EBPFTOP_FILL8(n) >> 16))
#define roundup_pow_of_two(n) (EBPFTOP_FILL16((unsigned long)(n)-1) + 1)
