"""Set up and run ebpftop in fresh roots of other distributions, on this machine's kernel.

    sudo .venv/bin/python -m tests.distributions jammy trixie
    sudo .venv/bin/python -m tests.distributions jammy --steps setup,collect

Each root is made by debootstrap and kept in a cache; what is tried is a copy, and this repository's
last commit. Mounts are those of a namespace that ends with the command. Needs root, debootstrap,
its archive, PyPI, and for Ubuntu its keys (package ubuntu-keyring). Exit status: 0 where all went
well.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

DEBIAN, UBUNTU = "http://deb.debian.org/debian", "http://archive.ubuntu.com/ubuntu"
RELEASES = {DEBIAN: ("bookworm", "trixie", "sid"), UBUNTU: ("jammy", "noble")}
ROOTS = {name: archive for archive, names in RELEASES.items() for name in names}
KEYS = {DEBIAN: "debian-archive-keyring.gpg", UBUNTU: "ubuntu-archive-keyring.gpg"}
CACHE = Path("/var/cache/ebpftop-roots")
REPOSITORY = Path(__file__).parents[1]
HERE = "/srv/ebpftop"  # in a root
PATH = f"{HERE}/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSED_ON = ("PIP_CERT", "PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT", "http_proxy", "https_proxy")
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"  # a proxy's own may be among them
MOUNTS = 'mount -t proc proc "$0/proc"; mount --rbind /sys "$0/sys"; mount --rbind /dev "$0/dev"'
PROBES = ("biotop", "tcptop", "offcputime", "runqlen", "cachestat", "syscount")
RUNNING = (
    "import json, sys; records = [json.loads(line) for line in sys.stdin];"
    "probes = {r['probe'] for r in records if r['t'] == 'sample' and r['tables']};"
    f"sys.exit(sorted({{*{PROBES!r}}} - probes) or 0)"
)
STEPS = {
    "setup": "apt-get -qq update && apt-get -qq install --no-install-recommends make tzdata"
    " && make setup",
    "doctor": "ebpftop doctor && ebpftop doctor --json > /srv/doctor.json",
    "probes": "ebpftop probes && ! ebpftop probes | grep -v ' full '",
    "collect": f"ebpftop collect --count 2 </dev/null | python3 -c {shlex.quote(RUNNING)}",
    "top": "ebpftop top syscount -i 1 -n 2 --rows 5",
    "record": "ebpftop record -o /srv/box.ebt --duration 3s && ebpftop top biotop /srv/box.ebt",
    "export": "ebpftop export /srv/box.ebt --format csv --probe syscount | tail -n 2",
    "demo": "ebpftop --help && ebpftop view --help && ebpftop top tcptop -n 1 "
    "$(python -c 'from ebpftop.commands.demo import RECORDING; print(RECORDING)')",
    "check": "make check",
    **{name: f"make setup-dev && pytest -rs tests/bpf/test_{name}.py" for name in PROBES},
}


def made(name: str, keys: Path) -> Path:
    """The root of a distribution as debootstrap makes it, once."""
    root = CACHE / name
    if not root.exists():
        archive, new = ROOTS[name], CACHE / f"{name}.new"
        shutil.rmtree(new, ignore_errors=True)
        components = "main" if archive == DEBIAN else "main,universe"
        options = ["--variant=minbase", "--include=ca-certificates", f"--components={components}"]
        options.append(f"--keyring={keys / KEYS[archive]}")
        subprocess.run(["debootstrap", *options, name, str(new), archive], check=True)
        new.rename(root)
    return root


def fresh(name: str, keys: Path) -> Path:
    """A copy of it, with the repository's last commit and this machine's way to the network."""
    root = CACHE / f"{name}.tried"
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(made(name, keys)), str(root)], check=True)
    for file in ("etc/resolv.conf", "etc/hosts", CERTIFICATES):
        shutil.copyfile(f"/{file}", root / file)
    if ROOTS[name] == UBUNTU:
        updates = f"deb {UBUNTU} {name}-updates main universe\n"
        (root / "etc/apt/sources.list.d/updates.list").write_text(updates)
    subprocess.run(["git", "clone", "-q", str(REPOSITORY), str(root) + HERE], check=True)
    return root


def run_in(root: Path, command: str, log: Path) -> bool:
    """Whether a command succeeds there; its output is added to the log."""
    kept = {key: value for key, value in os.environ.items() if key.startswith(PASSED_ON)}
    environment = {**kept, "PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "TERM": "xterm"}
    inside = f"cd {HERE} && {command}"
    enter = f'set -e; {MOUNTS}; exec chroot "$0" sh -c "$1"'
    namespace = ["unshare", "--mount", "--propagation", "slave"]
    with log.open("a") as out:
        out.write(f"\n$ {command}\n")
        out.flush()
        done = subprocess.run(
            [*namespace, "sh", "-c", enter, str(root), inside],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    return done.returncode == 0


def versions(root: Path) -> str:
    """What its collector runs on."""
    try:
        tools = json.loads((root / "srv/doctor.json").read_text())["tools"]
    except OSError:
        return ""
    chosen = next(python for python in tools["pythons"] if python["path"] == tools["collector"])
    return "Python {version}, BCC {bcc}, LLVM {llvm}, libbpf {libbpf}".format(**chosen)


def tried(name: str, steps: list[str], keys: Path) -> bool:
    """Whether all steps succeed; each says so on a line of its own."""
    root, log = fresh(name, keys), CACHE / f"{name}.log"
    log.write_text("")
    good = True
    for step in steps:
        start = time.monotonic()
        done = run_in(root, STEPS[step], log)
        good &= done
        print(
            f"{name:<10}{step:<12}{'ok' if done else 'FAILED':<8}{time.monotonic() - start:.0f} s"
        )
        sys.stdout.flush()
        if step == "setup" and not done:
            break
    print(f"{name:<10}{versions(root)}  {'' if good else f'see {log}'}", flush=True)
    return good


def main() -> int:
    """Run as a command; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", nargs="*", help=f"of {', '.join(ROOTS)} (all)")
    parser.add_argument("--steps", default=",".join(STEPS), help="of these (%(default)s)")
    parser.add_argument("--keys", type=Path, default=Path("/usr/share/keyrings"))
    options = parser.parse_args()
    unknown = {*options.name} - {*ROOTS} or {*options.steps.split(",")} - {*STEPS}
    if unknown:
        parser.error(f"not known: {', '.join(unknown)}")
    CACHE.mkdir(parents=True, exist_ok=True)
    steps = options.steps.split(",")
    results = [tried(name, steps, options.keys) for name in options.name or ROOTS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
