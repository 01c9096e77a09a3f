"""Names as in the source, and names made to do harm."""

from __future__ import annotations

import ctypes.util
import random

import pytest

from ebpftop.collector.symbols.demangle import demangled

needs_cpp = pytest.mark.skipif(not ctypes.util.find_library("stdc++"), reason="no libstdc++")


@pytest.mark.parametrize("name", ["main", "_start", "__libc_read", "_Z", "_R", "_ZN", "a.b", "é"])
def test_names_that_are_not_mangled_stay(name):
    assert demangled(name.encode()) == name


@needs_cpp
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("_ZN4shop6BasketC2Ei", "shop::Basket::Basket(int)"),
        ("_ZNSt6vectorIiSaIiEE9push_backERKi", None),
        ("_Z3runv.part.0", "run() [clone .part.0]"),
        ("_Z3runv.llvm.123456789", "run()"),
        ("_Znwm@@GLIBCXX_3.4", "operator new(unsigned long)"),
    ],
)
def test_cpp(name, text):
    text = text or "std::vector<int, std::allocator<int> >::push_back(int const&)"
    assert demangled(name.encode()) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"),
        ("_ZN4core3fmt5write17h0123456789abcdefE.llvm.1234ABCD", "core::fmt::write"),
        ("_ZN4core3fmt5write17h0123456789abcdefE.cold", "core::fmt::write"),
        (
            "_ZN53_$LT$chain..Queue$LT$T$GT$$u20$as$u20$chain..Wait$GT$4wait17h011cc09f0999dd6bE",
            "<chain::Queue<T> as chain::Wait>::wait",
        ),
        (
            "_ZN5chain4main28_$u7b$$u7b$closure$u7d$$u7d$17h2a5a7163c25d069bE",
            "chain::main::{{closure}}",
        ),
        ("_ZN1a7$RF$$C$17h2a5a7163c25d069bE", "a::&,"),
    ],
)
def test_rust_the_old_way(name, text):
    assert demangled(name.encode()) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("_RNvC5chain4main", "chain::main"),
        ("_RNvC5chain4main.llvm.1234ABCD", "chain::main"),
        ("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"),
        ("_RNCNvC5chain4main0B3_", "chain::main::{closure#0}"),
        ("_RNCNvC5chain4mains_0", "chain::main::{closure#1}"),
        ("_RINvC5chain4callNtB2_5QueueE", "chain::call::<chain::Queue>"),
        ("_RNvXC5chainINtB2_5QueuehENtB2_4Wait4wait", "<chain::Queue<u8> as chain::Wait>::wait"),
        ("_RNvMC5chainSh4wait", "<[u8]>::wait"),
        ("_RINvC1a1fAhj8_E", "a::f::<[u8; 8]>"),
        ("_RINvC1a1fTmEE", "a::f::<(u32,)>"),
        ("_RINvC1a1fRL_eQhPcOdE", "a::f::<&str, &mut u8, *const char, *mut f64>"),
        ("_RINvC1a1fFUKCmEuE", 'a::f::<unsafe extern "C" fn(u32)>'),
        ("_RINvC1a1fFG_RL0_hEjE", "a::f::<for<'a> fn(&'a u8) -> usize>"),
        ("_RINvC1a1fDNtB2_1Tp4ItemmEL_E", "a::f::<dyn a::T<Item = u32>>"),
        ("_RINvC1a1fKb1_Kin5_Kc61_E", "a::f::<true, -5, 'a'>"),
        ("_RNvC1au8gdel_5qa", "a::gödel"),
    ],
)
def test_rust_v0(name, text):
    assert demangled(name.encode()) == text


@pytest.mark.parametrize(
    "name",
    [
        "_RNvC5chain",
        "_RNvC5chain99main",
        "_RBB_",
        "_RB_",
        "_RNvB0_1a",
        "_RNvC1a1f_R",
        "_ZN4core99write17h0123456789abcdefE",
        "_RINvC1a1fKz_E",
        "_RNvC1au3_-9",
    ],
)
def test_what_is_wrongly_mangled_stays(name):
    assert demangled(name.encode())


# Harm


def doubled(times):
    """The mangled name of a C++ function, the type of whose argument doubles with each number."""
    references = ["S_", *(f"S{digit}_" for digit in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")]
    name = f"_Z1f1A1BI{references[0] * 2}E"
    for each in range(times):
        name += f"{references[1]}I{references[each + 2] * 2}E"
    return name


@needs_cpp
def test_a_name_that_grows_with_each_reference_is_left_as_it_is():
    assert demangled(doubled(2).encode()).startswith("f(A, B<A, A>")
    assert demangled(doubled(30).encode()) == doubled(30)


def test_a_rust_name_that_grows_with_each_reference_is_cut_off():
    name, place = "_RINvC1a1fTmmE", len("INvC1a1f")
    for _ in range(30):
        here = len(name) - 2
        name += f"TB{base62(place)}B{base62(place)}E"
        place = here
    assert len(demangled(f"{name}E".encode())) < 2000


def base62(number):
    digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    if number == 0:
        return "_"
    number -= 1
    text = ""
    while True:
        text = digits[number % 62] + text
        number //= 62
        if not number:
            return f"{text}_"


@pytest.mark.parametrize(
    "name", ["_Z" + "P" * 100_000, "_R" + "S" * 100_000, "_ZN" + "1a" * 50_000]
)
def test_a_name_may_be_long(name):
    assert demangled(name.encode())


def test_names_of_any_letters_give_some_name():
    chance = random.Random(3)
    letters = "_RNvCMXYIBTEASKLGDFUsu0123456789abcdefz$.h17"
    for _ in range(4000):
        name = "_R" + "".join(chance.choices(letters, k=chance.randrange(1, 60)))
        assert demangled(name.encode())
        assert demangled(f"_ZN{name}17h0123456789abcdefE".encode())
