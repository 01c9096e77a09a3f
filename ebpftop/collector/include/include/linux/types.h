#pragma once
// The integer types that BCC's helpers and our programs use; everything else about the kernel comes
// from BTF at run time.
typedef signed char __s8, s8, int8_t;
typedef unsigned char __u8, u8, uint8_t;
typedef short __s16, s16, int16_t;
typedef unsigned short __u16, u16, uint16_t;
typedef int __s32, s32, int32_t;
typedef unsigned int __u32, u32, uint32_t;
typedef long long __s64, s64, int64_t;
typedef unsigned long long __u64, u64, uint64_t;
typedef __u16 __le16, __be16, __sum16;
typedef __u32 __le32, __be32, __wsum;
typedef __u64 __le64, __be64;
typedef unsigned long size_t, uintptr_t;
typedef long ssize_t;
typedef int pid_t;
typedef _Bool bool;
enum { false = 0, true = 1 };
#define NULL ((void *)0)
#define __always_inline inline __attribute__((always_inline))
#define __aligned_u64 __u64 __attribute__((aligned(8)))

// Register frames of kprobe programs, as in arch/*/include/uapi/asm/ptrace.h.
#if defined(__aarch64__) || defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
  u64 regs[31], sp, pc, pstate;
};
struct pt_regs {
  u64 regs[31], sp, pc, pstate, orig_x0;
  s32 syscallno;
  u32 unused;
};
#else
struct pt_regs {
  unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax;
  unsigned long ip, cs, flags, sp, ss;
};
#endif
