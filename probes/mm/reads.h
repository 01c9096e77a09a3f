// What threads bring into the page cache, and which of it they have read: a page read for the first
// time since its reader brought it in, or read it ahead, was missed. For cachestat.c. No maps here.
#pragma once
#include "common.h"

#define HOLE 32   // pages already cached that reading ahead may skip: Linux's usual window, 128 KiB
#define BATCH 31  // folios, PAGEVEC_SIZE
#define XA_LEVELS 11
#define XA_SLOTS 64
#define XA_VALUE 1  // what is left of a page that was reclaimed
#define XA_NODE 2   // the low bits of an entry that points to a node, include/linux/xarray.h

struct reader_key {
  u64 mapping;
  u32 tid;
  u32 pad;
};

// A thread's reading of one file. Pages are added before the read that wants them is seen, and read
// ahead long before: `fresh` pages between `low` and `high` are there but have not been read yet.
struct reader {
  u64 low;
  u64 high;
  u64 fresh;
#ifdef HAVE_on_read
  u64 since;  // the call that first added some of them
  u64 call;   // the thread's count of finished reads, which tells one read from the next
  u64 index;  // where the last event of the read began
  u64 last;   // the last page that it asks for
  u64 size;   // and how many pages those are
  u64 end;    // the last page that has been counted
#endif
};

static __always_inline u64 call_of(void) {
  u64 call = 0;
  READ_TASK(call, CURRENT_TASK, TASK_READS);
  return call;
}

static __always_inline bool adjoins(struct reader *reader, u64 index) {
  return reader->fresh && index >= reader->low && index <= reader->high + HOLE;
}

static __always_inline void add_fresh(struct reader *reader, u64 index, u64 pages) {
  if (adjoins(reader, index)) {
    if (index + pages > reader->high) reader->high = index + pages;
    u64 fresh = reader->fresh + pages, room = reader->high - reader->low;
    reader->fresh = fresh < room ? fresh : room;
  } else {
    reader->low = index;
    reader->high = index + pages;
    reader->fresh = pages;
  }
}

// Pages from `from` on that are being read for the first time since the thread brought them in.
static __always_inline u64 take_fresh(struct reader *reader, u64 from, u64 end) {
  u64 first = from > reader->low ? from : reader->low;
  u64 behind = end + 1 < reader->high ? end + 1 : reader->high;
  if (!reader->fresh || first >= behind) return 0;
  u64 taken = behind - first < reader->fresh ? behind - first : reader->fresh;
  u64 left = reader->fresh - taken, room = reader->high - behind;
  reader->fresh = left < room ? left : room;
  reader->low = behind;
  return taken;
}

#ifdef HAVE_on_read  // the tracepoint, which shows a read batch by batch, not its beginning and end

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
#pragma nounroll  // clang 21 would use a register that a call has made invalid
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

// Remember what was brought in; returns how much of it a read has passed for a hit already, because
// that read began on pages that were cached.
static __always_inline u64 bring_in(struct reader *reader, u64 index, u64 pages) {
  u64 early = 0, call = call_of();
  if (call == reader->call && index > reader->index && index <= reader->end) {
    early = reader->end + 1 - index;
    if (early >= pages) return pages;
  }
  if (!adjoins(reader, index + early)) reader->since = call;
  add_fresh(reader, index + early, pages - early);
  return early;
}
#endif
