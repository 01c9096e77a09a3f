"""Page cache by process: hits, misses, dirtied pages, faults on mapped files, metadata."""

from collections.abc import Mapping

from ebpftop.probe import (
    AllOf,
    Env,
    Layout,
    Map,
    Probe,
    Row,
    View,
    all_of,
    cgroup,
    count,
    fentry,
    fexit,
    first_of,
    kprobe,
    kretprobe,
    pid,
    ratio,
    raw_tracepoint,
    table,
)

HIT_RATIO = ratio(
    "hit_ratio",
    "HIT",
    ("hits",),
    ("hits", "misses"),
    kind="ratio",
    help="share of the pages read that were in the cache",
)


# Before 6.12: the functions that read through the page cache, by generations of the kernel.
READERS = (
    ("filemap_read", "filemap_splice_read"),  # 6.5
    ("filemap_read",),  # 5.12
    ("generic_file_buffered_read",),
)
READ_ARGS = ("iocb=struct kiocb *", "iter=struct iov_iter *")
SPLICE_ARGS = ("file=struct file *", "position=loff_t *", "size=size_t")
READ_MEMBERS = {
    "KIOCB_FILE": "kiocb.ki_filp",
    "KIOCB_POS": "kiocb.ki_pos",
    "ITER_COUNT": "iov_iter.count",
    "FILE_MAPPING": "file.f_mapping",
}
READ_TRACEPOINT = all_of(
    raw_tracepoint(
        "mm_filemap_get_pages",
        "on_read",
        "mapping=struct address_space *",
        "index=long unsigned int",
        "last=long unsigned int",
    ),
    offsets={
        "MAPPING_PAGES": "address_space.i_pages.xa_head",
        "NODE_SHIFT": "xa_node.shift",
        "NODE_SLOTS": "xa_node.slots",
        "INODE_SIZE": "inode.i_size",
    },
)


def fentries(read: str, splice: str = "") -> AllOf:
    """Beginning and end of the functions that read, by fentry and fexit."""
    hooks = [fentry(read, "on_read_begin", *READ_ARGS), fexit(read, "on_read_end")]
    if splice:
        hooks += [fentry(splice, "on_splice_begin", *SPLICE_ARGS), fexit(splice, "on_splice_end")]
    return all_of(*hooks, offsets=READ_MEMBERS)


def kprobes(read: str, splice: str = "") -> AllOf:
    """The same by kprobes."""
    hooks = [kprobe(read, "on_read_call", *READ_ARGS), kretprobe(read, "on_read_end")]
    if splice:
        hooks += [
            kprobe(splice, "on_splice_call", *SPLICE_ARGS),
            kretprobe(splice, "on_splice_end"),
        ]
    missing = (
        "of the threads that wait within a read, the kernel remembers only some for its probes"
        " (twice as many as it has CPUs, at least 10): reads of the others are not seen"
    )
    return all_of(*hooks, missing=missing, offsets=READ_MEMBERS)


# Pages became folios in 5.16.
FOLIO: dict[str, str | tuple[str, ...]] = {
    "FOLIO_FLAGS": "folio.flags",
    "FOLIO_INDEX": "folio.index",
    "FOLIO_MAPPING": "folio.mapping",
    "FOLIO_PAGES": ("folio._nr_pages", "folio._folio_nr_pages"),
}
PAGE: dict[str, str | tuple[str, ...]] = {
    "FOLIO_FLAGS": "page.flags",
    "FOLIO_INDEX": "page.index",
    "FOLIO_MAPPING": "page.mapping",
}
ADDITIONS = tuple(
    all_of(raw_tracepoint("mm_filemap_add_to_page_cache", "on_add", type_), offsets=members)
    for type_, members in (("folio=struct folio *", FOLIO), ("folio=struct page *", PAGE))
)
DIRTYINGS = (
    all_of(
        raw_tracepoint(
            "writeback_dirty_folio",
            "on_dirty",
            "folio=struct folio *",
            "mapping=struct address_space *",
        ),
        offsets=FOLIO,
    ),
    all_of(
        raw_tracepoint(
            "writeback_dirty_page",
            "on_dirty",
            "folio=struct page *",
            "mapping=struct address_space *",
        ),
        offsets=PAGE,
    ),
)
FAULT_MEMBERS = {
    "FAULT_VMA": "vm_fault.vma",
    "FAULT_INDEX": "vm_fault.pgoff",
    "VMA_FILE": "vm_area_struct.vm_file",
    "FILE_MAPPING": "file.f_mapping",
}
FAULTS = (
    all_of(
        raw_tracepoint(
            "mm_filemap_fault",
            "on_fault",
            "mapping=struct address_space *",
            "index=long unsigned int",
        ),
        raw_tracepoint("mm_filemap_map_pages", "on_map"),
    ),
    all_of(
        fentry("filemap_fault", "on_fault_begin", "vmf=struct vm_fault *"),
        fentry("filemap_map_pages", "on_map"),
        offsets=FAULT_MEMBERS,
    ),
    all_of(
        kprobe("filemap_fault", "on_fault_call", "vmf=struct vm_fault *"),
        kprobe("filemap_map_pages", "on_map"),
        offsets=FAULT_MEMBERS,
    ),
)


class Cachestat(Probe):
    """The page cache as those see it who read, write and map files."""

    title = "Page cache"
    purpose = "what reads find in memory and what they wait for, and who makes pages dirty"
    tables = (
        table(
            "access",
            pid(),
            cgroup(),
            count("hits", "HITS/s", help="pages read that were in the cache"),
            count("misses", "MISSES/s", help="pages read that the reader had to bring in"),
            count("dirtied", "DIRTIED/s", help="pages of files that became dirty"),
            count("metadata", "META/s", help="pages added that are the file system's own"),
            count("faults", "FAULTS/s", help="page faults on mapped files"),
            count("major_faults", "MAJOR/s", help="those of them that brought their page in"),
            count("added", "ADDED/s", help="pages of files added: read, read ahead or written"),
            count("metadata_dirtied", "META DIRTIED/s", help="metadata pages that became dirty"),
        ),
    )
    views = (
        View(
            "stat",
            "access",
            "Total",
            columns=("hits", "misses", "hit_ratio", "dirtied"),
            derived=(HIT_RATIO,),
        ),
        View(
            "table",
            "access",
            "Page cache by process",
            columns=(
                *("pid", "hits", "misses", "hit_ratio", "dirtied"),
                *("faults", "major_faults", "added", "metadata"),
            ),
            derived=(HIT_RATIO,),
            sort="hits",
        ),
        View("chart", "access", "Pages read", columns=("hits", "misses")),
    )
    hooks = (
        first_of(
            READ_TRACEPOINT,
            *(fentries(*functions) for functions in READERS),
            *(kprobes(*functions) for functions in READERS),
        ),
        first_of(*ADDITIONS),
        first_of(*DIRTYINGS),
        first_of(*FAULTS),
    )
    offsets = {
        "MAPPING_HOST": "address_space.host",
        "INODE_MODE": "inode.i_mode",
        "TASK_READS": "task_struct.ioac.syscr",
        "TASK_MINOR": "task_struct.min_flt",
        "TASK_MAJOR": "task_struct.maj_flt",
    }
    enums = {"PG_HEAD": "pageflags.PG_head"}
    maps = {"access": Layout("I", values=8, who=True, double=True)}
    state = ("readers", "threads")
    lost = {
        "ROWS": "events of processes beyond 16384",
        "READERS": "reads that could not be told from the one before",
        "READS": "reads whose end was not seen",
        "FAULTS": "page faults that could not be told from the one before",
        "EARLY": "misses that the interval before had counted as hits",
    }
    help = (
        "Hits and misses are pages that read(), pread(), sendfile(), splice() and io_uring read,"
        " each page once per call. A page that a thread finds in the cache is a hit, unless it is"
        " the first to read it since its own reading, or reading ahead, brought it in: that is a"
        " miss. So a file read for the first time is all misses, although the kernel reads ahead."
        " ADDED is what really came in: what goes beyond the misses was read ahead and not used"
        " yet, brought in by faults, or written anew. Writes are neither hits nor misses; DIRTIED"
        " counts a page when it becomes dirty, not when it is written to again. FAULTS are page"
        " faults on mapped files, each of which may map 16 pages; nobody sees what a process"
        " touches then, nor, since Linux 6.12, the faults that map a huge page at once. META are"
        " directories, inodes and the like where the file system keeps them in the page cache"
        " (ext4, btrfs; not XFS), and what is read of block devices. A row is the process that"
        " ran: journals and writing back are the kernel's threads. tmpfs, shared memory and direct"
        " I/O do not show. Before Linux 6.12 a read counts when it ends."
    )

    def read(self, maps: Mapping[str, Map], env: Env) -> dict[str, list[Row]]:
        """Rows of the interval."""
        return {
            "access": env.rows(
                "access",
                maps["access"].drain(),
                lambda k, cgroup: (k[0], cgroup),
                weight=tuple(range(self.maps["access"].values)),
            )
        }
