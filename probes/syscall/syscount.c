// System calls by process and call.
//
// Measures: calls, their time added up and the longest, a log2 histogram, those that failed and
//     with which error, and the calls that every thread is in right now.
// Hooks: sys_enter (which call, since when), sys_exit (how it ended); sched_process_exit for the
//     calls that never return (exit, exit_group) and to forget the thread; sched_process_exec for
//     the thread whose id changes inside execve. Since 7.0 programs of raw tracepoints can be
//     preempted, and the calls of whoever runs then are not shown to them: the tracepoints with
//     records of raw_syscalls are taken there, whose programs cannot.
// Cost: about 0.12 us at enter and as much at exit.
// Blind spots: calls that began before the probe did; calls that seccomp refuses, which leave
//     without having entered; what the vDSO answers without the kernel (clock_gettime, getcpu).
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#include "common.h"

#define NR_BEYOND 1024     // numbers from here on are no call of any table
#define TABLE_32 0x10000   // calls of 32-bit programs are numbered by a table of their own
#define TABLE_X32 0x20000  // and those of x32 programs, which set a bit in the number
#define X32_BIT 0x40000000

#ifdef __x86_64__
#define OFF_32 OFF_TASK_STATUS  // TS_COMPAT is of the call: 64-bit programs can make 32-bit ones
#define FLAG_32 (1 << 1)
#else
#define OFF_32 OFF_TASK_FLAGS  // arm64's TIF_32BIT is of the thread
#define FLAG_32 (1 << 22)
#endif

#define MAX_ERRNO 4095
#define ERESTARTSYS 512
#define ENOIOCTLCMD 515
#define ERESTART_RESTARTBLOCK 516

#define SLOTS 48  // the last holds everything from 2^47 ns, 39 hours

struct thread {
  u64 start_ns;  // 0 between calls
  u32 pid;
  u32 call;
};

struct call_key {
  u32 pid;
  u32 call;
};

struct call_value {
  struct who who;
  u64 count;
  u64 total_ns;
  u64 max_ns;
  u64 errors;
  u32 slots[SLOTS];
};

struct error_key {
  u32 pid;
  u32 call;
  u32 error;
};

// A thread's entry stays from call to call: to write it in place costs less than half of inserting
// and deleting it.
BPF_HASH(threads, u32, struct thread, 65536);
DOUBLE_HASH(calls, struct call_key, struct call_value, 32768);
DOUBLE_HASH(errors, struct error_key, u64, 16384);
MARKS_MAP;  // by a number that is the thread's own: does it have an entry?
SCOPE_MAP;
PHASE_MAP;
LOST_MAP;

static __always_inline bool in_scope(u64 task) {
  u32 zero = 0;
  struct scope *wanted = scope.lookup(&zero);
  return wanted && (wanted->kind == EVERYTHING || matches(wanted, task));
}

static __always_inline u32 *find_mark(u64 own) {
  u32 zero = 0;
  struct marks *all = marks.lookup(&zero);
  return all ? &all->at[mark_of(own)] : NULL;
}

static __always_inline u32 call_of(u32 nr, u32 flags) {
  u32 table = flags & FLAG_32 ? TABLE_32 : 0;
#ifdef __x86_64__
  if (!table && nr & X32_BIT) {
    table = TABLE_X32;
    nr &= ~X32_BIT;
  }
#endif
  return table | (nr < NR_BEYOND ? nr : NR_BEYOND);
}

static __always_inline struct call_value *find_call(struct call_key *key, u32 phase) {
  struct call_value *value = phase ? calls_1.lookup(key) : calls_0.lookup(key);
  if (value) return value;
  struct call_value new = {};
  fill_who(&new.who, CURRENT_TASK);
  return phase ? calls_1.lookup_or_try_init(key, &new) : calls_0.lookup_or_try_init(key, &new);
}

static __always_inline void count_error(struct error_key *key, u32 phase) {
  u64 zero = 0, *number = phase ? errors_1.lookup_or_try_init(key, &zero)
                                : errors_0.lookup_or_try_init(key, &zero);
  if (number)
    lock_xadd(number, 1);
  else
    lost.atomic_increment(LOST_ERRORS);
}

// What a signal interrupted is started again, or ends in EINTR: which of them is not known here.
static __always_inline bool is_restart(u32 error) {
  return error >= ERESTARTSYS && error <= ERESTART_RESTARTBLOCK && error != ENOIOCTLCMD;
}

static __always_inline void end_call(struct thread *thread, u64 now, s64 result) {
  u32 zero = 0, *phase_at = phase.lookup(&zero);
  u32 phase_now = phase_at ? *phase_at : 0;
  u32 error = result < 0 && result >= -MAX_ERRNO ? -result : 0;
  u64 ns = now - thread->start_ns;
  struct call_key key = {.pid = thread->pid, .call = thread->call};
  thread->start_ns = 0;
  if (error) {
    struct error_key failed = {.pid = key.pid, .call = key.call, .error = error};
    count_error(&failed, phase_now);
  }
  struct call_value *value = find_call(&key, phase_now);
  if (!value) {
    lost.atomic_increment(LOST_CALLS);
    return;
  }
  lock_xadd(&value->count, 1);
  lock_xadd(&value->total_ns, ns);
  if (error && !is_restart(error)) lock_xadd(&value->errors, 1);
  raise_to(&value->max_ns, ns);
  u64 slot = log2_slot(ns);
  asm volatile("" : "+r"(slot));  // or the compiler bounds a copy, and 5.10 sees no bound
  if (slot >= SLOTS) slot = SLOTS - 1;
  lock_xadd(&value->slots[slot], 1);
}

static __always_inline void leave(u64 own, s64 result) {
  u32 *mark = find_mark(own);
  if (!mark || !*mark) return;
  u64 now = bpf_ktime_get_ns();
  u32 tid = bpf_get_current_pid_tgid();
  struct thread *thread = threads.lookup(&tid);
  // No start: begun before we were, refused by seccomp, or the child's way out of a fork.
  if (thread && thread->start_ns) end_call(thread, now, result);
}

static __always_inline void enter(u64 task, u64 own, u32 nr) {
  u32 tid = 0, pid = 0, flags = 0;
  READ_TASK(tid, task, TASK_PID);
  READ_TASK(pid, task, TASK_TGID);
  READ_TASK(flags, task, 32);
  u32 call = call_of(nr, flags);
  struct thread *thread = threads.lookup(&tid);
  if (thread) {
    thread->pid = pid;
    thread->call = call;
    thread->start_ns = bpf_ktime_get_ns();
    return;
  }
  u32 *mark = find_mark(own);
  if (mark) *mark = 1;
  struct thread new = {.start_ns = bpf_ktime_get_ns(), .pid = pid, .call = call};
  if (threads.update(&tid, &new)) lost.atomic_increment(LOST_THREADS);
}

#ifdef HAVE_on_enter
int on_exit(struct bpf_raw_tracepoint_args *ctx) {
  leave(ARG(on_exit, regs), ARG(on_exit, result));
  return 0;
}

int on_enter(struct bpf_raw_tracepoint_args *ctx) {
  u64 task = CURRENT_TASK;
  if (in_scope(task)) enter(task, ARG(on_enter, regs), ARG(on_enter, nr));
  return 0;
}
#else
int on_exit_record(void *ctx) {
  leave(bpf_get_current_pid_tgid(), FIELD(s64, on_exit_record, result));
  return KEEP;
}

int on_enter_record(void *ctx) {
  u64 task = CURRENT_TASK;
  if (in_scope(task)) enter(task, bpf_get_current_pid_tgid(), FIELD(u64, on_enter_record, nr));
  return KEEP;
}
#endif

int on_death(struct bpf_raw_tracepoint_args *ctx) {
  u64 now = bpf_ktime_get_ns();
  u32 tid = bpf_get_current_pid_tgid();
  struct thread *thread = threads.lookup(&tid);
  if (!thread) return 0;
  if (thread->start_ns) end_call(thread, now, 0);
  threads.delete(&tid);
  return 0;
}

// When a thread other than the first calls execve, it takes over the first one's id.
int on_exec(struct bpf_raw_tracepoint_args *ctx) {
  u64 own = bpf_get_current_pid_tgid();
  u32 tid = own, old = ARG(on_exec, old_pid);
  if (tid == old) return 0;
  struct thread *thread = threads.lookup(&old);
  if (!thread) return 0;
  struct thread moved = *thread;
  threads.delete(&old);
  threads.update(&tid, &moved);
#ifdef HAVE_on_enter_record
  u32 *mark = find_mark(own);
  if (mark) *mark = 1;
#endif
  return 0;
}
