"""`python -m ebpftop` is the `ebpftop` command."""

import sys

from ebpftop.cli import main

sys.exit(main())
