"""Who tells of a kernel's types, and what a user reads where nobody does."""

from __future__ import annotations

import pytest

from ebpftop.collector import header_files, headers
from ebpftop.collector.btf import HIDDEN, WITHOUT
from ebpftop.collector.cache import Cache
from ebpftop.collector.header_files import HeadersError
from ebpftop.collector.hooks import UnavailableError
from ebpftop.collector.kernel_types import kernel_types, told


@pytest.fixture(autouse=True)
def _without_btf(monkeypatch):
    monkeypatch.setenv(WITHOUT, f"raw_tp:block_io_start,{HIDDEN}")


def failing(sentence, absent):
    def running(cache):
        raise HeadersError(sentence, absent)

    return running


def test_headers_tell_where_btf_does_not(monkeypatch):
    types = headers.HeaderTypes(lambda asked: dict.fromkeys(asked, 8), (), "/lib/modules/6/build")
    monkeypatch.setattr(headers, "running", lambda cache: types)
    found = told(Cache())
    assert (found.types, found.headers) == (types, "/lib/modules/6/build")
    assert "BTF" in found.btf_error
    assert kernel_types(Cache()) is types


def test_where_there_are_no_headers_the_card_says_how_to_get_them(monkeypatch):
    monkeypatch.setattr(headers, "running", failing("its headers are not installed", absent=True))
    monkeypatch.setattr(header_files, "command", lambda *asked: "apt install headers")
    with pytest.raises(UnavailableError, match=r"BTF.*, and its headers are not") as card:
        kernel_types(Cache())
    assert card.value.hint.startswith("apt install headers, or boot a kernel built with")


def test_where_headers_are_of_no_help_they_are_not_asked_for_again(monkeypatch):
    monkeypatch.setattr(headers, "running", failing("not understood", absent=False))
    with pytest.raises(UnavailableError, match="not understood") as card:
        kernel_types(Cache())
    assert card.value.hint == "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y"
