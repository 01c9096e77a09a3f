"""Parquet: one file per table, or a data set in folders that Hive, DuckDB, Polars and Spark know.

Types follow from the description of a table alone, so that files of different hosts and days are
one data set whatever they hold. `time` is in microseconds, because Spark refuses nanoseconds;
`wall_ns` is exact. Row groups are bounded, and so is the memory that this takes.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ebpftop.recording.export import ExportError
from ebpftop.recording.export.csvfile import changed
from ebpftop.recording.export.output import in_file_name
from ebpftop.recording.export.tables import TIMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import IO

    from ebpftop.recording.export.output import Output
    from ebpftop.recording.export.tables import Batch, Sheet, Type

ROWS_PER_GROUP = 65_536
ROWS_TOGETHER = 2048  # columns of a few rows each would be all overhead
BYTES_WAITING = 32 << 20  # of all tables together
LEVEL = 3
# Stacks are long, and the same ones come again and again.
DICTIONARY_BYTES = 8 << 20
DAY_NS = 86_400 * 10**9
HOST = list(TIMES).index("host")
INT64 = range(-(1 << 63), 1 << 63)


def microseconds(wall_ns: int) -> int:
    """The value of the column `time`."""
    return wall_ns // 1000


def arrow() -> Any:
    """The library, which is an extra.

    Raises:
        ExportError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ExportError("Parquet needs pyarrow: pip install 'ebpftop[parquet]'") from None
    return pyarrow


class Part:
    """A file that is being written.

    Attributes:
        sheet: what it holds.
        waiting_bytes: how much is to be written yet.
        misfits: values that were left out because their column is of another type.
    """

    def __init__(self, sheet: Sheet, file: IO[bytes], host_inside: bool) -> None:
        """The name of the host is in the folder's name or `host_inside`."""
        self.sheet = sheet
        self.file = file
        self.misfits = 0
        self._arrow = arrow()
        self._columns = [
            (position, name, kind)
            for position, (name, kind) in enumerate(sheet.columns)
            if host_inside or position != HOST
        ]
        names = {b"ebpftop.probe": sheet.probe, b"ebpftop.table": sheet.table}
        self._schema = self._arrow.schema(
            [(name, self._type(kind)) for _, name, kind in self._columns], names
        )
        self._writer = self._arrow.parquet.ParquetWriter(
            file,
            self._schema,
            compression="zstd",
            compression_level=LEVEL,
            dictionary_pagesize_limit=DICTIONARY_BYTES,
        )
        self._rows: list[tuple[Any, ...]] = []
        self._waiting: list[Any] = []
        self._group = self.waiting_bytes = 0

    def add(self, batch: Batch) -> None:
        """Add rows; they are written when there are enough."""
        if batch.sheet.columns != self.sheet.columns:
            raise changed(batch.sheet)
        self._rows += batch.rows
        if len(self._rows) >= ROWS_TOGETHER:
            self._convert()
            if self._group >= ROWS_PER_GROUP:
                self.write()

    def close(self) -> None:
        """Write what is left, and the file's index."""
        self.write()
        self._writer.close()

    def abandon(self) -> None:
        """Write nothing more, not even when it is collected as garbage."""
        self._writer.is_open = False

    def write(self) -> None:
        """Write what is waiting, as one row group."""
        self._convert()
        if self._waiting:
            table = self._arrow.Table.from_batches(self._waiting, self._schema)
            self._writer.write_table(table, row_group_size=table.num_rows)
        self._waiting, self._group, self.waiting_bytes = [], 0, 0

    def _convert(self) -> None:
        """Turn rows into columns, which are a tenth of their size."""
        if self._rows:
            values = list(zip(*self._rows))
            self._rows.clear()
            arrays = [self._array(values[position], kind) for position, _, kind in self._columns]
            self._waiting.append(self._arrow.RecordBatch.from_arrays(arrays, schema=self._schema))
            self._group += len(values[0])
            self.waiting_bytes += self._waiting[-1].nbytes

    def _type(self, kind: Type) -> Any:
        arrow = self._arrow
        kinds = {"int": arrow.int64, "float": arrow.float64, "text": arrow.string}
        return arrow.timestamp("us", "UTC") if kind == "time" else kinds[kind]()

    def _array(self, values: tuple[Any, ...], kind: Type) -> Any:
        wanted = self._type(kind)
        try:
            # Arrow would cut a number off at its point without a word.
            if kind != "int" or float not in set(map(type, values)):
                return self._arrow.array(values, wanted)
        except (TypeError, ValueError, OverflowError, self._arrow.ArrowException):
            pass
        fitting = [fit(value, kind) for value in values]
        self.misfits += sum(a is not None and b is None for a, b in zip(values, fitting))
        return self._arrow.array(fitting, wanted)


def fit(value: Any, kind: Type) -> int | float | str | None:
    """A value as its column can hold it, None where it cannot."""
    if kind == "text":
        return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else None
    if type(value) is int and value in INT64:
        return float(value) if kind == "float" else value
    return value if type(value) is float and kind == "float" else None


def export(
    batches: Iterable[Batch], output: Output, path_of: Callable[[Batch], str], partition: bool
) -> int:
    """Write each table to the path that `path_of` gives for its first batch, of a day if divided.

    Returns how many values were left out because they are not of the type of their column.
    """
    parts: dict[str, tuple[int, Part]] = {}
    paths: set[str] = set()
    misfits = 0
    try:
        for batch in batches:
            day = batch.wall_ns // DAY_NS if partition else 0
            of_day, part = parts.get(batch.sheet.name, (None, None))
            if part is None or of_day != day:
                misfits += _finish(part, output) if part else 0
                path = _unused(path_of(batch), paths)
                part = Part(batch.sheet, output.binary(path), not partition)
                parts[batch.sheet.name] = (day, part)
            part.add(batch)
            _relieve([part for _, part in parts.values()])
        return misfits + sum(_finish(part, output) for _, part in parts.values())
    except BaseException:
        for _, part in parts.values():
            part.abandon()
        raise


def _relieve(parts: list[Part]) -> None:
    """Write some of what is waiting where it takes too much memory."""
    if sum(part.waiting_bytes for part in parts) > BYTES_WAITING:
        max(parts, key=attrgetter("waiting_bytes")).write()


def _finish(part: Part, output: Output) -> int:
    part.close()
    output.finish(part.file)
    return part.misfits


def _unused(path: str, paths: set[str]) -> str:
    """A path that this export has not written yet: a clock that is set back begins a day again."""
    number, wanted = 1, path
    while wanted in paths:
        number += 1
        wanted = path.replace(".parquet", f"-{number}.parquet")
    paths.add(wanted)
    return wanted


class Partition:
    """Where the parts of a data set lie: by probe, table, host and day (UTC).

    A part is named after the first sample of its table in this export: exporting the same recording
    from the same moment on replaces it, and no other recording does.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._names: dict[str, str] = {}

    def path(self, batch: Batch) -> str:
        """The path of the part that begins with a batch."""
        sheet = batch.sheet
        name = self._names.get(sheet.name)
        if name is None:
            start = _utc(batch.wall_ns)
            origin = "\0".join((batch.host, batch.boot_id, sheet.name, str(batch.wall_ns)))
            digest = hashlib.blake2s(origin.encode(errors="surrogatepass"), digest_size=4)
            name = f"part-{start:%Y%m%dT%H%M%SZ}-{digest.hexdigest()}.parquet"
            self._names[sheet.name] = name
        keys = {"probe": sheet.probe, "table": sheet.table, "host": batch.host}
        folders = [f"{key}={in_file_name(value)}" for key, value in keys.items()]
        day = f"date={_utc(batch.wall_ns):%Y-%m-%d}"
        return "/".join((self._folder, *folders, day, name))


def _utc(wall_ns: int) -> datetime:
    return datetime.fromtimestamp(wall_ns // 10**9, timezone.utc)
