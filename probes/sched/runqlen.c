// Run queues: their length and who has the CPU, sampled; and the time that threads wait there.
//
// Measures: 99 times a second on each CPU, how many threads run or wait there (0 is idle) and which
//     process runs; for each process, how often its threads waited for a CPU, how long, the
//     longest, and a log2 histogram.
// Of a scope: all but the lengths, which are no process's.
// Hooks: perf cpu-clock for the samples. For the waits sched_wakeup and sched_wakeup_new, where a
//     wait begins, and sched_switch, where it ends, and begins for a thread that was preempted or
//     yielded. sched_process_exec for the thread whose id changes inside execve.
// Kernels: 5.8 (seen to run on 5.10, 6.1, 6.12, 6.18, 7.2), with CONFIG_FAIR_GROUP_SCHED: without
//     it no thread has a pointer that leads to its CPU's queue.
// Cost: about 0.3 us a switch, 0.2 us a wake-up; 2.5 us a sample, 0.03 % of a CPU.
// Blind spots: a wait that began before the probe did counts from the probe's start. A CPU may give
//     no samples while it is idle: the reader adds those.
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#include "common.h"

#define TASK_DEAD 0x80  // include/linux/sched.h

#define BLOCKED 0  // values of thread.start_ns that are no time
#define RUNNING 1

#define SLOTS 40  // the last holds everything from 2^39 ns, 9 minutes

struct thread {
  u64 start_ns;  // since when it waits
  u64 pid;
  u64 last_start_ns;  // of the last wait that ended
  u64 last_end_ns;
};

struct queue_key {
  u32 cpu;
  u32 length;
};

struct oncpu_key {
  u32 pid;
  u32 cpu;
};

struct oncpu_value {
  struct who who;
  u64 hits;
};

struct delay {
  struct who who;
  u64 ended_ns;
  u64 count;
  u64 max_ns;
  u64 slot_ns[SLOTS];
  u32 slots[SLOTS];
};

// A thread's entry stays from wait to wait: to write it in place costs less than half of inserting
// and deleting it.
BPF_HASH(threads, u32, struct thread, 65536);
DOUBLE_HASH(queues, struct queue_key, u64, 8192);
DOUBLE_HASH(oncpu, struct oncpu_key, struct oncpu_value, 8192);
DOUBLE_HASH(delays, u32, struct delay, 8192);
BPF_PERCPU_ARRAY(blank, struct delay, 1);  // too large for the stack; its counters stay 0
SCOPE_MAP;
PHASE_MAP;
LOST_MAP;

static __always_inline bool in_scope(u64 task) {
  u32 zero = 0;
  struct scope *wanted = scope.lookup(&zero);
  return wanted && (wanted->kind == EVERYTHING || matches(wanted, task));
}

static __always_inline u32 phase_now(void) {
  u32 zero = 0, *at = phase.lookup(&zero);
  return at ? *at : 0;
}

static __always_inline bool is_open(void) {
  u32 zero = 0;
  struct scope *wanted = scope.lookup(&zero);
  return wanted && wanted->kind != NOTHING;
}

// What the thread that has the CPU is from now on.
static __always_inline void set_thread(u32 tid, u64 start_ns, u64 pid) {
  struct thread *thread = threads.lookup(&tid);
  if (thread) {
    if (thread->start_ns > RUNNING) lost.atomic_increment(LOST_EDGES);
    thread->start_ns = start_ns;
    return;
  }
  struct thread new = {.start_ns = start_ns, .pid = pid};
  if (threads.update(&tid, &new)) lost.atomic_increment(LOST_THREADS);
}

static __always_inline void charge(u32 pid, u64 task, u64 ns) {
  u32 phase = phase_now();
  struct delay *delay = phase ? delays_1.lookup(&pid) : delays_0.lookup(&pid);
  u32 zero = 0;
  struct delay *new = blank.lookup(&zero);
  if (!delay && new) {
    fill_who(&new->who, task);
    delay = phase ? delays_1.lookup_or_try_init(&pid, new) : delays_0.lookup_or_try_init(&pid, new);
  }
  if (!delay) {
    lost.atomic_increment(LOST_DELAYS);
    return;
  }
  u64 slot = log2_slot(ns);
  asm volatile("" : "+r"(slot));  // the verifier, up to 6.1, must see that register bounded
  if (slot >= SLOTS) slot = SLOTS - 1;
  lock_xadd(&delay->ended_ns, ns);
  lock_xadd(&delay->count, 1);
  raise_to(&delay->max_ns, ns);
  lock_xadd(&delay->slot_ns[slot], ns);
  lock_xadd(&delay->slots[slot], 1);
}

static __always_inline void leave(struct bpf_raw_tracepoint_args *ctx, u64 now) {
  u64 task = ARG(on_switch, prev);
  u32 tid = 0, pid = 0, state = 0;
  READ_TASK(tid, task, TASK_PID);
  READ_TASK(pid, task, TASK_TGID);
  if (!tid) return;  // the idle task
#ifdef ARG_on_switch_prev_state
  state = ARG(on_switch, prev_state);
#else
  READ_TASK(state, task, TASK_STATE);
#endif
  if (state & TASK_DEAD)
    threads.delete(&tid);
  else
    set_thread(tid, (ARG(on_switch, preempt) & 1) || !state ? now : BLOCKED, pid);
}

static __always_inline void come(u64 task, u64 now) {
  u32 tid = 0, pid = 0;
  READ_TASK(tid, task, TASK_PID);
  if (!tid) return;
  struct thread *thread = threads.lookup(&tid);
  if (thread) {
    u64 start = thread->start_ns;
    thread->start_ns = RUNNING;
    if (start > RUNNING) {
      thread->last_start_ns = start;
      thread->last_end_ns = now;
      charge(thread->pid, task, now > start ? now - start : 0);
    } else {
      lost.atomic_increment(LOST_EDGES);
    }
    return;
  }
  READ_TASK(pid, task, TASK_TGID);
  struct thread new = {.start_ns = RUNNING, .pid = pid};
  if (threads.update(&tid, &new)) lost.atomic_increment(LOST_THREADS);
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

static __always_inline void begin_wait(u64 task, bool is_new) {
  u32 tid = 0, pid = 0;
  if (!in_scope(task)) return;
  READ_TASK(tid, task, TASK_PID);
  struct thread *thread = threads.lookup(&tid);
  // One that runs, or waits already, is woken where it was about to sleep: it stays as it is.
  if (thread && !is_new) {
    if (thread->start_ns == BLOCKED) thread->start_ns = bpf_ktime_get_ns();
    return;
  }
  READ_TASK(pid, task, TASK_TGID);
  struct thread new = {.start_ns = bpf_ktime_get_ns(), .pid = pid};
  if (threads.update(&tid, &new)) lost.atomic_increment(LOST_THREADS);
}

int on_wakeup(struct bpf_raw_tracepoint_args *ctx) {
  begin_wait(ARG(on_wakeup, task), false);
  return 0;
}

int on_new(struct bpf_raw_tracepoint_args *ctx) {
  begin_wait(ARG(on_new, task), true);
  return 0;
}

// When a thread other than the first calls execve, it takes over the first one's id.
int on_exec(struct bpf_raw_tracepoint_args *ctx) {
  u64 ids = bpf_get_current_pid_tgid();
  u32 tid = ids, old = ARG(on_exec, old_pid);
  if (tid == old || !in_scope(CURRENT_TASK)) return 0;
  threads.delete(&old);
  set_thread(tid, RUNNING, ids >> 32);
  return 0;
}

// Threads that run or wait on this CPU, of every class. Since 6.12 a thread that went to sleep may
// stay queued until its turn comes (delayed dequeue): those are taken off. Not cfs_rq.nr_queued of
// the running thread: that is the queue of its cgroup or session.
static __always_inline u32 queue_length(u64 task) {
  u64 cfs = 0, rq = 0;
  u32 running = 0, delayed = 0;
  READ(cfs, task, TASK_CFS_RQ);
  READ(rq, cfs, CFS_RQ);
  READ(running, rq, RQ_RUNNING);
#ifdef OFF_RQ_RUNNABLE
  u32 queued = 0, runnable = 0;
  READ(queued, rq, RQ_QUEUED);
  READ(runnable, rq, RQ_RUNNABLE);
  if (queued > runnable) delayed = queued - runnable;
#elif defined(OFF_RQ_DELAYED)
  READ(delayed, rq, RQ_DELAYED);
#endif
  return running > delayed ? running - delayed : 0;
}

static __always_inline void count_oncpu(u64 task, u32 pid, u32 cpu) {
  u32 phase = phase_now();
  struct oncpu_key key = {.pid = pid, .cpu = cpu};
  struct oncpu_value *value = phase ? oncpu_1.lookup(&key) : oncpu_0.lookup(&key);
  if (!value) {
    struct oncpu_value new = {};
    fill_who(&new.who, task);
    value = phase ? oncpu_1.lookup_or_try_init(&key, &new) : oncpu_0.lookup_or_try_init(&key, &new);
  }
  if (value)
    lock_xadd(&value->hits, 1);
  else
    lost.atomic_increment(LOST_ONCPU);
}

int on_tick(struct bpf_perf_event_data *ctx) {
  u64 task = CURRENT_TASK, ids = bpf_get_current_pid_tgid(), zero = 0;
  if (!is_open()) return 0;
  u32 cpu = bpf_get_smp_processor_id();
  struct queue_key key = {.cpu = cpu, .length = queue_length(task)};
  u64 *hits = phase_now() ? queues_1.lookup_or_try_init(&key, &zero)
                          : queues_0.lookup_or_try_init(&key, &zero);
  if (hits)
    lock_xadd(hits, 1);
  else
    lost.atomic_increment(LOST_QUEUES);
  if (!(u32)ids || !in_scope(task)) return 0;
  count_oncpu(task, ids >> 32, cpu);
  set_thread(ids, RUNNING, ids >> 32);
  return 0;
}
