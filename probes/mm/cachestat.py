"""Page cache by process: hits, misses, dirtied pages, faults on mapped files, metadata."""

from collections.abc import Mapping

from ebpftop.probe import (
    Env,
    Layout,
    Map,
    Probe,
    Row,
    View,
    cgroup,
    count,
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
        raw_tracepoint(
            "mm_filemap_get_pages",
            "on_read",
            "mapping=struct address_space *",
            "index=long unsigned int",
            "last=long unsigned int",
        ),
        raw_tracepoint("mm_filemap_add_to_page_cache", "on_add", "folio=struct folio *"),
        raw_tracepoint(
            "writeback_dirty_folio",
            "on_dirty",
            "folio=struct folio *",
            "mapping=struct address_space *",
        ),
        raw_tracepoint(
            "mm_filemap_fault",
            "on_fault",
            "mapping=struct address_space *",
            "index=long unsigned int",
        ),
        raw_tracepoint("mm_filemap_map_pages", "on_map"),
    )
    offsets = {
        "MAPPING_HOST": "address_space.host",
        "MAPPING_PAGES": "address_space.i_pages.xa_head",
        "NODE_SHIFT": "xa_node.shift",
        "NODE_SLOTS": "xa_node.slots",
        "INODE_SIZE": "inode.i_size",
        "INODE_MODE": "inode.i_mode",
        "FOLIO_FLAGS": "folio.flags",
        "FOLIO_INDEX": "folio.index",
        "FOLIO_MAPPING": "folio.mapping",
        "FOLIO_PAGES": ("folio._nr_pages", "folio._folio_nr_pages"),
        "TASK_READS": "task_struct.ioac.syscr",
        "TASK_MINOR": "task_struct.min_flt",
        "TASK_MAJOR": "task_struct.maj_flt",
    }
    enums = {"PG_HEAD": "pageflags.PG_head"}
    maps = {"access": Layout("I", values=8, who=True, double=True)}
    state = ("readers", "faulting")
    lost = {
        "ROWS": "events of processes beyond 16384",
        "READERS": "reads that could not be told from the one before",
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
        " touches then, nor the faults that map a huge page at once. META are directories, inodes"
        " and the like where the file system keeps them in the page cache (ext4, btrfs; not XFS),"
        " and what is read of block devices. A row is the process that ran: journals and writing"
        " back are the kernel's threads. tmpfs, shared memory and direct I/O do not show."
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
