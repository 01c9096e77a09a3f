"""ebpftop: a top-like terminal dashboard over eBPF."""

__version__ = "0.1.0"
