// Page cache by process: what reads found there and what they had to wait for.
//
// Measures: pages of read(2) and its kin, split into hits and misses; pages that became dirty; page
//     faults on mapped files and those among them that brought their page in; pages added; and,
//     apart from these, pages that hold no file's data but the file system's own (metadata).
// Hooks: mm_filemap_get_pages, mm_filemap_fault and mm_filemap_map_pages (6.12),
//     mm_filemap_add_to_page_cache (any), writeback_dirty_folio (5.16).
// Cost: about 0.15 us for a read of a cached page, 0.3 us for a long one, 0.3 us for a folio that
// is
//     added, 0.25 us for a fault or a folio that becomes dirty.
// Blind spots: tmpfs and shared memory, DAX, direct I/O; what a mapping touches after the fault
//     that mapped it; faults that map a huge page at once. On file systems with blocks larger than
//     a page, reads count whole blocks. A cached page that two reads share (they are not aligned)
//     may count once if the second begins by waiting for the disk.
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#include "common.h"

#define PG_HEAD (1ULL << ENUM_PG_HEAD)
#define S_IFMT 0170000
#define S_IFREG 0100000
#define HOLE 32   // pages already cached that reading ahead may skip: Linux's usual window, 128 KiB
#define BATCH 31  // folios, PAGEVEC_SIZE
#define XA_LEVELS 11
#define XA_SLOTS 64
#define XA_VALUE 1  // what is left of a page that was reclaimed
#define XA_NODE 2   // the low bits of an entry that points to a node, include/linux/xarray.h

struct row {
  struct who who;
  u64 hits;
  u64 misses;
  u64 dirtied;
  u64 metadata;
  u64 faults;
  u64 major_faults;
  u64 added;
  u64 metadata_dirtied;
};

struct reader_key {
  u64 mapping;
  u32 tid;
  u32 pad;
};

// A thread's reading of one file. Pages are added before the read that wants them is seen, and read
// ahead long before: `fresh` pages between `low` and `high` are there but have not been read yet.
struct reader {
  u64 call;   // the thread's count of finished reads, which tells one read from the next
  u64 index;  // where the last event of the read began
  u64 last;   // the last page that it asks for
  u64 size;   // and how many pages those are
  u64 end;    // the last page that has been counted
  u64 low;
  u64 high;
  u64 fresh;
  u64 since;  // the call that first added some of them
};

struct fault {
  u64 id;
  u64 mapping;
  u64 index;
};

DOUBLE_HASH(access, u32, struct row, 16384);
BPF_TABLE("lru_hash", struct reader_key, struct reader, readers, 32768);
BPF_TABLE("lru_hash", u32, struct fault, faulting, 16384);
SCOPE_MAP;
PHASE_MAP;
LOST_MAP;

static __always_inline bool in_scope(void) {
  u32 zero = 0;
  struct scope *wanted = scope.lookup(&zero);
  return wanted && (wanted->kind == EVERYTHING || matches(wanted, CURRENT_TASK));
}

static __always_inline struct row *row_of(u64 task_ids) {
  u32 zero = 0, pid = task_ids >> 32, *phase_at = phase.lookup(&zero);
  bool second = phase_at && *phase_at;
  struct row *row = second ? access_1.lookup(&pid) : access_0.lookup(&pid);
  if (row) return row;
  struct row new = {};
  fill_who(&new.who, CURRENT_TASK);
  row = second ? access_1.lookup_or_try_init(&pid, &new) : access_0.lookup_or_try_init(&pid, &new);
  if (!row) lost.atomic_increment(LOST_ROWS);
  return row;
}

static __always_inline u64 call_of(void) {
  u64 call = 0;
  READ_TASK(call, CURRENT_TASK, TASK_READS);
  return call;
}

// All attempts at one page fault see the same number: the kernel counts a fault when it is over.
static __always_inline u64 fault_id(void) {
  u64 task = CURRENT_TASK, minor = 0, major = 0;
  READ_TASK(minor, task, TASK_MINOR);
  READ_TASK(major, task, TASK_MAJOR);
  return minor + major + 1;
}

static __always_inline u64 pages_of(u64 folio) {
  u64 flags = 0;
  u32 pages = 1;
  READ(flags, folio, FOLIO_FLAGS);
  if (flags & PG_HEAD) READ(pages, folio, FOLIO_PAGES);
  return pages;
}

static __always_inline bool is_metadata(u64 mapping) {
  u64 host = 0;
  u16 mode = 0;
  READ(host, mapping, MAPPING_HOST);
  READ(mode, host, INODE_MODE);
  return (mode & S_IFMT) != S_IFREG;
}

// Reads ask for as much as the buffer holds; what is behind the end of the file is not read.
static __always_inline u64 within_file(u64 mapping, u64 end) {
  u64 host = 0, size = 0;
  READ(host, mapping, MAPPING_HOST);
  READ(size, host, INODE_SIZE);
  u64 last = size ? (size - 1) >> PAGE_SHIFT : 0;
  return end < last ? end : last;
}

// Whether a page is in the cache: a walk down the mapping's xarray.
static __always_inline bool is_cached(u64 mapping, u64 index) {
  u64 entry = 0;
  READ(entry, mapping, MAPPING_PAGES);
  if ((entry & 3) != XA_NODE) return entry && !(entry & XA_VALUE) && !index;
  for (int level = 0; level < XA_LEVELS; level++) {
    u64 node = entry - XA_NODE;
    u8 shift = 0;
    READ(shift, node, NODE_SHIFT);
    u64 slot = index >> (shift & 63);
    if (slot >= XA_SLOTS && !level) return false;
    slot &= XA_SLOTS - 1;
    bpf_probe_read_kernel(&entry, sizeof(entry), (void *)(node + OFF_NODE_SLOTS + 8 * slot));
    // Small numbers stand for "the same as that slot": the rest of a large folio.
    if ((entry & 3) != XA_NODE || entry < 4096) return entry && !(entry & XA_VALUE);
  }
  return false;
}

// Pages from `from` on that are being read for the first time since the thread brought them in.
static __always_inline u64 take_fresh(struct reader *reader, u64 from, u64 end) {
  u64 first = from > reader->low ? from : reader->low;
  u64 behind = end + 1 < reader->high ? end + 1 : reader->high;
  if (first >= behind) return 0;
  u64 taken = behind - first < reader->fresh ? behind - first : reader->fresh;
  u64 left = reader->fresh - taken, room = reader->high - behind;
  reader->fresh = left < room ? left : room;
  reader->low = behind;
  return taken;
}

// The first page of an event that has not been counted yet. A read comes by once for every batch of
// folios, each time with all that is left of it.
static __always_inline u64 first_new(struct reader *reader, u64 index, u64 last) {
  u64 call = call_of(), from = index;
  bool same_call = call == reader->call && index > reader->index;
  reader->call = call;
  reader->index = index;
  if (same_call && last == reader->last) return reader->end + 1;
  // A batch whose last folio is still being read in passes unseen. If that is how this read began,
  // it began where it added pages, or goes on where the one before ended, as long as that was.
  u64 gap = index - reader->low;
  if (reader->fresh && gap < reader->high - reader->low) {
    if (call == reader->since && gap <= BATCH)
      from = reader->low;
    else if (index > reader->end + 1 && last - reader->last <= reader->size)
      from = reader->end + 1;
  }
  reader->size = last + 1 - from;
  reader->last = last;
  return same_call && index <= reader->end ? reader->end + 1 : from;  // sendfile()'s pieces overlap
}

// How far an event can be judged: to the end of the read, or only to `next`, where it will come by
// again because there are pages that it has still to bring in.
static __always_inline u64 judged(u64 mapping, u64 next, u64 end, bool is_cold) {
  if (next > end || (!is_cold && end - next < BATCH)) return end;
  if (is_cold && !is_cached(mapping, next)) return next - 1;
  return is_cached(mapping, end) ? end : next - 1;
}

int on_read(struct bpf_raw_tracepoint_args *ctx) {
  if (!in_scope()) return 0;
  u64 ids = bpf_get_current_pid_tgid();
  u64 index = ARG(on_read, index), from = index, end = ARG(on_read, last), misses = 0;
  struct reader_key key = {.mapping = ARG(on_read, mapping), .tid = ids};
  if (end > index) end = within_file(key.mapping, end);
  struct reader *reader = readers.lookup(&key);
  if (!reader && end > index) {
    struct reader new = {};
    reader = readers.lookup_or_try_init(&key, &new);
    if (!reader) lost.atomic_increment(LOST_READERS);
  }
  if (reader) {
    from = first_new(reader, index, ARG(on_read, last));
    if (from > end) return 0;
    if (reader->fresh) misses = take_fresh(reader, from, end);
    u64 next = misses ? reader->low : from;
    if (next <= index) next = index + 1;  // a page that it has got
    end = judged(key.mapping, next, end, misses || from != index);
    reader->end = end;
    if (from > end) return 0;
  }
  struct row *row = row_of(ids);
  if (!row) return 0;
  u64 hits = end + 1 - from - misses;
  if (hits) lock_xadd(&row->hits, hits);
  if (misses) lock_xadd(&row->misses, misses);
  return 0;
}

// Remember what was brought in; returns how much of it a read has passed for a hit already, because
// that read began on pages that were cached.
static __always_inline u64 bring_in(struct reader *reader, u64 index, u64 pages) {
  u64 early = 0, call = call_of();
  if (call == reader->call && index > reader->index && index <= reader->end) {
    early = reader->end + 1 - index;
    if (early >= pages) return pages;
  }
  index += early;
  pages -= early;
  if (reader->fresh && index >= reader->low && index <= reader->high + HOLE) {
    if (index + pages > reader->high) reader->high = index + pages;
    u64 fresh = reader->fresh + pages, room = reader->high - reader->low;
    reader->fresh = fresh < room ? fresh : room;
  } else {
    reader->low = index;
    reader->high = index + pages;
    reader->fresh = pages;
    reader->since = call;
  }
  return early;
}

int on_add(struct bpf_raw_tracepoint_args *ctx) {
  if (!in_scope()) return 0;
  u64 folio = ARG(on_add, folio), ids = bpf_get_current_pid_tgid(), index = 0;
  struct reader_key key = {.tid = ids};
  READ(key.mapping, folio, FOLIO_MAPPING);
  READ(index, folio, FOLIO_INDEX);
  u64 pages = pages_of(folio);
  struct row *row = row_of(ids);
  if (!row) return 0;
  lock_xadd(is_metadata(key.mapping) ? &row->metadata : &row->added, pages);

  struct fault *fault = faulting.lookup(&key.tid);
  if (fault && fault->mapping == key.mapping && fault->id == fault_id()) {
    if (fault->index - index < pages) lock_xadd(&row->major_faults, 1);
    return 0;
  }
  struct reader new = {}, *reader = readers.lookup_or_try_init(&key, &new);
  if (!reader) {
    lost.atomic_increment(LOST_READERS);
    return 0;
  }
  u64 early = bring_in(reader, index, pages);
  if (!early) return 0;
  if (row->hits >= early) {
    lock_xadd(&row->hits, -early);
    lock_xadd(&row->misses, early);
  } else {
    lost.atomic_increment(LOST_EARLY, early);
  }
  return 0;
}

int on_dirty(struct bpf_raw_tracepoint_args *ctx) {
  if (!in_scope()) return 0;
  u64 folio = ARG(on_dirty, folio), ids = bpf_get_current_pid_tgid();
  struct reader_key key = {.mapping = ARG(on_dirty, mapping), .tid = ids};
  u64 pages = pages_of(folio);
  struct row *row = row_of(ids);
  if (row) lock_xadd(is_metadata(key.mapping) ? &row->metadata_dirtied : &row->dirtied, pages);
  struct reader *reader = readers.lookup(&key);
  if (!reader || !reader->fresh) return 0;
  u64 index = 0;
  READ(index, folio, FOLIO_INDEX);
  // A page that was added to be written has not been waited for: to read it is a hit.
  if (index >= reader->low && index < reader->high)
    reader->fresh -= pages < reader->fresh ? pages : reader->fresh;
  return 0;
}

static __always_inline struct fault *count_fault(u64 ids) {
  u32 tid = ids;
  u64 id = fault_id();
  struct fault *fault = faulting.lookup(&tid);
  if (!fault) {
    struct fault new = {};
    fault = faulting.lookup_or_try_init(&tid, &new);
  }
  if (!fault) {
    lost.atomic_increment(LOST_FAULTS);
    return 0;
  }
  if (fault->id == id) return fault;
  fault->id = id;
  struct row *row = row_of(ids);
  if (row) lock_xadd(&row->faults, 1);
  return fault;
}

int on_fault(struct bpf_raw_tracepoint_args *ctx) {
  if (!in_scope()) return 0;
  struct fault *fault = count_fault(bpf_get_current_pid_tgid());
  if (!fault) return 0;
  fault->mapping = ARG(on_fault, mapping);
  fault->index = ARG(on_fault, index);
  return 0;
}

// Most faults end here, with the page and its cached neighbours mapped in one go; the others go on
// to on_fault, and may come by again when the page has been brought in.
int on_map(struct bpf_raw_tracepoint_args *ctx) {
  if (!in_scope()) return 0;
  count_fault(bpf_get_current_pid_tgid());
  return 0;
}
