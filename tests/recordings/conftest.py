"""What the tests of recordings share."""

import random

import pytest

from tests.recordings import written

TICKS = 8  # of a chunk: many chunks are a small file


@pytest.fixture
def short_chunks(monkeypatch):
    """Chunks of 8 ticks, for what is recorded in this test."""
    monkeypatch.setattr("ebpftop.recording.chunker.TICKS", TICKS)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two recordings of seven chunks, the second of another machine."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ebpftop.recording.chunker.TICKS", TICKS)
        rng = random.Random(1)  # the same bytes each time: what a test found can be looked at
        patch.setattr("secrets.token_hex", lambda size: rng.randbytes(size).hex())
        return [
            written.Written.of(written.small_stream(7 * TICKS - 3, seed), folder / f"{seed}.ebt")
            for seed in (1, 2)
        ]
