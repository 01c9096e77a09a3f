"""Off-CPU time by thread and stack: what threads wait for, and for how long."""

import os
from collections.abc import Mapping
from contextlib import suppress
from heapq import nlargest
from pathlib import Path

from ebpftop.probe import (
    Entries,
    Env,
    Frames,
    Layout,
    Map,
    Probe,
    Row,
    View,
    cgroup,
    count,
    key,
    maximum_ns,
    ns,
    pid,
    ratio,
    raw_tracepoint,
    table,
)

PROC = Path("/proc")
ROWS = 1000
# Stacks that the C file keeps have odd ids; these are ours.
NEVER_RAN = 0
EARLY_PER_READ = 512
EARLY_LIMIT = 4096
BEFORE = "[since before the start of this probe]"
KERNEL_FRAMES, USER_FRAMES, STACK_FRAMES = 48, 64, 80  # as in offcputime.c
STACKS_HELD = 12_000  # of the 16384 that the map has room for
ASLEEP, GONE = "SDTtI", "ZX"  # states of threads in /proc
BLOCKED, WAITING, COUNT, LONGEST = range(4)
NOTHING = (0, 0, 0, 0)

FORGOTTEN_PER_READ = 2000
# Process, thread, stack id.
Key = tuple[int, int, int]
# Blocked, waiting, count, longest.
Times = tuple[int, int, int, int]
# When a thread left the CPU, and when it was woken (0: not yet).
Away = tuple[int, int]


class Offcputime(Probe):
    """The scheduler's switches and wake-ups."""

    title = "Off-CPU time"
    purpose = "what threads wait for when they do not run, by stack"
    tables = (
        table(
            "stacks",
            pid(),
            key("tid", "TID", "id", "tid"),
            cgroup(),
            key("stack", "STACK", "stack", help="root first; [k] marks the kernel's frames"),
            ns("blocked_ns", "BLOCKED", help="asleep, until somebody woke it"),
            ns("waiting_ns", "WAITING", help="ready to run, until it had a CPU"),
            count("count", "TIMES", rate=False, help="times it came back; 0 is: away throughout"),
            maximum_ns("max_ns", "LONGEST", help="from when it left, be that intervals ago"),
        ),
    )
    views = (
        View("flame", "stacks", "What threads wait for", sort="blocked_ns"),
        View(
            "table",
            "stacks",
            "Top stacks",
            columns=(
                "pid",
                "tid",
                "blocked_ns",
                "waiting_ns",
                "count",
                "avg_ns",
                "max_ns",
                "stack",
            ),
            derived=(ratio("avg_ns", "AVG", ("blocked_ns", "waiting_ns"), ("count",)),),
            sort="blocked_ns",
        ),
    )
    hooks = (
        raw_tracepoint(
            "sched_switch",
            "on_switch",
            "preempt=bool",
            "prev=struct task_struct *",
            "next=struct task_struct *",
            "prev_state=unsigned int?",
            typed=True,
        ),
        raw_tracepoint("sched_wakeup", "on_wakeup", "task=struct task_struct *", typed=True),
        raw_tracepoint("sched_wakeup_new", "on_new", "task=struct task_struct *", typed=True),
    )
    offsets = {
        "TASK_PID": "task_struct.pid",
        "TASK_FLAGS": "task_struct.flags",
        "TASK_STATE": ("task_struct.__state", "task_struct.state"),
        "RAN": "task_struct.se.sum_exec_runtime",
        "RAN_BEFORE": "task_struct.se.prev_sum_exec_runtime",
    }
    maps = {
        "threads": Layout("I", values=5, who=True),
        "rows": Layout("IIQ", values=4, who=True, maxima=(LONGEST,)),
        "stacks": Layout("Q", values=1 + STACK_FRAMES),
    }
    lost = {
        "THREADS": "threads beyond 32768",
        "ROWS": "rows beyond 16384",
        "STACKS": "stacks beyond 16384",
        "RETURNS": "times a thread was not seen to come back to a CPU",
    }
    symbols = True
    help = (
        "BLOCKED is the time from leaving the CPU to being woken, WAITING from there to running"
        " again; a thread that was preempted was WAITING all along. A thread that is still away is"
        " charged for this interval all the same, so one that hangs shows a whole interval in each."
        " Threads that slept already when the probe started count from that moment, with the"
        " kernel's part of their stack alone, below [since before the start of this probe]."
        " The idle task is left out. User frames are found by frame pointers: [no frame pointers]"
        " stands where one or more are missing because code was compiled without. [cut off] stands"
        " for frames beyond 48 in the kernel, 64 in the program, or 80 together."
    )

    def begin(self) -> None:
        """Forget earlier runs."""
        self._reads = 0
        self._blocked, self._waiting = Ledger(), Ledger()
        self._early = Early()
        self._last_use: dict[int, int] = {}

    def read(self, maps: Mapping[str, Map], env: Env) -> dict[str, list[Row]]:
        """Rows of the interval."""
        self._reads += 1
        # In this order: who is seen away has no row yet for the time that is still running.
        ended = maps["rows"].drain()
        threads = maps["threads"].peek()
        away: dict[Key, Away] = {}
        owners = {process: ended.who(i) for i, ((process, _, _), _) in enumerate(ended)}
        fresh: dict[int, int] = {}
        for index, ((thread,), (start_ns, wake_ns, stack, process, who_ns)) in enumerate(threads):
            if start_ns:
                away[process, thread, stack] = (start_ns, wake_ns)
            elif not (PROC / str(thread)).exists():
                maps["threads"].delete(thread)  # an exec() gave it another id
            if who_ns >= fresh.get(process, 0):
                owners[process], fresh[process] = threads.who(index), who_ns
        strays = env.strays(process for process, _, _ in away)
        for process, thread, stack in [each for each in away if each[0] in strays]:
            maps["threads"].delete(thread)
            del away[process, thread, stack]
        self._early.add(maps["threads"], threads, env, away, owners)
        times = self._times(ended, away, env.now_ns)
        self._forget_stacks(times, maps["stacks"])
        return {"stacks": self._rows(times, owners, maps["stacks"], env)}

    def _times(self, ended: Entries, away: dict[Key, Away], now_ns: int) -> dict[Key, Times]:
        """Times of the interval: of absences that ended, and of those that last."""
        blocked, waiting, longest = {}, {}, {}
        for each, (start_ns, wake_ns) in away.items():
            if start_ns < now_ns:
                woken_ns = max(start_ns, min(wake_ns or now_ns, now_ns))
                blocked[each], waiting[each] = woken_ns - start_ns, now_ns - woken_ns
                longest[each] = now_ns - start_ns
        returned = dict(iter(ended))
        blocked = self._blocked.settle({k: v[BLOCKED] for k, v in returned.items()}, blocked)
        waiting = self._waiting.settle({k: v[WAITING] for k, v in returned.items()}, waiting)
        times: dict[Key, Times] = {}
        for each in blocked.keys() | waiting.keys():
            *_, number, max_ns = returned.get(each, NOTHING)
            time = blocked.get(each, 0), waiting.get(each, 0), number
            if any(time):
                times[each] = (*time, max(max_ns, longest.get(each, 0)))
        return times

    def _rows(
        self, times: dict[Key, Times], owners: dict[int, bytes], stacks: Map, env: Env
    ) -> list[Row]:
        kept = nlargest(ROWS, times, key=lambda k: times[k][BLOCKED] + times[k][WAITING])
        cgroups = {
            process: env.process(process, owners[process])
            for process in {process for process, _, _ in kept}
        }
        wanted = [(process, owners[process], stack) for process, _, stack in kept if stack & 1]

        def frames(stack: int) -> Frames | None:
            found = stacks.get(stack)
            if found is None:
                env.lose("stacks that went out of memory", 1)
                return None
            return _frames(found)

        folded = dict(zip(wanted, env.fold(wanted, frames)))
        rows: list[Row] = []
        for process, thread, stack in kept:
            text = folded.get((process, owners[process], stack)) or self._early.texts[stack]
            rows.append((process, thread, cgroups[process], text, *times[process, thread, stack]))
        if len(times) > len(kept):
            env.leave_out("stacks", len(times) - len(kept))
            left = [times[each] for each in times.keys() - set(kept)]
            *sums, longest = zip(*left)
            rows.append((None, None, None, None, *map(sum, sums), max(longest)))
        return rows

    def _forget_stacks(self, times: dict[Key, Times], stacks: Map) -> None:
        """Make room for new stacks where those long unused take it."""
        for _, _, stack in times:
            if stack & 1:
                self._last_use[stack] = self._reads
        if len(self._last_use) <= STACKS_HELD:
            return
        for stack in sorted(self._last_use, key=self._last_use.__getitem__)[:FORGOTTEN_PER_READ]:
            if self._last_use[stack] >= self._reads - 1:
                break
            stacks.delete(stack)
            del self._last_use[stack]


class Ledger:
    """What has been charged to threads that are away, ahead of the row that comes when they return.

    A row holds the whole of a time away, from leaving the CPU to being back on it, but appears only
    then. Until then each interval is charged for its part, and the row, when it comes, only for
    what is left. So over any number of samples nothing is counted twice, and nothing is missing.
    """

    def __init__(self) -> None:
        self._ahead: dict[Key, int] = {}
        self._late: dict[Key, int] = {}

    def settle(self, returned: Mapping[Key, int], away: Mapping[Key, int]) -> dict[Key, int]:
        """What the interval is charged, from rows, and from how long those now away have been."""
        charged = dict(returned)
        before, self._ahead = self._ahead, {}
        late, self._late = self._late, {}
        for each in before.keys() | away.keys():
            owed, row, so_far = before.get(each, 0), returned.get(each, 0), away.get(each, 0)
            ahead = max(owed - row, so_far)
            charged[each] = ahead + row - owed
            # More than the present time away: the thread returned between the two reads, and its
            # row comes with the next. If it does not come then, the return was not seen.
            ahead -= min(max(0, late.get(each, 0) - row), ahead - so_far)
            if ahead > so_far:
                self._late[each] = ahead - so_far
            if ahead:
                self._ahead[each] = ahead
        return charged


class Early:
    """Threads that slept already when the probe started, and may go on to sleep for ever.

    Nothing has been seen of them, so they are looked up in /proc, once, and entered into the map
    `threads` as away since then; the programs take it from there. One that has run in between has
    an entry already, which stays.
    """

    def __init__(self) -> None:
        self.texts = {NEVER_RAN: "[new thread]"}
        self._ids: dict[str, int] = {}
        self._waiting: list[tuple[int, int]] | None = None
        self._since_ns = 0

    def add(
        self,
        threads: Map,
        seen: Entries,
        env: Env,
        away: dict[Key, Away],
        owners: dict[int, bytes],
    ) -> None:
        """Enter the next of them, into the map and into what was read of it."""
        if self._waiting is None:
            self._since_ns = env.now_ns - env.dt_ns
            known = {thread for (thread,), _ in seen}
            threads_now = _threads(env.processes())
            self._waiting = [found for found in threads_now if found[1] not in known]
            beyond = max(0, len(self._waiting) - EARLY_LIMIT)
            env.lose("threads asleep since before the start, beyond 4096", beyond)
            del self._waiting[EARLY_LIMIT:]
        batch = self._waiting[:EARLY_PER_READ]
        del self._waiting[:EARLY_PER_READ]
        for process, thread in batch:
            folder = f"{PROC}/{process}/task/{thread}"
            who = owners.get(process) or env.who(process)
            if not who or _state(folder) not in ASLEEP:
                continue
            text = _kernel_stack(folder)
            stack = self._ids.setdefault(text, 2 * len(self._ids) + 2)
            self.texts[stack] = text
            if not threads.add((thread,), who, (self._since_ns, 0, stack, process, 0)):
                continue
            if _state(folder) in GONE:
                threads.delete(thread)  # it woke and died in between: nobody else would
                continue
            owners[process] = who
            away[process, thread, stack] = (self._since_ns, 0)


def _threads(processes: set[int]) -> list[tuple[int, int]]:
    """Process and thread ids of all threads of some processes."""
    found = []
    for process in sorted(processes):
        with suppress(OSError):
            threads = os.listdir(PROC / str(process) / "task")
            found += [(process, int(thread)) for thread in threads]
    return found


def _state(folder: str) -> str:
    """State letter of a thread, as in ps(1); X where it has gone."""
    try:
        text = Path(f"{folder}/stat").read_text(errors="replace")
    except OSError:
        return "X"
    return text[text.rindex(")") + 2]


def _kernel_stack(folder: str) -> str:
    """Folded kernel stack of a sleeping thread, from lines like `[<0>] do_wait+0x6d/0x140`."""
    try:
        lines = Path(f"{folder}/stack").read_text().splitlines()
    except OSError:  # not for everyone, or a kernel without CONFIG_STACKTRACE
        lines = []
    frames = [line.split()[1].partition("+")[0] + "_[k]" for line in lines]
    return ";".join([BEFORE, *reversed(frames)])


def _frames(values: tuple[int, ...]) -> Frames:
    """Frames from an entry of the map `stacks`."""
    kernel, user = values[0] & 0xFFFFFFFF, values[0] >> 32
    addresses = values[1 : 1 + min(kernel + user, STACK_FRAMES)]
    return Frames(
        addresses[:kernel],
        addresses[kernel:],
        kernel_cut=kernel == KERNEL_FRAMES,
        user_cut=user == USER_FRAMES or kernel + user > STACK_FRAMES,
    )
