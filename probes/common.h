// What every probe's C file shares: reading kernel memory at BTF offsets, the identity of a
// process, log2 slots, and loss counters. Licence of the programs: GPL-2.0-only OR Apache-2.0.
#pragma once

// READ(x, base, RQ_LEN) fills x from the member whose offset the loader passed as OFF_RQ_LEN.
#define READ(to, base, member) \
  bpf_probe_read_kernel(&(to), sizeof(to), (void *)((char *)(base) + OFF_##member))

// Argument of the hook of a program, found by type when the probe was loaded; for fexit also the
// result, ARG(on_end, return).
#define ARG(program, name) (ctx->args[ARG_##program##_##name])

// A member of a tracepoint's record, FIELD(s64, on_exit_record, result). Such a program returns
// KEEP: 0 would hide the event from every user of perf.
#define FIELD(type, program, name) (*(type *)((char *)ctx + ARG_##program##_##name))
#define KEEP 1

// The same for kprobes, whose program gets the registers as `void *ctx`: ARG_on_start_size or a
// number from 0. KRETURN is for kretprobes.
#define KARG(position) KARG_AT(position)
#define KARG_AT(position) (*(u64 *)((char *)ctx + OFF_KARG##position))
#define KRETURN (*(u64 *)((char *)ctx + OFF_KRETURN))

// The running thread. Since 5.11 the pointer to it has a type, and so have those that a hook gets
// that is declared with `typed`: the verifier lets their members be read without a helper, and what
// those point to. READ_TASK(x, task, TASK_PID) costs 25 to 36 ns less than READ then, each time.
#ifdef HAVE_TASK_BTF
#define CURRENT_TASK ((u64)bpf_get_current_task_btf())
#define READ_TASK(to, task, member) (to) = *(typeof(to) *)((task) + OFF_##member)
#else
#define CURRENT_TASK bpf_get_current_task()
#define READ_TASK READ
#endif

// The registers with which a thread entered the kernel (5.15). BCC 0.18 has no name for that
// helper; its number is part of the kernel's interface.
static u64 (*task_pt_regs)(u64 task) = (void *)175;

// What could not be counted: `lost.atomic_increment(LOST_STARTS);` (map functions cannot be called
// from macros or headers in BCC's dialect).
#define LOST_MAP BPF_ARRAY(lost, u64, 16)

// Two maps that take turns, for `Layout(double=True)`: programs write to name_0 or name_1 as
// `phase` says, and the reader drains the other. To drain a map that is being written loses a count
// wherever an entry goes between a program's lookup and its addition: a tenth of the drains of a
// hot entry.
#define DOUBLE_HASH(name, key, value, size) \
  BPF_HASH(name##_0, key, value, size);     \
  BPF_HASH(name##_1, key, value, size)
#define PHASE_MAP BPF_ARRAY(phase, u32, 1)

// Who did it, written once per map entry: the process's name may change and its id be used again,
// but (pid, start_ns) stays the same. Layout known to ebpftop/collector/maps.py.
struct who {
  u64 start_ns;
  u64 cgroup;
  char comm[16];
};

// The cgroup of a task: its v2 cgroup, or on hybrid and v1 hosts, where all v2 ids are 1, that of
// the v1 hierarchy chosen by the loader (CGROUP_SUBSYS, an index of css_set.subsys).
static __always_inline u64 cgroup_of(u64 task) {
  u64 cgroup = 0;
#ifdef HAVE_CGROUPS
  u64 set = 0;
  READ_TASK(set, task, TASK_CGROUPS);
#ifdef CGROUP_SUBSYS
  u64 css = 0;
  READ_TASK(css, set + 8 * CGROUP_SUBSYS, CSSET_SUBSYS);
  READ_TASK(cgroup, css, CSS_CGROUP);
#else
  READ_TASK(cgroup, set, CSSET_DFL);
#endif
#endif
  return cgroup;
}

static __always_inline u64 id_of(u64 cgroup) {
  u64 id = 0;
#ifdef HAVE_CGROUPS
  u64 node = 0;
  READ_TASK(node, cgroup, CGROUP_KN);
  READ_TASK(id, node, KN_ID);
#endif
  return id;
}

// The name is that of the process (its group leader), not of the thread that happened to run.
static __always_inline void fill_who(struct who *who, u64 task) {
  u64 leader = 0;
  READ_TASK(leader, task, TASK_LEADER);
  READ_TASK(who->start_ns, leader, TASK_START);
  READ(who->comm, leader, TASK_COMM);
  who->cgroup = id_of(cgroup_of(task));
}

// What to count alone, in the array `scope`: nothing at all until the collector has said it. Known
// to ebpftop/collector/scope.py. An array's look-up is a few instructions, and no call.
#define NOTHING 0
#define EVERYTHING 1
#define ONE_PROCESS 2
#define ONE_CGROUP 3  // and all below it
struct scope {
  u32 kind;
  u32 pid;
  u64 level;  // of the cgroup, the root's is 0; may be lower than it is
  u64 cgroup;
};
#define SCOPE_MAP BPF_ARRAY(scope, struct scope, 1)

#define CGROUP_LEVELS 32  // that a process may be below the cgroup

static __always_inline bool is_below(struct scope *scope, u64 task) {
#ifdef HAVE_CGROUPS
  u64 cgroup = cgroup_of(task), parent = 0;
  for (int i = 0; i < CGROUP_LEVELS; i++) {
    u32 level = 0;
    if (id_of(cgroup) == scope->cgroup) return true;
    READ_TASK(level, cgroup, CGROUP_LEVEL);
    if (level <= scope->level) return false;
    READ_TASK(parent, cgroup, CGROUP_PARENT);
    READ_TASK(cgroup, parent, CSS_CGROUP);
  }
#endif
  return false;
}

// Whether a scope that is not EVERYTHING holds a task, which comes from CURRENT_TASK or from a hook
// with types.
static __always_inline bool matches(struct scope *scope, u64 task) {
  if (scope->kind != ONE_PROCESS) return scope->kind == ONE_CGROUP && is_below(scope, task);
  u32 pid = 0;
  READ_TASK(pid, task, TASK_TGID);
  return pid == scope->pid;
}

// How many entries of a hash map have a key with such a hash, so that most of the keys that are not
// there cost no look-up (50 ns): with a scope that is nearly all of them.
#define MARKS 4096
struct marks {
  u32 at[MARKS];
};
#define MARKS_MAP BPF_ARRAY(marks, struct marks, 1)

static __always_inline u32 mark_of(u64 key) { return key * 0x9e3779b97f4a7c15ull >> 52; }

// Raise a shared maximum. Without compare-and-exchange (kernels before 5.19, clang before 12) the
// smaller of two values that arrive within nanoseconds of each other may stay.
static __always_inline void raise_to(u64 *maximum, u64 value) {
  u64 before = *maximum;
#if defined(HAVE_CMPXCHG) && __clang_major__ >= 12
#pragma unroll
  for (int attempt = 0; attempt < 4; attempt++) {
    if (value <= before) return;
    u64 seen = __sync_val_compare_and_swap(maximum, before, value);
    if (seen == before) return;
    before = seen;
  }
#else
  if (value > before) *maximum = value;
#endif
}

// Slot n holds values v with 2^n <= v < 2^(n+1); slot 0 also holds 0.
static __always_inline u32 log2_slot(u64 value) {
  u32 slot = 0;
  if (value >> 32) {
    value >>= 32;
    slot += 32;
  }
  if (value >> 16) {
    value >>= 16;
    slot += 16;
  }
  if (value >> 8) {
    value >>= 8;
    slot += 8;
  }
  if (value >> 4) {
    value >>= 4;
    slot += 4;
  }
  if (value >> 2) {
    value >>= 2;
    slot += 2;
  }
  return slot + (u32)(value >> 1);
}
