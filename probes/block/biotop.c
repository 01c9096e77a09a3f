// Block I/O by process, disk and operation.
//
// Measures: completed requests, their bytes, their time from queueing to completion, the part of it
//     before the driver got them, the longest, and a log2 histogram per process, disk, operation.
// Hooks: block_io_start (6.5) sees the process; block_rq_issue the hand-over to the driver;
//     block_rq_complete (any) the bytes and the end, in several parts if need be. Keyed by the
//     address of the request, which merging does not change as it does the sector.
//     Before 6.5, block_getrq sees the process a moment before the request is filled in: only the
//     bio is known there, and the request, which begins with it, is known by it when it is issued.
// Cost: about 0.4 us at start, 0.1 us at issue, 0.5 us at completion; before 6.5 issue costs 0.4.
// Blind spots: bio-only devices (dm, md, zram) have no requests; the disks below them do.
//     Write-back is charged to the kernel thread that submits it. Before 6.5 requests that no bio
//     asked for: commands of SG_IO, clones that dm-multipath makes of its own requests.
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#include "common.h"

#define OP_WRITE 1
#define OP_FLUSH 2
#define OP_APPEND 7  // since 5.18
#define OP_WRITE_SAME 21
#define OP_MASK 0xff

struct start {
  u64 start_ns;
  u64 issue_ns;
  u64 bytes;
  u32 pid;
  u32 pad;
  struct who who;
};

struct io_key {
  u32 pid;
  u32 dev;
  u32 op;
  u32 pad;
};

struct io_value {
  struct who who;
  u64 ios;
  u64 bytes;
  u64 lat_ns;
  u64 queue_ns;
  u64 max_ns;
};

struct latency_key {
  u32 pid;
  u32 dev;
  u32 op;
  u32 slot;
};

BPF_HASH(starts, u64, struct start, 16384);  // by request; before 6.5 first by bio
DOUBLE_HASH(io, struct io_key, struct io_value, 16384);
DOUBLE_HASH(latency, struct latency_key, u64, 16384);
MARKS_MAP;  // how many are in `starts`
SCOPE_MAP;
PHASE_MAP;
LOST_MAP;

static __always_inline bool in_scope(void) {
  u32 zero = 0;
  struct scope *wanted = scope.lookup(&zero);
  return wanted && (wanted->kind == EVERYTHING || matches(wanted, CURRENT_TASK));
}

static __always_inline u32 *find_mark(u64 address) {
  u32 zero = 0;
  struct marks *all = marks.lookup(&zero);
  return all ? &all->at[mark_of(address)] : NULL;
}

static __always_inline struct start *find_start(u64 address) {
  u32 *mark = find_mark(address);
  return mark && *mark ? starts.lookup(&address) : NULL;
}

static __always_inline void remember(u64 address, struct start *start) {
  u32 *mark = find_mark(address);
  if (starts.update(&address, start))
    lost.atomic_increment(LOST_STARTS);
  else if (mark)
    lock_xadd(mark, 1);
}

static __always_inline void forget(u64 address) {
  u32 *mark = find_mark(address);
  if (!starts.delete(&address) && mark) lock_xadd(mark, -1);
}

static __always_inline void begin(u64 address) {
  struct start start = {};
  if (!in_scope()) return;
  start.start_ns = bpf_ktime_get_ns();
  start.pid = bpf_get_current_pid_tgid() >> 32;
  fill_who(&start.who, CURRENT_TASK);
  remember(address, &start);
}

#ifdef HAVE_on_getrq
int on_getrq(struct bpf_raw_tracepoint_args *ctx) {
  begin(ARG(on_getrq, bio));
  return 0;
}

// How far the bio that a request began with may be behind those merged at its front.
#define FRONT_MERGES 64

// From when a request is issued its bios go one by one as they complete, so what is known by one of
// them is from then on known by the request. What is known by a request with such a bio is of an
// earlier one, whose end was not seen.
static __always_inline void adopt(u64 request, int bios) {
  u64 bio = 0;
  READ(bio, request, RQ_BIO);
  for (int i = 0; i < bios && bio; i++) {
    struct start *queued = find_start(bio);
    if (queued) {
      struct start start = *queued;
      forget(bio);
      remember(request, &start);
      return;
    }
    READ(bio, bio, BIO_NEXT);
  }
}
#else
#define FRONT_MERGES 0
static __always_inline void adopt(u64 request, int bios) {}

int on_start(struct bpf_raw_tracepoint_args *ctx) {
  begin(ARG(on_start, request));
  return 0;
}
#endif

// A request that becomes a part of another has no end of its own.
int on_merge(struct bpf_raw_tracepoint_args *ctx) {
  u64 request = ARG(on_merge, request);
  adopt(request, FRONT_MERGES);
  if (find_start(request)) forget(request);
  return 0;
}

int on_issue(struct bpf_raw_tracepoint_args *ctx) {
  u64 request = ARG(on_issue, request);
  adopt(request, FRONT_MERGES);
  struct start *start = find_start(request);
  // A requeued request is issued again: what it waited in between counts as queued.
  if (start) start->issue_ns = bpf_ktime_get_ns();
  return 0;
}

static __always_inline u32 device_of(u64 request) {
  u64 disk = 0;
  u32 major = 0, minor = 0;
#ifdef OFF_QUEUE_DISK
  u64 queue = 0;
  READ(queue, request, RQ_QUEUE);
  READ(disk, queue, QUEUE_DISK);
#else
  READ(disk, request, RQ_DISK);
#endif
  READ(major, disk, DISK_MAJOR);
  READ(minor, disk, DISK_MINOR);
  return major << 20 | minor;
}

// As the newest kernels number it. Before 5.18 the numbers of append and write same were the other
// way round.
static __always_inline u32 op_of(u64 request, u64 bytes) {
  u32 op = 0;
  READ(op, request, RQ_FLAGS);
  op &= OP_MASK;
  if (op == OP_WRITE && !bytes) return OP_FLUSH;  // an empty write is one
  if (op == ENUM_APPEND) return OP_APPEND;
  return op == OP_APPEND ? OP_WRITE_SAME : op;
}

static __always_inline struct io_value *find_io(struct io_key *key, struct who *who, u32 phase) {
  struct io_value *value = phase ? io_1.lookup(key) : io_0.lookup(key);
  if (value) return value;
  struct io_value new = {.who = *who};
  return phase ? io_1.lookup_or_try_init(key, &new) : io_0.lookup_or_try_init(key, &new);
}

static __always_inline void count_latency(struct io_key *key, u64 total_ns, u32 phase) {
  struct latency_key slot = {.pid = key->pid, .dev = key->dev, .op = key->op};
  slot.slot = log2_slot(total_ns);
  u64 zero = 0, *number = phase ? latency_1.lookup_or_try_init(&slot, &zero)
                                : latency_0.lookup_or_try_init(&slot, &zero);
  if (number)
    lock_xadd(number, 1);
  else
    lost.atomic_increment(LOST_LATENCY);
}

int on_complete(struct bpf_raw_tracepoint_args *ctx) {
  u64 request = ARG(on_complete, request);
  u32 done = ARG(on_complete, bytes), left = 0;
  adopt(request, 1);  // flushes without data are not issued, and not merged
  struct start *start = find_start(request);
  // No start: begun before we were, or the flush that the block layer sends on its own account.
  if (!start) return 0;
  READ(left, request, RQ_LEN);
  start->bytes += done;
  if (done < left) return 0;  // the rest completes later

  u64 total_ns = bpf_ktime_get_ns() - start->start_ns;
  u32 zero = 0, *phase_at = phase.lookup(&zero);
  u32 phase_now = phase_at ? *phase_at : 0;
  struct io_key key = {.pid = start->pid, .dev = device_of(request)};
  key.op = op_of(request, start->bytes);

  struct io_value *value = find_io(&key, &start->who, phase_now);
  if (value) {
    lock_xadd(&value->ios, 1);
    lock_xadd(&value->bytes, start->bytes);
    lock_xadd(&value->lat_ns, total_ns);
    if (start->issue_ns) lock_xadd(&value->queue_ns, start->issue_ns - start->start_ns);
    raise_to(&value->max_ns, total_ns);
  } else {
    lost.atomic_increment(LOST_IO);
  }
  count_latency(&key, total_ns, phase_now);
  forget(request);
  return 0;
}
