// Page cache by process: what reads found there and what they had to wait for.
//
// Measures: pages of read(2) and its kin, split into hits and misses; pages that became dirty; page
//     faults on mapped files and those among them that brought their page in; pages added; and,
//     apart from these, pages that hold no file's data but the file system's own (metadata).
// Hooks: mm_filemap_get_pages, mm_filemap_fault and mm_filemap_map_pages (6.12);
//     mm_filemap_add_to_page_cache (any); writeback_dirty_folio (5.16) or writeback_dirty_page.
//     Before 6.12, by fentry or kprobe: beginning and end of filemap_read (5.12) or
//     generic_file_buffered_read, and of filemap_splice_read (6.5); filemap_fault,
//     filemap_map_pages.
// Cost: about 0.15 us for a read of a cached page, 0.3 us for a long one, 0.3 us for a folio that
//     is added, 0.25 us for a fault or a folio that becomes dirty. Before 6.12 a read has two
//     events, and however long it is, no more.
// Blind spots: tmpfs and shared memory, DAX, direct I/O; what a mapping touches after the fault
//     that mapped it. By the tracepoints of 6.12: faults that map a huge page at once; on file
//     systems with blocks larger than a page, reads count whole blocks; a cached page that two
//     reads share (they are not aligned) may count once if the second begins by waiting for the
//     disk. By kprobes: returns beyond those that the kernel remembers at a time; what is known of
//     them is counted as lost. By fentry and kprobes: file systems that read another one's files
//     within their own reads (ecryptfs) count for the inner one.
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#include "reads.h"

#define PG_HEAD (1ULL << ENUM_PG_HEAD)
#define S_IFMT 0170000
#define S_IFREG 0100000

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

// What a thread is at: its last page fault, and the read that it is in or was in last.
struct thread {
  u64 fault;
  u64 fault_mapping;
  u64 fault_index;
#ifndef HAVE_on_read
  u64 position_at;  // where the kernel keeps how far it has read; 0 between reads
  u64 mapping;
  u64 start;   // the byte at which it begins
  u64 from;    // the first page to count
  u64 last;    // the last page that it asks for
  u64 misses;  // those that have been counted already
  u64 end;     // the byte behind the read before
  u64 call;    // to which that belonged: the thread's count of finished reads
#endif
};

DOUBLE_HASH(access, u32, struct row, 16384);
BPF_TABLE("lru_hash", struct reader_key, struct reader, readers, 32768);
BPF_TABLE("lru_hash", u32, struct thread, threads, 16384);
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

static __always_inline struct thread *thread_of(u32 tid) {
  struct thread *thread = threads.lookup(&tid);
  if (thread) return thread;
  struct thread new = {};
  return threads.lookup_or_try_init(&tid, &new);
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
#ifdef OFF_FOLIO_PAGES  // before 5.16 regular files have no pages of several that come by here
  if (flags & PG_HEAD) READ(pages, folio, FOLIO_PAGES);
#endif
  return pages;
}

static __always_inline bool is_metadata(u64 mapping) {
  u64 host = 0;
  u16 mode = 0;
  READ(host, mapping, MAPPING_HOST);
  READ(mode, host, INODE_MODE);
  return (mode & S_IFMT) != S_IFREG;
}

#ifdef HAVE_on_read
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
#else  // beginning and end of each read

static __always_inline int begin_read(u64 file, u64 position_at, u64 size) {
  if (!in_scope()) return 0;
  struct thread *thread = thread_of(bpf_get_current_pid_tgid());
  if (!thread || thread->position_at) lost.atomic_increment(LOST_READS);
  if (!thread) return 0;
  u64 mapping = 0, start = 0;
  READ(mapping, file, FILE_MAPPING);
  bpf_probe_read_kernel(&start, sizeof(start), (void *)position_at);
  // sendfile() and splice() read in pieces: a page in which one ends and the next begins is one.
  bool goes_on = start == thread->end && mapping == thread->mapping && call_of() == thread->call;
  bool shares_page = goes_on && start & ((1 << PAGE_SHIFT) - 1);
  thread->position_at = position_at;
  thread->mapping = mapping;
  thread->start = start;
  thread->from = (start >> PAGE_SHIFT) + shares_page;
  thread->last = (start + size) >> PAGE_SHIFT;
  thread->misses = 0;
  return 0;
}

static __always_inline int begin_call(u64 iocb, u64 iter) {
  u64 file = 0, size = 0;
  READ(file, iocb, KIOCB_FILE);
  READ(size, iter, ITER_COUNT);
  return begin_read(file, iocb + OFF_KIOCB_POS, size);
}

#ifdef HAVE_on_read_begin  // fentry
int on_read_begin(struct bpf_raw_tracepoint_args *ctx) {
  return begin_call(ARG(on_read_begin, iocb), ARG(on_read_begin, iter));
}
#endif

#ifdef HAVE_on_splice_begin
int on_splice_begin(struct bpf_raw_tracepoint_args *ctx) {
  u64 file = ARG(on_splice_begin, file), position_at = ARG(on_splice_begin, position);
  return begin_read(file, position_at, ARG(on_splice_begin, size));
}
#endif

#ifdef HAVE_on_read_call  // kprobe
int on_read_call(void *ctx) {
  return begin_call(KARG(ARG_on_read_call_iocb), KARG(ARG_on_read_call_iter));
}
#endif

#ifdef HAVE_on_splice_call
int on_splice_call(void *ctx) {
  u64 file = KARG(ARG_on_splice_call_file), position_at = KARG(ARG_on_splice_call_position);
  return begin_read(file, position_at, KARG(ARG_on_splice_call_size));
}
#endif

static __always_inline int end_read(void) {
  u64 ids = bpf_get_current_pid_tgid(), end = 0;
  struct reader_key key = {.tid = ids};
  struct thread *thread = threads.lookup(&key.tid);
  if (!thread || !thread->position_at) return 0;
  bpf_probe_read_kernel(&end, sizeof(end), (void *)thread->position_at);
  thread->position_at = 0;
  thread->end = end;
  thread->call = call_of();
  if (end <= thread->start) return 0;
  u64 from = thread->from, last = (end - 1) >> PAGE_SHIFT, misses = thread->misses;
  if (last < from) return 0;
  key.mapping = thread->mapping;
  struct reader *reader = readers.lookup(&key);
  if (reader) misses += take_fresh(reader, from, last);
  u64 pages = last + 1 - from;
  if (misses > pages) misses = pages;  // it broke off before what it had brought in
  struct row *row = row_of(ids);
  if (!row) return 0;
  if (pages > misses) lock_xadd(&row->hits, pages - misses);
  if (misses) lock_xadd(&row->misses, misses);
  return 0;
}

int on_read_end(void *ctx) { return end_read(); }

#ifdef HAVE_on_splice_end
int on_splice_end(void *ctx) { return end_read(); }
#endif
#endif

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

  struct thread *thread = threads.lookup(&key.tid);
  if (thread && thread->fault_mapping == key.mapping && thread->fault == fault_id()) {
    if (thread->fault_index - index < pages) lock_xadd(&row->major_faults, 1);
    return 0;
  }
  struct reader new = {}, *reader = readers.lookup_or_try_init(&key, &new);
  if (!reader) {
    lost.atomic_increment(LOST_READERS);
    return 0;
  }
#ifdef HAVE_on_read
  u64 early = bring_in(reader, index, pages);
  if (early && row->hits >= early) {
    lock_xadd(&row->hits, -early);
    lock_xadd(&row->misses, early);
  } else if (early) {
    lost.atomic_increment(LOST_EARLY, early);
  }
#else
  bool is_reading = thread && thread->position_at && thread->mapping == key.mapping;
  if (is_reading && !adjoins(reader, index))
    thread->misses += take_fresh(reader, thread->from, thread->last);
  add_fresh(reader, index, pages);
#endif
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

static __always_inline struct thread *count_fault(u64 ids) {
  u64 id = fault_id();
  struct thread *thread = thread_of(ids);
  if (!thread) {
    lost.atomic_increment(LOST_FAULTS);
    return 0;
  }
  if (thread->fault == id) return thread;
  thread->fault = id;
  struct row *row = row_of(ids);
  if (row) lock_xadd(&row->faults, 1);
  return thread;
}

static __always_inline int note_fault(u64 mapping, u64 index) {
  struct thread *thread = count_fault(bpf_get_current_pid_tgid());
  if (!thread) return 0;
  thread->fault_mapping = mapping;
  thread->fault_index = index;
  return 0;
}

#ifdef HAVE_on_fault
int on_fault(struct bpf_raw_tracepoint_args *ctx) {
  return in_scope() ? note_fault(ARG(on_fault, mapping), ARG(on_fault, index)) : 0;
}
#else  // beginning of the function

static __always_inline int begin_fault(u64 vmf) {
  if (!in_scope()) return 0;
  u64 vma = 0, file = 0, mapping = 0, index = 0;
  READ(vma, vmf, FAULT_VMA);
  READ(index, vmf, FAULT_INDEX);
  READ(file, vma, VMA_FILE);
  READ(mapping, file, FILE_MAPPING);
  return note_fault(mapping, index);
}

#ifdef HAVE_on_fault_begin  // fentry
int on_fault_begin(struct bpf_raw_tracepoint_args *ctx) {
  return begin_fault(ARG(on_fault_begin, vmf));
}
#else
int on_fault_call(void *ctx) { return begin_fault(KARG(ARG_on_fault_call_vmf)); }
#endif
#endif

// Most faults end here, with the page and its cached neighbours mapped in one go; the others go on
// to filemap_fault, and may come by again when the page has been brought in.
int on_map(void *ctx) {
  if (!in_scope()) return 0;
  count_fault(bpf_get_current_pid_tgid());
  return 0;
}
