// What every probe's C file shares: reading kernel memory at BTF offsets, the identity of a
// process, log2 slots, and loss counters. Licence of the programs: GPL-2.0-only OR Apache-2.0.
#pragma once

// READ(x, base, RQ_LEN) fills x from the member whose offset the loader passed as OFF_RQ_LEN.
#define READ(to, base, member) \
  bpf_probe_read_kernel(&(to), sizeof(to), (void *)((char *)(base) + OFF_##member))

// Argument of the hook of a program, found by type when the probe was loaded.
#define ARG(program, name) (ctx->args[ARG_##program##_##name])

// The running thread. Since 5.11 the pointer to it has a type, and the verifier lets its members be
// read without a helper: READ_TASK(x, task, TASK_PID) costs 25 ns less than READ then, each time.
#ifdef HAVE_TASK_BTF
#define CURRENT_TASK ((u64)bpf_get_current_task_btf())
#define READ_TASK(to, task, member) (to) = *(typeof(to) *)((task) + OFF_##member)
#else
#define CURRENT_TASK bpf_get_current_task()
#define READ_TASK READ
#endif

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
  u64 set = 0, cgroup = 0, node = 0, id = 0;
  READ(set, task, TASK_CGROUPS);
#ifdef CGROUP_SUBSYS
  u64 css = 0;
  bpf_probe_read_kernel(&css, sizeof(css), (void *)(set + OFF_CSSET_SUBSYS + 8 * CGROUP_SUBSYS));
  READ(cgroup, css, CSS_CGROUP);
#else
  READ(cgroup, set, CSSET_DFL);
#endif
  READ(node, cgroup, CGROUP_KN);
  READ(id, node, KN_ID);
  return id;
}

// The name is that of the process (its group leader), not of the thread that happened to run.
static __always_inline void fill_who(struct who *who, u64 task) {
  u64 leader = 0;
  READ(leader, task, TASK_LEADER);
  READ(who->start_ns, leader, TASK_START);
  READ(who->comm, leader, TASK_COMM);
  who->cgroup = cgroup_of(task);
}

// Raise a shared maximum. Without compare-and-exchange (kernels before 5.19) the smaller of two
// values that arrive within nanoseconds of each other may stay.
static __always_inline void raise_to(u64 *maximum, u64 value) {
  u64 before = *maximum;
#ifdef HAVE_CMPXCHG
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
