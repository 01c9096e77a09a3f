// What wants the disk: postgres, etl and the backup; see demo_load.c.
// SPDX-License-Identifier: Apache-2.0
#include "demo_load.h"
#include <stdio.h>
#include <sys/stat.h>

#define BACKUP_THREADS 12

// postgres: pages of the heap are read around the page cache, those of the index through it.

static int heap, index_file, wal;
static char *page;

STEP void read_page(int file, long bytes) {
  call(SYS_pread64, file, (long)page, PAGE, draw(bytes / PAGE) * PAGE);
}

STEP void write_page(void) {
  call(SYS_pwrite64, heap, (long)page, PAGE, draw(HEAP_BYTES / PAGE) * PAGE);
}

STEP void scan_index(void) {
  for (int i = 0; i < 4; i++) read_page(index_file, INDEX_BYTES);
}

STEP void fetch_heap(int pages) {
  for (int i = 0; i < pages; i++) read_page(heap, HEAP_BYTES);
}

STEP void write_wal(void) {
  call(SYS_pwrite64, wal, (long)page, PAGE, draw(WAL_BYTES / PAGE) * PAGE);
}

STEP void flush_wal(void) { call(SYS_fdatasync, wal, 0, 0, 0); }

STEP void commit_transaction(void) {
  write_wal();
  flush_wal();
}

STEP void execute_query(char what) {
  scan_index();
  fetch_heap(what == 'R' ? 24 : 4);
  if (what == 'C') commit_transaction();
}

static void open_database(void) {
  heap = opened("heap", O_RDWR | O_DIRECT, HEAP_BYTES);
  index_file = opened("index", O_RDONLY, INDEX_BYTES);
  wal = opened("wal", O_RDWR, WAL_BYTES);
  page = buffer(PAGE);
}

STEP void serve_queries(int client) {
  char query[KEY_BYTES], rows[ROW_BYTES] = "";
  while (is_received(client, query, sizeof(query))) {
    execute_query(*query);
    if (!is_sent(client, rows, sizeof(rows))) break;
  }
}

static void backend(int client) {
  static const char form[] = "postgres: 15/main: shop shop ::1(%d) idle";
  char command[sizeof(form) + 8];
  struct sockaddr_in6 peer;
  socklen_t size = sizeof(peer);
  getpeername(client, (struct sockaddr *)&peer, &size);
  snprintf(command, sizeof(command), form, ntohs(peer.sin6_port));
  become("postgres", command, "", 0);
  open_database();
  serve_queries(client);
}

STEP void write_checkpoint(void) {
  for (int i = 0; i < 400; i++) {
    write_page();
    pause_us(4000);
  }
  call(SYS_fsync, heap, 0, 0, 0);
}

static void checkpointer(int number) {
  (void)number;
  become("postgres", "postgres: 15/main: checkpointer", "", 0);
  open_database();
  for (;; pause_us(14000000)) write_checkpoint();
}

static void background_writer(int number) {
  (void)number;
  become("postgres", "postgres: 15/main: background writer", "", 0);
  open_database();
  for (;; pause_us(200000)) {
    for (int i = 0; i < 20; i++) write_page();
  }
}

static void wal_writer(int number) {
  (void)number;
  become("postgres", "postgres: 15/main: walwriter", "", 0);
  open_database();
  for (;; pause_us(200000)) commit_transaction();
}

static void autovacuum(int number) {
  (void)number;
  become("postgres", "postgres: 15/main: autovacuum launcher", "", 0);
  open_database();
  for (;; pause_us(1000000)) fetch_heap(8);
}

void postgres(int number) {
  (void)number;
  static role *const helpers[] = {checkpointer, background_writer, wal_writer, autovacuum};
  int at = listening(AF_INET6, POSTGRES);
  become("postgres", "/usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql/15/main",
         "system.slice/db-1", POSTGRES_USER);
  for (int i = 0; i < 4; i++) started(helpers[i], i);
  for (;;) {
    int client = call(SYS_accept4, at, 0, 0, 0);
    if (client < 0) continue;
    started(backend, client);
    close(client);
  }
}

// etl: reads a dump, every other time cold, and asks for what is not there or not for it.

STEP void read_dump(int fd, char *data, int is_cold) {
  if (is_cold) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  for (long at = 0; at < DUMP_BYTES; at += 256 * KB) {
    call(SYS_pread64, fd, (long)data, 256 * KB, at);
    compute(100);
    pause_us(4000);
  }
}

STEP void look_for_files(void) {
  char path[32];
  for (int i = 0; i < 40; i++) {
    struct stat found;
    snprintf(path, sizeof(path), "inbox/%d.csv", i);
    int fd = open(path, O_RDONLY);
    if (fd >= 0) close(fd);
    if (i % 4 == 0) stat("dump", &found);
    if (i % 10 == 0) open("secret", O_RDONLY);
  }
}

static void *watch_inbox(void *with) {
  for (;; pause_us(100000)) look_for_files();
  return with;
}

void etl(int number) {
  become("etl", "/srv/shop/etl --inbox /srv/shop/inbox", "system.slice/etl-1", NOBODY);
  int fd = opened("dump", O_RDONLY, 0), database = connected(AF_INET6, POSTGRES);
  char *data = buffer(256 * KB);
  in_thread(watch_inbox, NULL);
  for (int turn = number;; turn++) {
    read_dump(fd, data, turn % 2 == 0);
    for (int i = 0; i < 10; i++) query_database(database, 'R');
    pause_us(300000);
  }
}

// backup: big direct reads, checksums, big direct writes and flushes.

static volatile uint64_t checked;

STEP void checksum(const char *data) {
  uint64_t sum = 0;
  for (long i = 0; i < MB; i += 8) sum = sum * 31 + *(const uint64_t *)(data + i);
  checked = sum;
}

STEP void read_chunk(int fd, char *data, long at) {
  call(SYS_pread64, fd, (long)data, MB, at % HEAP_BYTES);
}

STEP void write_chunk(int fd, char *data, long at) {
  call(SYS_pwrite64, fd, (long)data, MB, at % ARCHIVE_BYTES);
}

static void *archive(void *with) {
  int from = opened("heap", O_RDONLY | O_DIRECT, 0);
  int to = opened("archive", O_WRONLY | O_DIRECT, ARCHIVE_BYTES);
  char *data = buffer(MB);
  for (long at = draw(HEAP_BYTES / MB) * MB;; at += MB) {
    read_chunk(from, data, at);
    checksum(data);
    write_chunk(to, data, at);
    if (draw(8) == 0) call(SYS_fdatasync, to, 0, 0, 0);
  }
  return with;
}

void backup(int number) {
  (void)number;
  become("backup", "/usr/local/bin/backup --to /mnt/archive /var/lib/postgresql",
         "system.slice/backup.service", BACKUP);
  if (nice(10) < 0) return;
  for (int i = 0; i < BACKUP_THREADS; i++) in_thread(archive, NULL);
  until_s(132);
}
