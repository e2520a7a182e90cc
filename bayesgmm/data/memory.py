"""How much memory there is, asked before it is taken."""

from __future__ import annotations

import os
from pathlib import Path

from bayesgmm.data.errors import InputError

__all__ = ["available_memory", "refuse_if_too_large", "size"]

# The rest is for what no estimate knows.
_SHARE = 0.8


def available_memory() -> int | None:
    """Bytes that this process may still take: of the machine and of its control group, the less; None where nothing says."""
    found = [room for room in (_of_machine(), _of_group()) if room is not None]
    return min(found) if found else None


def refuse_if_too_large(needed: float, what: str, remedy: str) -> None:
    """Refuse what would not fit.

    Raises
    ------
    InputError
        ``needed`` bytes are more than four fifths of what is available.
    """
    room = available_memory()
    if room is not None and needed > _SHARE * room:
        raise InputError(f"{what} needs about {size(needed)} of memory and {size(room)} are free; {remedy}")


def size(n_bytes: float) -> str:
    """Bytes in words: 1.4 GB."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.3g} {name}"
    return f"{n_bytes:.0f} bytes"


def _of_machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:  # no system but Linux says what is free
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _of_group() -> int | None:
    """Control groups, version 2 and 1."""
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            return max(0, int(Path(limit).read_text("ascii")) - int(Path(used).read_text("ascii")))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return None
