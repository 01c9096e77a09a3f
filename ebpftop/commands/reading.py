"""What commands that read one recording and write another have in common."""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import TYPE_CHECKING

from ebpftop.commands import UsageError, fail
from ebpftop.recording.reader import Recording
from ebpftop.recording.tape import RecordingError
from ebpftop.stream import StreamError
from ebpftop.views import format as fmt

if TYPE_CHECKING:
    from collections.abc import Callable


def with_recording(path: str, work: Callable[[Recording], None]) -> int:
    """Open a recording for some work; returns the exit status, and says what went wrong.

    SIGTERM and Ctrl-C unwind the work, so that nothing half-written is left.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with contextlib.closing(Recording(path)) as recording:
            work(recording)
    except UsageError as error:
        return fail(fmt.clean(str(error)), status=2)
    except (RecordingError, StreamError) as error:
        return fail(fmt.clean(str(error)))
    except KeyboardInterrupt:
        return 130
    return 0
