// The shop's front: clients, nginx, the application and redis; see demo_load.c.
// SPDX-License-Identifier: Apache-2.0
#include "demo_load.h"
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#define APP_THREADS 4

// A request is QUERY_BYTES long and begins with what it wants; 'S' is for a static file.

STEP void load_shop(int family) {
  char query[QUERY_BYTES] = "", *reply = buffer(REPLY_BYTES);
  for (;;) {
    int fd = connected(family, HTTP);
    for (int i = 0; i < 200; i++) {
      *query = "SSBBBBCC"[draw(8)];
      if (!is_sent(fd, query, sizeof(query)) || !is_received(fd, reply, REPLY_BYTES)) break;
      pause_us(5000 + draw(15000));
    }
    close(fd);
  }
}

void loadgen(int number) {
  char command[64];
  int family = number % 2 ? AF_INET6 : AF_INET;
  snprintf(command, sizeof(command), "loadgen --url http://%s:8080/ --clients 1",
           family == AF_INET ? "127.0.0.1" : "[::1]");
  become("loadgen", command, "system.slice/loadgen.service", NOBODY);
  load_shop(family);
}

// nginx: hands on what comes, or answers from a file.

static int peers[1024], public[2], static_file, access_log;

STEP void log_access(void) {
  char line[120];
  memset(line, ' ', sizeof(line));
  call(SYS_write, access_log, (long)line, sizeof(line), 0);
}

STEP void send_file(int client) {
  off_t at = draw(STATIC_BYTES - REPLY_BYTES);
  for (long left = REPLY_BYTES, put; left > 0; left -= put)
    if ((put = call(SYS_sendfile, client, static_file, (long)&at, left)) <= 0) break;
}

STEP void accept_client(int polled, int at) {
  struct epoll_event event = {.events = EPOLLIN};
  int client = call(SYS_accept4, at, 0, 0, 0);
  if (client < 0) return;
  int upstream = connected(AF_INET, APP);
  peers[client] = upstream, peers[upstream] = client;
  event.data.fd = client;
  epoll_ctl(polled, EPOLL_CTL_ADD, client, &event);
  event.data.fd = upstream;
  epoll_ctl(polled, EPOLL_CTL_ADD, upstream, &event);
}

STEP void proxy(int fd, char *data) {
  long got = call(SYS_read, fd, (long)data, 64 * KB, 0);
  if (got <= 0) {
    close(peers[fd]);
    close(fd);
  } else if (got == QUERY_BYTES) {
    log_access();
    if (*data == 'S')
      send_file(fd);
    else
      is_sent(peers[fd], data, got);
  } else {
    is_sent(peers[fd], data, got);
  }
}

STEP void serve_clients(void) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE};
  char *data = buffer(64 * KB);
  int polled = epoll_create1(0);
  for (int i = 0; i < 2; i++) {
    event.data.fd = public[i];
    epoll_ctl(polled, EPOLL_CTL_ADD, public[i], &event);
  }
  for (;;) {
    if (call(SYS_epoll_wait, polled, (long)&event, 1, 10000) < 1) continue;
    int fd = event.data.fd;
    if (fd == public[0] || fd == public[1])
      accept_client(polled, fd);
    else
      proxy(fd, data);
  }
}

static void nginx_worker(int number) {
  (void)number;
  become("nginx", "nginx: worker process", "system.slice/web-1", WWW_DATA);
  serve_clients();
}

void nginx(int number) {
  (void)number;
  public[0] = listening(AF_INET, HTTP);
  public[1] = listening(AF_INET6, HTTP);
  for (int i = 0; i < 2; i++) fcntl(public[i], F_SETFL, O_NONBLOCK);
  static_file = opened("static", O_RDONLY, 0);
  access_log = opened("access.log", O_WRONLY | O_APPEND, 0);
  become("nginx", "nginx: master process /usr/sbin/nginx -g daemon on;", "system.slice/web-1", 0);
  for (int i = 0; i < 3; i++) started(nginx_worker, i);
  for (;;) pause_us(1000000);
}

// app: threads, one lock around the stock, a session from redis and rows from postgres.

static uint32_t stock;  // 0 free, 1 held, 2 held and waited for

STEP void lock_stock(void) {
  uint32_t seen = 0;
  if (__atomic_compare_exchange_n(&stock, &seen, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return;
  while (__atomic_exchange_n(&stock, 2, __ATOMIC_ACQUIRE))
    call(SYS_futex, (long)&stock, FUTEX_WAIT_PRIVATE, 2, 0);
}

static void unlock_stock(void) {
  if (__atomic_exchange_n(&stock, 0, __ATOMIC_RELEASE) == 2)
    call(SYS_futex, (long)&stock, FUTEX_WAKE_PRIVATE, 1, 0);
}

STEP void load_session(int redis) {
  char key[KEY_BYTES] = "", value[4 * KEY_BYTES];
  is_sent(redis, key, sizeof(key));
  is_received(redis, value, sizeof(value));
}

void query_database(int postgres, char what) {
  char query[KEY_BYTES] = {what}, rows[ROW_BYTES];
  is_sent(postgres, query, sizeof(query));
  is_received(postgres, rows, sizeof(rows));
}

STEP void reserve_stock(int postgres) {
  lock_stock();
  query_database(postgres, 'C');
  unlock_stock();
}

STEP void check_out(int postgres) {
  query_database(postgres, 'S');
  reserve_stock(postgres);
}

STEP void browse_catalog(int postgres) { query_database(postgres, 'S'); }

STEP void render_page(int client, char *page) {
  compute(250 + draw(300));
  is_sent(client, page, REPLY_BYTES);
}

STEP void handle_request(int client, int redis, int postgres, char wanted, char *page) {
  load_session(redis);
  if (wanted == 'C')
    check_out(postgres);
  else
    browse_catalog(postgres);
  render_page(client, page);
}

static void *serve_requests(void *with) {
  int at = *(int *)with, redis = connected(AF_INET, REDIS),
      postgres = connected(AF_INET6, POSTGRES);
  char query[QUERY_BYTES], *page = buffer(REPLY_BYTES);
  for (;;) {
    int client = call(SYS_accept4, at, 0, 0, 0);
    while (is_received(client, query, sizeof(query)))
      handle_request(client, redis, postgres, *query, page);
    close(client);
  }
  return NULL;
}

void app(int at) {
  become("app", "/srv/shop/app --listen 127.0.0.1:9000 --threads 4", "system.slice/web-1",
         WWW_DATA);
  for (int i = 0; i < APP_THREADS; i++) in_thread(serve_requests, &at);
  for (;;) pause_us(1000000);
}

// redis: short requests, and a file that a thread flushes every second.

static int append_only;

static void *flush_every_second(void *with) {
  char *data = buffer(64 * KB);
  for (;;) {
    pause_us(1000000);
    call(SYS_write, append_only, (long)data, 20 * KB, 0);
    call(SYS_fdatasync, append_only, 0, 0, 0);
  }
  return with;
}

STEP void serve_keys(int at) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = at};
  char key[KEY_BYTES], value[4 * KEY_BYTES] = "";
  int polled = epoll_create1(0);
  epoll_ctl(polled, EPOLL_CTL_ADD, at, &event);
  for (;;) {
    if (call(SYS_epoll_wait, polled, (long)&event, 1, 100) < 1) continue;
    int fd = event.data.fd;
    if (fd == at) {
      event = (struct epoll_event){.events = EPOLLIN, .data.fd = call(SYS_accept4, at, 0, 0, 0)};
      epoll_ctl(polled, EPOLL_CTL_ADD, event.data.fd, &event);
    } else if (is_received(fd, key, sizeof(key))) {
      is_sent(fd, value, sizeof(value));
    } else {
      close(fd);
    }
  }
}

void redis(int number) {
  (void)number;
  int at = listening(AF_INET, REDIS);
  become("redis-server", "/usr/bin/redis-server 127.0.0.1:6379", "system.slice/cache-1",
         REDIS_USER);
  append_only = opened("appendonly.aof", O_WRONLY | O_APPEND, 0);
  in_thread(flush_every_second, NULL);
  serve_keys(at);
}
