"""What the headers of Debian's kernels tell, against those kernels' own BTF: question by question.

Runs where both were fetched before:

    mkdir -p ~/.cache/ebpftop-kernels/btf
    python -m tests.kernels.run_in_kernel 6.1 --headers --shared ~/.cache/ebpftop-kernels/btf -- \\
      'cp /sys/kernel/btf/vmlinux /mnt/out/$(uname -r)'
"""

from __future__ import annotations

import pytest

from ebpftop import registry
from ebpftop.collector.btf import Btf
from ebpftop.collector.header_files import LOCAL, Headers
from ebpftop.collector.headers import NEED_BTF, RECORD, HeaderTypes, ask_compiler, questions
from ebpftop.sources.base import SourceError
from ebpftop.sources.interpreter import collector_python
from tests.kernels import packages
from tests.unit.test_headers import PROBES

CACHE = packages.cache()
KERNELS = sorted(
    (path.name for path in CACHE.glob("btf/*") if (CACHE / "headers" / path.name).is_dir()),
    key=packages.natural,
)


@pytest.fixture(scope="module", params=KERNELS or ["none"])
def both(request):
    """The types of one kernel, by its headers and by its BTF."""
    if not KERNELS:
        pytest.skip("no kernel's headers and BTF were fetched; this file says how")
    try:
        collector_python()
    except SourceError as error:
        pytest.skip(str(error))
    sources = CACHE / "headers" / request.param / "usr/src"
    (source,) = sources.glob("linux-headers-*-common")
    found = Headers(sources / f"linux-headers-{request.param}", source)
    probes = registry.probes().values()
    types = HeaderTypes(lambda asked: ask_compiler(found, asked), probes)
    return types, Btf(CACHE / "btf" / request.param)


def _answers(types):
    """Each question of all probes, and what is answered."""
    for question in sorted(set(questions(registry.probes()[name] for name in PROBES))):
        kind, name = question.split()
        yield question, getattr(types, {"enum": "enumerator"}.get(kind, kind))(name)


def _is_beyond_headers(question):
    name = question.split()[1]
    return name in NEED_BTF or name.split(".")[0] in LOCAL or name.startswith(RECORD)


def test_headers_tell_what_btf_tells_or_nothing_where_it_is_known_why(both):
    headers, btf = (dict(_answers(types)) for types in both)
    beyond = set(filter(_is_beyond_headers, btf))
    assert [headers.pop(question) for question in beyond] == [None] * len(beyond)
    assert headers == {question: btf[question] for question in headers}


def test_most_of_what_btf_tells_is_told(both):
    headers, btf = ([a for _, a in _answers(types) if a is not None] for types in both)
    assert len(headers) > 0.9 * len(btf) > 90
