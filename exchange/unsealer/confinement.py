"""What a process gives up before it touches a secret. Linux; elsewhere most of it is told as lacking.

No one way is relied upon: a system that refuses one still gives the others, and says which it refused.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_MCL_CURRENT_AND_FUTURE = 3

_LOAD_WORD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with EPERM
_SYSCALL_AT, _ARCHITECTURE_AT = 0, 4
_X32_SYSCALLS = 0x4000_0000

# Of audit.h and unistd.h: socket, connect, io_uring_setup (which could do both), ptrace,
# process_vm_readv, process_vm_writev.
_REFUSED_CALLS = {
    "x86_64": (0xC000003E, (41, 42, 425, 101, 310, 311)),
    "aarch64": (0xC00000B7, (198, 203, 425, 117, 270, 271)),
}

OPEN_FILES = 32


def confine(*, network: bool) -> tuple[str, ...]:
    """Give up what the process does not need, for good; return the names of what was not possible.

    No core dump; no memory read by other processes of the same user; no new privileges; no longer life
    than the process that started this one; few open files; no swap, where the limit for locked memory
    allows it; and no new connections.

    Args:
        network: Leave new connections possible, as a key store beyond the network needs them.
    """
    # After the last moment at which a key was needed and before the first: nobody may look in.
    done = {
        "dumpable": _call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0),
        "privileges": _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        "parent": _call("prctl", _PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0),
        "core": _limit(resource.RLIMIT_CORE, 0),
        "files": _limit(resource.RLIMIT_NOFILE, OPEN_FILES),
        "memory": _lock_memory(),
    }
    if not network:
        done["network"] = _refuse_connections()
    return tuple(name for name, was_possible in done.items() if not was_possible)


def _limit(what: int, most: int) -> bool:
    try:
        resource.setrlimit(what, (most, most))
    except (OSError, ValueError):
        return False
    return True


def _lock_memory() -> bool:
    """Keep all memory out of swap, where there is no limit that would make later requests fail."""
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] != resource.RLIM_INFINITY:
        return False
    limits = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, limits)
    return _call("mlockall", _MCL_CURRENT_AND_FUTURE)


def _refuse_connections() -> bool:
    """Have the kernel refuse every call that opens a connection or looks into another process."""
    if platform.machine() not in _REFUSED_CALLS:
        return False
    architecture, calls = _REFUSED_CALLS[platform.machine()]
    tests = [
        # Calls of another architecture have other numbers: all of them are refused.
        (_JUMP_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD_WORD, 0, 0, _SYSCALL_AT),
        (_JUMP_IF_AT_LEAST, len(calls) + 1, 0, _X32_SYSCALLS),
        *((_JUMP_IF_EQUAL, len(calls) - number, 0, call) for number, call in enumerate(calls)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    program = b"".join(struct.pack("=HBBI", *step) for step in ((_LOAD_WORD, 0, 0, _ARCHITECTURE_AT), *tests))
    steps = ctypes.create_string_buffer(program, len(program))
    described = ctypes.create_string_buffer(struct.pack("HP", len(program) // 8, ctypes.addressof(steps)))
    return _call("prctl", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(described), 0, 0)


def _call(name: str, *arguments: int) -> bool:
    """Call the system's library; return whether it was there and did it."""
    if not sys.platform.startswith("linux") or os.name != "posix":
        return False
    function = getattr(ctypes.CDLL(None), name, None)
    return function is not None and function(*map(ctypes.c_ulong, arguments)) == 0
