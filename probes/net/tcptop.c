// TCP by process and connection.
//
// Measures: bytes that applications sent and received, and the calls that moved them, for TCP over
//     IPv4 and IPv6 and for MPTCP (whose subflows are not counted a second time).
// Hooks: sock_send_length and sock_recv_length (6.3) give the result of every send and receive.
//     splice() from a socket passes them by; tcp_rcv_space_adjust (4.15) sees it, as the advance
//     of tcp_sock.copied_seq. It also sees ordinary receives, so it only looks when the system
//     call in progress is splice(). Kernels before 6.3: the end (fexit) of inet_sendmsg,
//     inet_recvmsg, their IPv6 twins, inet_sendpage (gone in 6.5) and tcp_splice_read. Without
//     fexit: kprobes and kretprobes on those that send, and each advance of copied_seq.
//     What MPTCP splices by a function of its own since 7.0 is seen at its end (fexit).
//     inet_sock_set_state (4.16) tells where a connection begins to read, tcp_destroy_sock (4.16)
//     when its socket's address is free for another.
// Cost: about 0.19 us a send or receive, 0.12 us more a segment received, 1 us a connection's end.
// Blind spots: TCP_ZEROCOPY_RECEIVE, io_uring's splice from a socket, what sockmap redirects in
//     the kernel; without fexit, MPTCP's splice() since 7.0. Headers and retransmits are not
//     counted: these are the application's bytes.
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#include "common.h"

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_MPTCP 262
#define MSG_PEEK 0x2
#define MSG_ERRQUEUE 0x2000
#define V4_IN_V6 0xffff0000  // the third word of a mapped address, as x86 and arm64 hold it
#define TCP_ESTABLISHED 1
#define TCP_CLOSE 7

// An IPv4 address is held as IPv6 maps it, ::ffff:a.b.c.d, whichever family the socket has.
struct address {
  u64 high;
  u64 low;
};

struct connection {
  u32 pid;
  u16 lport;
  u16 rport;
  struct address local;
  struct address remote;
  u16 protocol;
  u16 pad[3];
};

// What is remembered of a socket, so that an event costs two look-ups and reads nothing of it.
struct tcp_socket {
  struct connection connection;  // but for the pid
  u32 read_seq;                  // what comes before this sequence number has been counted
  u32 pad;
};

struct connection_value {
  struct who who;
  u64 tx_bytes;
  u64 rx_bytes;
  u64 tx_calls;
  u64 rx_calls;
};

BPF_TABLE("lru_hash", u64, struct tcp_socket, sockets, 32768);
DOUBLE_HASH(connections, struct connection, struct connection_value, 16384);
MARKS_MAP;  // by socket: how many of them are in `sockets`
SCOPE_MAP;
PHASE_MAP;
LOST_MAP;

static __always_inline bool sees_everything(void) {
  u32 zero = 0;
  struct scope *wanted = scope.lookup(&zero);
  return wanted && wanted->kind == EVERYTHING;
}

static __always_inline bool in_scope(void) {
  u32 zero = 0;
  struct scope *wanted = scope.lookup(&zero);
  return wanted && (wanted->kind == EVERYTHING || matches(wanted, CURRENT_TASK));
}

static __always_inline u32 *find_mark(u64 sk) {
  u32 zero = 0;
  struct marks *all = marks.lookup(&zero);
  return all ? &all->at[mark_of(sk)] : NULL;
}

// May it have an entry in `sockets`?
static __always_inline bool is_known(u64 sk) {
  u32 *mark = find_mark(sk);
  return mark && *mark;
}

static __always_inline void forget(u64 sk) {
  u32 *mark = find_mark(sk);
  if (!sockets.delete(&sk) && mark) lock_xadd(mark, -1);
}

static __always_inline u16 host_order(u16 port) { return port << 8 | port >> 8; }

// How far the application has read. A FIN that it has read counts as one in copied_seq.
static __always_inline u32 read_seq_of(u64 sk) {
  u32 copied = 0, next = 0;
  u64 flags = 0;
  READ(copied, sk, COPIED_SEQ);
  READ(next, sk, RCV_NXT);
  READ(flags, sk, SK_FLAGS);
  bool got_fin = flags >> ENUM_SOCK_DONE & 1;
  return got_fin && copied == next ? copied - 1 : copied;
}

// Look at a socket for the first time; NULL where it is not TCP.
static __always_inline struct tcp_socket *remember(u64 sk) {
  u16 family = 0;
  READ(family, sk, SK_FAMILY);
  if (family != AF_INET && family != AF_INET6) return NULL;
  struct tcp_socket new = {};
  struct connection *connection = &new.connection;
  READ(connection->protocol, sk, SK_PROTOCOL);
  if (connection->protocol != IPPROTO_TCP && connection->protocol != IPPROTO_MPTCP) return NULL;

  // skc_num is 0 once a connection has closed, with bytes still to be read; inet_sport stays.
  READ(connection->lport, sk, INET_SPORT);
  READ(connection->rport, sk, SK_DPORT);
  connection->lport = host_order(connection->lport);
  connection->rport = host_order(connection->rport);
  if (family == AF_INET) {
    u32 local = 0, remote = 0;
    READ(local, sk, SK_SADDR);
    READ(remote, sk, SK_DADDR);
    connection->local.low = V4_IN_V6 | (u64)local << 32;
    connection->remote.low = V4_IN_V6 | (u64)remote << 32;
  } else {
    READ(connection->local, sk, SK_SADDR6);
    READ(connection->remote, sk, SK_DADDR6);
  }
  new.read_seq = read_seq_of(sk);
  u32 *mark = find_mark(sk);
  if (mark && !sockets.lookup(&sk)) lock_xadd(mark, 1);
  sockets.update(&sk, &new);
  struct tcp_socket *socket = sockets.lookup(&sk);
  if (!socket) lost.atomic_increment(LOST_SOCKETS);
  return socket;
}

static __always_inline struct connection_value *value_of(struct tcp_socket *socket) {
  u32 zero = 0, *phase_at = phase.lookup(&zero);
  bool first = !phase_at || !*phase_at;
  struct connection key = socket->connection;
  key.pid = bpf_get_current_pid_tgid() >> 32;
  struct connection_value *value;
  if (first) {
    value = connections_0.lookup(&key);
    // Two look-ups made one by the compiler, of a map chosen at run time, cost the kernel an
    // indirect call: 20 ns.
    asm volatile("" : "+r"(value));
  } else {
    value = connections_1.lookup(&key);
  }
  if (value) return value;
  struct connection_value new = {};
  fill_who(&new.who, CURRENT_TASK);
  value = first ? connections_0.lookup_or_try_init(&key, &new)
                : connections_1.lookup_or_try_init(&key, &new);
  if (!value) lost.atomic_increment(LOST_CONNECTIONS);
  return value;
}

static __always_inline int sent(u64 sk, int bytes) {
  if (bytes <= 0 || !in_scope()) return 0;
  struct tcp_socket *socket = sockets.lookup(&sk);
  if (!socket) socket = remember(sk);
  if (!socket) return 0;
  struct connection_value *value = value_of(socket);
  if (!value) return 0;
  lock_xadd(&value->tx_bytes, bytes);
  lock_xadd(&value->tx_calls, 1);
  return 0;
}

static __always_inline int received(u64 sk, int bytes, int flags) {
  // What is peeked at is received later; the error queue gives back what was sent.
  if (bytes <= 0 || flags & (MSG_PEEK | MSG_ERRQUEUE)) return 0;
  // A socket may be shared with a process outside of the scope: what that reads is noted, too.
  bool counts = in_scope();
  if (!counts && !is_known(sk)) return 0;
  struct tcp_socket *socket = sockets.lookup(&sk);
  if (socket)
    lock_xadd(&socket->read_seq, (u32)bytes);
  else if (counts)
    socket = remember(sk);  // with read_seq after these bytes
  if (!socket || !counts) return 0;
  struct connection_value *value = value_of(socket);
  if (!value) return 0;
  lock_xadd(&value->rx_bytes, bytes);
  lock_xadd(&value->rx_calls, 1);
  return 0;
}

// What was read of a socket since it was last looked at; false where it is seen for the first time.
static __always_inline bool advance(u64 sk) {
  bool counts = in_scope();
  struct tcp_socket *socket = sockets.lookup(&sk);
  if (!socket) return !counts || !remember(sk);
  s32 bytes = read_seq_of(sk) - socket->read_seq;
  if (bytes <= 0) return true;
  lock_xadd(&socket->read_seq, (u32)bytes);
  if (!counts) return true;
  struct connection_value *value = value_of(socket);
  if (!value) return true;
  lock_xadd(&value->rx_bytes, bytes);
  lock_xadd(&value->rx_calls, 1);
  return true;
}

static __always_inline u64 sk_of(u64 socket) {
  u64 sk = 0;
  READ(sk, socket, SOCKET_SK);
  return sk;
}

// MPTCP has no pages to send: inet_sendpage gives them to inet_sendmsg, which is seen itself.
static __always_inline bool sends_pages(u64 sk) {
  u16 protocol = 0;
  READ(protocol, sk, SK_PROTOCOL);
  return protocol != IPPROTO_MPTCP;
}

#ifdef HAVE_on_send
int on_send(struct bpf_raw_tracepoint_args *ctx) { return sent(ARG(on_send, sk), ctx->args[1]); }
#endif

#ifdef HAVE_on_receive
int on_receive(struct bpf_raw_tracepoint_args *ctx) {
  return received(ARG(on_receive, sk), ctx->args[1], ctx->args[2]);
}
#endif

#ifdef HAVE_on_sendmsg
int on_sendmsg(struct bpf_raw_tracepoint_args *ctx) {
  return sent(sk_of(ARG(on_sendmsg, sock)), ARG(on_sendmsg, return ));
}

int on_sendmsg6(struct bpf_raw_tracepoint_args *ctx) {
  return sent(sk_of(ARG(on_sendmsg6, sock)), ARG(on_sendmsg6, return ));
}
#endif

#ifdef HAVE_on_sendpage
int on_sendpage(struct bpf_raw_tracepoint_args *ctx) {
  u64 sk = sk_of(ARG(on_sendpage, sock));
  return sends_pages(sk) ? sent(sk, ARG(on_sendpage, return )) : 0;
}
#endif

#ifdef HAVE_on_recvmsg
int on_recvmsg(struct bpf_raw_tracepoint_args *ctx) {
  return received(sk_of(ARG(on_recvmsg, sock)), ARG(on_recvmsg, return ), ARG(on_recvmsg, flags));
}

int on_recvmsg6(struct bpf_raw_tracepoint_args *ctx) {
  return received(sk_of(ARG(on_recvmsg6, sock)), ARG(on_recvmsg6, return ),
                  ARG(on_recvmsg6, flags));
}

int on_splice_read(struct bpf_raw_tracepoint_args *ctx) {
  return received(sk_of(ARG(on_splice_read, sock)), ARG(on_splice_read, return ), 0);
}
#endif

#ifdef HAVE_on_mptcp_splice
int on_mptcp_splice(struct bpf_raw_tracepoint_args *ctx) {
  return received(sk_of(ARG(on_mptcp_splice, sock)), ARG(on_mptcp_splice, return ), 0);
}
#endif

#ifdef HAVE_after_send
BPF_TABLE("lru_hash", u64, u64, sending, 32768);  // the socket that a thread is sending to

static __always_inline int begin(u64 sk) {
  u64 thread = bpf_get_current_pid_tgid();
  if (!in_scope()) return 0;
  if (sending.lookup(&thread)) lost.atomic_increment(LOST_SENDS);
  sending.update(&thread, &sk);
  return 0;
}

int at_sendmsg(void *ctx) { return begin(sk_of(KARG(ARG_at_sendmsg_sock))); }

int at_sendmsg6(void *ctx) { return begin(sk_of(KARG(ARG_at_sendmsg6_sock))); }

int after_send(void *ctx) {
  u64 thread = bpf_get_current_pid_tgid();
  u64 *found = sending.lookup(&thread);
  if (!found) return 0;
  u64 sk = *found;
  sending.delete(&thread);
  return sent(sk, KRETURN);
}
#endif

#ifdef HAVE_at_sendpage
int at_sendpage(void *ctx) {
  u64 sk = sk_of(KARG(ARG_at_sendpage_sock));
  return sends_pages(sk) ? begin(sk) : 0;
}
#endif

#ifdef HAVE_on_adjust
// Is the system call in progress splice(), native or 32-bit? What the other mode calls by the same
// number reads no socket.
static __always_inline bool in_splice() {
  u64 regs = task_pt_regs(CURRENT_TASK);
#ifdef __x86_64__
  u64 call = *(volatile u64 *)(regs + OFF_REGS_CALL);
  return call == 275 || call == 313;
#else
  u32 call = *(volatile u32 *)(regs + OFF_REGS_CALL);
  return call == 76 || call == 340;
#endif
}

int on_adjust(struct bpf_raw_tracepoint_args *ctx) {
  u64 sk = ARG(on_adjust, sk);
  if (!sees_everything() && !is_known(sk) && !in_scope()) return 0;
  if (in_splice() && !advance(sk)) lost.atomic_increment(LOST_SPLICES);
  return 0;
}
#endif

#ifdef HAVE_on_advance
int on_advance(struct bpf_raw_tracepoint_args *ctx) {
  u64 sk = ARG(on_advance, sk);
  if (!sees_everything() && !is_known(sk) && !in_scope()) return 0;
  if (!advance(sk)) lost.atomic_increment(LOST_RECEIVES);
  return 0;
}
#endif

int on_state(struct bpf_raw_tracepoint_args *ctx) {
  u64 sk = ARG(on_state, sk);
  int state = ctx->args[2];
  u16 protocol = 0;
  if (state != TCP_ESTABLISHED && state != TCP_CLOSE) return 0;
  READ(protocol, sk, SK_PROTOCOL);
  // An accepted MPTCP socket has no peer's address yet: its first event is soon enough to look.
  // And none is seen by tcp_destroy_sock.
  if (protocol == IPPROTO_MPTCP)
    forget(sk);
  else if (state == TCP_ESTABLISHED && sees_everything())  // whose it is nobody knows here
    remember(sk);
  return 0;
}

int on_destroy(struct bpf_raw_tracepoint_args *ctx) {
  u64 sk = ARG(on_destroy, sk);
  if (is_known(sk)) forget(sk);
  return 0;
}
