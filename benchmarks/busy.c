// Many processes that mostly sleep, and do a little of everything several times a second.
//
//     busy SECONDS PROCESSES
//
// Each has eight habits of its own: what to do, and the path of calls by which it gets there, so
// that stacks differ between processes and come again within one. It is compiled with frame
// pointers, as the distributions do by now. Files are in the working directory, TCP is loopback's.
// Used by busy.py, which compiles it and cleans up.
// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HABITS 8
#define DEPTH 10
#define PAGE 4096
#define FILE_PAGES 4096
#define LOCKS 24
#define WAIT_MS (100 + draw(850))
#define NS_PER_MS 1000000

typedef void activity(void);

static const char *const SERVICES[] = {"gateway", "accounts", "search", "billing", "mailer",
                                       "catalog", "session",  "report", "ingest",  "resizer"};
static pthread_mutex_t *locks;
static uint64_t state;  // of the random numbers; differs between processes
static int number, cached, direct, logged, client, server, polled;
static char *page;

// xorshift64
static uint64_t draw(uint64_t below) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state % below;
}

static void pause_ms(uint64_t ms) {
  struct timespec t = {ms / 1000, (ms % 1000) * NS_PER_MS};
  nanosleep(&t, NULL);
}

static void ignore(ssize_t result) { (void)result; }

// Activities, roughly those of servers: they wait, most of all.

static void wait_sleep(void) { pause_ms(WAIT_MS); }

static void wait_poll(void) {
  struct pollfd p = {.fd = client, .events = POLLIN};
  poll(&p, 1, WAIT_MS);
}

static void wait_epoll(void) {
  struct epoll_event event;
  epoll_wait(polled, &event, 1, WAIT_MS);
}

// Without the C library's function for it, which uses the frame pointer for other things.
static void wait_futex(void) {
  uint32_t word = 0;
  struct timespec t = {0, WAIT_MS * NS_PER_MS};
  syscall(SYS_futex, &word, FUTEX_WAIT, 0, &t, NULL, 0);
}

static void talk(void) {
  char text[2000];
  size_t size = 20 + draw(sizeof(text) - 20);
  ignore(write(client, text, size));
  ignore(recv(server, text, size, MSG_WAITALL));
  ignore(write(server, text, 20));
  ignore(recv(client, text, 20, MSG_WAITALL));
}

static void read_cached(void) {
  for (int i = 0; i < 8; i++) ignore(pread(cached, page, PAGE, draw(FILE_PAGES) * PAGE));
}

static void read_uncached(void) {
  off_t at = draw(FILE_PAGES - 8) * PAGE;
  posix_fadvise(cached, at, 8 * PAGE, POSIX_FADV_DONTNEED);
  ignore(pread(cached, page, PAGE, at));
}

static void read_direct(void) { ignore(pread(direct, page, PAGE, draw(FILE_PAGES) * PAGE)); }

static void write_direct(void) { ignore(pwrite(direct, page, PAGE, draw(FILE_PAGES) * PAGE)); }

static void write_log(void) {
  ignore(pwrite(logged, page, 100 + draw(2000), draw(8) * PAGE));
  fdatasync(logged);
}

static void look_for_files(void) {
  struct stat found;
  stat("missing", &found);
  open("missing/too", O_RDONLY);
  mkdir(".", 0700);
  stat("cached", &found);
}

static void use_wrongly(void) {
  char c;
  ignore(read(-1, &c, 1));
  kill(1 << 22, 0);
  ignore(readlink("cached", &c, 1));
}

static void want_lock(void) {
  pthread_mutex_t *lock = &locks[draw(LOCKS)];
  pthread_mutex_lock(lock);
  pause_ms(2);
  pthread_mutex_unlock(lock);
}

static void compute(void) {
  for (int i = 0; i < 5000; i++) draw(2);
}

static activity *const ACTIVITIES[] = {wait_sleep,   wait_poll,     wait_epoll,     wait_futex,
                                       talk,         talk,          read_cached,    read_direct,
                                       write_direct, write_log,     look_for_files, use_wrongly,
                                       want_lock,    read_uncached, compute};
#define WAITS 4
#define ALL (sizeof(ACTIVITIES) / sizeof(*ACTIVITIES))

// Functions to be on the stack: each calls the next that `path` names, five bits a call.

typedef int step(int depth, uint64_t path, activity *leaf);
static step *const STEPS[32];

static int onwards(int depth, uint64_t path, activity *leaf) {
  if (!depth) {
    leaf();
    return 0;
  }
  return STEPS[path % 32](depth - 1, path / 32, leaf) + 1;
}

// clang-format off
#define STEP_NAMES(X)                                                   \
  X(accept_client) X(account_for) X(allocate_buffer) X(apply_filter)    \
  X(authenticate) X(begin_transaction) X(build_response) X(check_quota) \
  X(commit_batch) X(decode_frame) X(dispatch_request) X(encode_reply)   \
  X(evaluate_rule) X(execute_plan) X(expire_entries) X(fetch_page)      \
  X(flush_queue) X(handle_message) X(insert_row) X(load_template)       \
  X(lookup_key) X(merge_runs) X(next_tuple) X(on_timer)                 \
  X(parse_headers) X(publish_event) X(read_manifest) X(refresh_token)   \
  X(render_fragment) X(route_call) X(scan_index) X(serialise_object)
// clang-format on

#define DEFINE(name)                                                                 \
  static __attribute__((noinline)) int name(int depth, uint64_t p, activity *leaf) { \
    return onwards(depth, p, leaf) + 1;                                              \
  }
#define MENTION(name) name,
STEP_NAMES(DEFINE)
static step *const STEPS[32] = {STEP_NAMES(MENTION)};

// A client and a server socket in one process, over v4 or v6.
static void connect_to_self(int family) {
  struct sockaddr_storage address = {.ss_family = family};
  struct sockaddr *name = (struct sockaddr *)&address;
  socklen_t size = sizeof(address);
  int listening = socket(family, SOCK_STREAM, 0);
  client = socket(family, SOCK_STREAM, 0);
  if (family == AF_INET)
    ((struct sockaddr_in *)name)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  else
    ((struct sockaddr_in6 *)name)->sin6_addr = in6addr_loopback;
  if (bind(listening, name, sizeof(address)) || listen(listening, 1) ||
      getsockname(listening, name, &size) || connect(client, name, size)) {
    perror("busy: TCP over loopback");
    exit(1);
  }
  server = accept(listening, NULL, NULL);
  close(listening);
}

static int opened(const char *path, int flags) {
  int fd = open(path, flags | O_CREAT, 0600);
  if (fd < 0 || ftruncate(fd, FILE_PAGES * PAGE)) {
    perror(path);
    exit(1);
  }
  return fd;
}

static void work(void) {
  struct {
    activity *leaf;
    uint64_t path;
  } habits[HABITS];
  char name[16];
  snprintf(name, sizeof(name), "%s", SERVICES[number % 10]);
  prctl(PR_SET_NAME, name);
  state = 0x9e3779b97f4a7c15ull * (number + 1);
  page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  cached = opened("cached", O_RDWR);
  direct = opened("direct", O_RDWR | O_DIRECT);
  logged = opened("log", O_RDWR);
  connect_to_self(number % 3 ? AF_INET : AF_INET6);
  polled = epoll_create1(0);
  for (int i = 0; i < HABITS; i++) {
    habits[i].leaf = ACTIVITIES[i ? draw(ALL) : draw(WAITS)];
    habits[i].path = draw(UINT64_MAX);
  }
  for (;;) {
    int which = draw(3) ? 0 : 1 + draw(HABITS - 1);
    onwards(DEPTH, habits[which].path, habits[which].leaf);
  }
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  pthread_mutexattr_t shared;
  pthread_mutexattr_init(&shared);
  pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
  locks = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < LOCKS; i++) pthread_mutex_init(&locks[i], &shared);
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // whatever ends busy.py ends this, and this its children
  int processes = atoi(argv[2]);
  for (number = 0; number < processes; number++) {
    if (fork()) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    work();
  }
  pause_ms(atof(argv[1]) * 1000);
  return 0;  // and they die with it
}
