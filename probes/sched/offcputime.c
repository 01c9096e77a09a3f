// Off-CPU time by thread and stack.
//
// Measures: for each thread and each stack it left the CPU with: the time until it was woken
//     (blocked), the time from there until it ran again (waiting), how often, and the longest.
//     A thread that was preempted or yielded was runnable all along: all of it is waiting.
// Hooks: sched_switch takes the stack of the thread that leaves, and charges the thread that comes;
//     sched_wakeup parts blocked from waiting; sched_wakeup_new starts the wait of a new thread.
//     State of the leaving thread: an argument since 5.18, before that task_struct.
// Kernels: 5.6 on (batch reads); run on 5.10, 6.1, 6.18 and 7.2.
// Cost: 0.3 us a switch and 0.15 us a wake-up; the two walks of the stack add 1.1 us and about
//     0.1 us for each frame: 3.5 us with twenty of them.
// Blind spots: user stacks need frame pointers. Frames beyond 48 of the kernel, 64 of the program,
//     or 80 in all are cut off at the root. What threads that are still away have missed so far is
//     not in `rows`: the reader takes it from `threads`.
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#include "common.h"

#define KERNEL_FRAMES 48
#define USER_FRAMES 64
#define STACK_FRAMES 80
#define SCRATCH_FRAMES 128  // a power of two, so that a mask shows the verifier the bound
#define SCRATCH_MASK (SCRATCH_FRAMES - 8)

#define TASK_DEAD 0x80       // include/linux/sched.h
#define PF_KTHREAD 0x200000  // include/linux/sched.h
#define NEVER_RAN 0          // stack of a thread that has just been made; known to offcputime.py
#define WHO_VALID_NS 1000000000ull

// A thread that has run since the probe started; `start_ns` is 0 while it runs, `wake_ns` is 0
// while it is blocked.
struct thread {
  struct who who;
  u64 start_ns;
  u64 wake_ns;
  u64 stack;
  u64 pid;
  u64 who_ns;
};

struct row_key {
  u32 pid;
  u32 tid;
  u64 stack;
};

struct row {
  struct who who;
  u64 blocked_ns;
  u64 waiting_ns;
  u64 count;
  u64 max_ns;
};

// Frames from the leaf on, the kernel's first. The scratch is larger than what is kept, because the
// user's frames are put behind the kernel's, wherever those end.
struct stack {
  u32 kernel;
  u32 user;
  u64 frames[STACK_FRAMES];
};

struct scratch {
  u32 kernel;
  u32 user;
  u64 frames[SCRATCH_FRAMES];
};

BPF_HASH(threads, u32, struct thread, 32768);
BPF_HASH(rows, struct row_key, struct row, 16384);
BPF_HASH(stacks, u64, struct stack, 16384);
BPF_PERCPU_ARRAY(scratches, struct scratch, 1);
SCOPE_MAP;
LOST_MAP;

static __always_inline bool in_scope(u64 task) {
  u32 zero = 0;
  struct scope *wanted = scope.lookup(&zero);
  return wanted && (wanted->kind == EVERYTHING || matches(wanted, task));
}

static __always_inline u32 frames_in(long bytes, u32 most) {
  return bytes < 0 ? 0 : bytes / 8 < most ? bytes / 8 : most;
}

// Keeps the stack of the running thread; returns its id, an odd hash of its frames. Not
// bpf_get_stackid(): that drops a stack whenever its bucket is taken (4 % here).
static inline u64 keep_stack(void *ctx, u32 is_kernel_thread) {
  u32 zero = 0;
  struct scratch *scratch = scratches.lookup(&zero);
  if (!scratch) return NEVER_RAN;
  u32 kernel = frames_in(bpf_get_stack(ctx, scratch->frames, 8 * KERNEL_FRAMES, 0), KERNEL_FRAMES);
  // LLVM 19 compares one register and adds another: only a mask that it cannot see through binds.
  asm volatile("%0 &= 63" : "+r"(kernel));
  u32 user = 0;
  if (!is_kernel_thread)
    user =
        frames_in(bpf_get_stack(ctx, scratch->frames + kernel, 8 * USER_FRAMES, BPF_F_USER_STACK),
                  USER_FRAMES);
  scratch->kernel = kernel;
  scratch->user = user;

  // In eights, as the verifier follows each way out of the loop; behind the last frame are zeros.
  u64 id = kernel;
  for (u32 i = 0; i < STACK_FRAMES; i += 8) {
    asm volatile("" : "+r"(i));  // clang would unroll it, and lose the bound
    if (i >= kernel + user) break;
    u64 *eight = scratch->frames + (i & SCRATCH_MASK);
#pragma unroll
    for (u32 j = 0; j < 8; j++) {
      id = (id ^ eight[j]) * 0x9e3779b97f4a7c15ull;
      id ^= id >> 32;
    }
  }
  id |= 1;
  if (!stacks.lookup(&id) && stacks.update(&id, (struct stack *)scratch))
    lost.atomic_increment(LOST_STACKS);
  return id;
}

static inline void charge(struct thread *thread, u32 tid, u64 now) {
  u64 start = thread->start_ns, wake = thread->wake_ns ? thread->wake_ns : now;
  struct row_key key = {.pid = thread->pid, .tid = tid, .stack = thread->stack};
  struct row *row = rows.lookup(&key);
  if (!row) {
    struct row new = {.who = thread->who};
    row = rows.lookup_or_try_init(&key, &new);
  }
  if (!row) {
    lost.atomic_increment(LOST_ROWS);
    return;
  }
  // A thread comes back on one CPU at a time: nobody else adds to this row.
  if (wake > start) row->blocked_ns += wake - start;
  if (now > wake) row->waiting_ns += now - wake;
  row->count++;
  if (now > start + row->max_ns) row->max_ns = now - start;
}

// A thread leaves whose return nobody saw (BPF may be kept from running while a certain process is
// on the CPU): it came back as long ago as it has run since. Real-time tasks have no such record.
static inline void charge_unseen(struct thread *thread, u32 tid, u64 task, u64 now) {
  u64 ran = 0, ran_before = 0;
  READ(ran, task, RAN);
  READ(ran_before, task, RAN_BEFORE);
  u64 back = now - (ran - ran_before);
  u64 since = thread->wake_ns ? thread->wake_ns : thread->start_ns;
  if (since <= back && back <= now)
    charge(thread, tid, back);
  else
    lost.atomic_increment(LOST_RETURNS);
}

static inline void leave(struct bpf_raw_tracepoint_args *ctx, u64 now) {
  u64 task = ARG(on_switch, prev);
  u32 tid = 0, pid = 0, state = 0, flags = 0;
  READ_TASK(tid, task, TASK_PID);
  if (!tid) return;  // the idle task
#ifdef ARG_on_switch_prev_state
  state = ARG(on_switch, prev_state);
#else
  READ_TASK(state, task, TASK_STATE);
#endif
  if (state & TASK_DEAD) {
    threads.delete(&tid);
    return;
  }
  struct thread *thread = threads.lookup(&tid);
  if (!thread) {
    struct thread new = {};
    thread = threads.lookup_or_try_init(&tid, &new);
  }
  if (!thread) {
    lost.atomic_increment(LOST_THREADS);
    return;
  }
  if (thread->start_ns) charge_unseen(thread, tid, task, now);
  if (now - thread->who_ns > WHO_VALID_NS) {  // it may have changed its name or its cgroup
    fill_who(&thread->who, task);
    READ_TASK(pid, task, TASK_TGID);
    thread->who_ns = now;
    thread->pid = pid;
  }
  READ_TASK(flags, task, TASK_FLAGS);
  thread->stack = keep_stack(ctx, flags & PF_KTHREAD);
  // State 0 is running; bits beside the states proper mean nothing, or blocked (frozen, RT lock).
  thread->wake_ns = (ARG(on_switch, preempt) & 1) || !state ? now : 0;
  thread->start_ns = now;
}

static inline void come(u64 task, u64 now) {
  u32 tid = 0;
  READ_TASK(tid, task, TASK_PID);
  if (!tid) return;
  struct thread *thread = threads.lookup(&tid);
  if (thread && thread->start_ns) {
    charge(thread, tid, now);
    thread->start_ns = 0;
  } else if (!thread) {
    struct thread seen = {};  // so that the reader does not take it for one that is still away
    if (threads.update(&tid, &seen)) lost.atomic_increment(LOST_THREADS);
  }
}

int on_switch(struct bpf_raw_tracepoint_args *ctx) {
  u64 next = ARG(on_switch, next);
  bool leaves = in_scope(ARG(on_switch, prev)), comes = in_scope(next);
  if (!leaves && !comes) return 0;
  u64 now = bpf_ktime_get_ns();
  if (leaves) leave(ctx, now);
  if (comes) come(next, now);
  return 0;
}

int on_wakeup(struct bpf_raw_tracepoint_args *ctx) {
  u64 task = ARG(on_wakeup, task);
  u32 tid = 0;
  if (!in_scope(task)) return 0;
  READ_TASK(tid, task, TASK_PID);
  struct thread *thread = threads.lookup(&tid);
  if (thread && thread->start_ns && !thread->wake_ns) thread->wake_ns = bpf_ktime_get_ns();
  return 0;
}

int on_new(struct bpf_raw_tracepoint_args *ctx) {
  u64 task = ARG(on_new, task);
  u32 tid = 0, pid = 0;
  if (!in_scope(task)) return 0;
  u64 now = bpf_ktime_get_ns();
  READ_TASK(tid, task, TASK_PID);
  READ_TASK(pid, task, TASK_TGID);
  struct thread new = {.start_ns = now, .wake_ns = now, .stack = NEVER_RAN, .pid = pid};
  fill_who(&new.who, task);
  new.who_ns = now;
  if (threads.update(&tid, &new)) lost.atomic_increment(LOST_THREADS);
  return 0;
}
