"""Which system calls a cell may make. Knows nothing of who asks; the numbers are those of x86_64."""

import errno
import struct
from collections.abc import Iterable

AUDIT_ARCH_X86_64 = 0xC000003E
_FIRST_UNKNOWN = 468
"""From here on are calls that no list here knows: those of later kernels, and x32's second set of numbers."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_AT_NUMBER, _AT_ARCH, _AT_FIRST_ARGUMENT, _AT_SECOND_ARGUMENT = 0, 4, 16, 24

DENIED = {
    # other processes' memory and state
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "process_madvise": 440, "process_mrelease": 448,
    "kcmp": 312, "pidfd_getfd": 438,
    # interfaces with a long record of kernel bugs
    "bpf": 321, "perf_event_open": 298, "fanotify_init": 300, "userfaultfd": 323, "io_uring_setup": 425,
    "io_uring_enter": 426, "io_uring_register": 427, "modify_ldt": 154,
    # keys are kept per user, not per namespace
    "keyctl": 250, "add_key": 248, "request_key": 249,
    # namespaces and mounts
    "unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161,
    "name_to_handle_at": 303, "open_by_handle_at": 304, "open_tree": 428, "move_mount": 429, "fsopen": 430,
    "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442, "open_tree_attr": 467, "statmount": 457,
    "listmount": 458,
    # channels that outlive a process
    "shmget": 29, "shmat": 30, "shmctl": 31, "semget": 64, "msgget": 68, "mq_open": 240,
    # the machine
    "kexec_load": 246, "kexec_file_load": 320, "init_module": 175, "finit_module": 313, "personality": 135,
    "syslog": 103, "quotactl": 179, "quotactl_fd": 443, "reboot": 169, "mknod": 133, "mknodat": 259,
    # memory that neither the size of a tmpfs nor a sum over processes shows
    "memfd_create": 319, "memfd_secret": 447, "vmsplice": 278,
    # the whole machine writes to its disks
    "sync": 162, "syncfs": 306,
}  # fmt: skip
DENIED_TO_HOSTILE = {
    # seen by all who see the same file, on the host and in other boxes, and counted for its user
    "flock": 73, "inotify_init": 253, "inotify_init1": 294, "io_setup": 206,
}  # fmt: skip
DENIED_BESIDE_OTHERS = {
    # addresses, by which two cells of one container could meet past their parent: pairs need none
    "bind": 49, "connect": 42, "listen": 50, "accept": 43, "accept4": 288,
    # how the launcher, the zygote and other cells run: they have the same user
    "setpriority": 141, "sched_setparam": 142, "sched_setscheduler": 144, "sched_setaffinity": 203, "ioprio_set": 251,
    "migrate_pages": 256, "move_pages": 279, "sched_setattr": 314,
    # notes on a file, which whoever knows its name could read
    "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "setxattrat": 463,
}  # fmt: skip
_LOCKS_LEASES_WATCHES = (6, 7, 37, 38, 1024, 1026)
"""Commands of fcntl: F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW, F_SETLEASE, F_NOTIFY."""
_CLONE, _CLONE3, _SOCKET, _SOCKETPAIR, _FCNTL, _PRLIMIT = 56, 435, 41, 53, 72, 302
_CLONE_NEW_ANY = 0x7E020080
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16


def _instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, operand)


def _refuse(error: int) -> bytes:
    return _instruction(_RETURN, _ERROR | error)


def _head() -> list[bytes]:
    """Refuse other architectures, whose numbers mean other calls."""
    return [
        _instruction(_LOAD, _AT_ARCH),
        _instruction(_EQUAL, AUDIT_ARCH_X86_64, if_true=1),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _AT_NUMBER),
        _instruction(_AT_LEAST, _FIRST_UNKNOWN, if_false=1),
        _refuse(errno.ENOSYS),
    ]


def _clone() -> list[bytes]:
    """Threads and processes, but no namespaces. clone3 hides its flags behind a pointer: libc falls back to clone."""
    return [
        _instruction(_EQUAL, _CLONE3, if_false=1),
        _refuse(errno.ENOSYS),
        _instruction(_EQUAL, _CLONE, if_false=4),
        _instruction(_LOAD, _AT_FIRST_ARGUMENT),
        _instruction(_ANY_BIT, _CLONE_NEW_ANY, if_false=1),
        _refuse(errno.EPERM),
        _instruction(_LOAD, _AT_NUMBER),
    ]


def _sockets(families: tuple[int, ...]) -> list[bytes]:
    tests = [_instruction(_EQUAL, family, if_true=len(families) - place) for place, family in enumerate(families)]
    return [
        _instruction(_EQUAL, _SOCKET, if_true=1),
        _instruction(_EQUAL, _SOCKETPAIR, if_false=len(families) + 2),
        _instruction(_LOAD, _AT_FIRST_ARGUMENT),
        *tests,
        _refuse(errno.EACCES),
    ]


def _denied(numbers: Iterable[int]) -> list[bytes]:
    return [part for number in numbers for part in (_instruction(_EQUAL, number, if_false=1), _refuse(errno.EPERM))]


def _file_commands() -> list[bytes]:
    """fcntl without locks, leases and watches."""
    last = len(_LOCKS_LEASES_WATCHES) - 1
    tests = [
        _instruction(_EQUAL, command, if_true=last - place, if_false=int(place == last))
        for place, command in enumerate(_LOCKS_LEASES_WATCHES)
    ]
    return [
        _instruction(_EQUAL, _FCNTL, if_false=len(tests) + 3),
        _instruction(_LOAD, _AT_SECOND_ARGUMENT),
        *tests,
        _refuse(errno.EPERM),
        _instruction(_LOAD, _AT_NUMBER),
    ]


def _beside_others() -> list[bytes]:
    """For a process whose neighbours have its user: no socket that has a name, and no limits of another process."""
    return [
        *_denied(DENIED_BESIDE_OTHERS.values()),
        _instruction(_EQUAL, _SOCKET, if_false=1),
        _refuse(errno.EACCES),
        _instruction(_EQUAL, _PRLIMIT, if_false=4),
        _instruction(_LOAD, _AT_FIRST_ARGUMENT),
        _instruction(_EQUAL, 0, if_true=1),
        _refuse(errno.EPERM),
        _instruction(_LOAD, _AT_NUMBER),
    ]


def program(network: bool, hostile: bool, beside_others: bool = False) -> bytes:
    """The filter as an array of `struct sock_filter`. With `network`, Internet sockets pass as well; what is `hostile`
    may not even lock a file, and `beside_others` of its user do nothing to them."""
    families = (_UNIX, _INET, _INET6, _NETLINK) if network else (_UNIX,)
    only_hostile = [*_denied(DENIED_TO_HOSTILE.values()), *_file_commands()] if hostile else []
    neighbours = _beside_others() if hostile and beside_others else []
    denied = [*_denied(DENIED.values()), *only_hostile, *neighbours]
    return b"".join([*_head(), *denied, *_clone(), *_sockets(families), _instruction(_RETURN, _ALLOW)])
