"""What the engine, its launcher, the shims and their workers say to each other.

Every message is a tagged msgspec struct, packed as MessagePack, and travels as one datagram of a
``SOCK_SEQPACKET`` socket pair (unix(7)); descriptors travel beside it (``SCM_RIGHTS``). Each
request to the launcher, and each piece of work, brings a socket of its own on which it is answered:
when whoever took it dies, that socket closes, so nothing is kept about requests under way.

==================  =========================================  ==================================
conversation        asks                                       answers
==================  =========================================  ==================================
engine → launcher   :class:`Launch`, :class:`Work`             (on the socket that came with it)
engine ↔ shim       :class:`Attach`, :class:`Exec`,            :class:`Started` or :class:`Failed`
                    :class:`Signal`, :class:`Resize`,          first, then :data:`ShimMessage`
                    :class:`CloseStdin`, :class:`Work`
engine ↔ worker     a :data:`Task`                             :data:`WorkerMessage`
==================  =========================================  ==================================

Times are nanoseconds since the Unix epoch.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from cellcrate_runtime.oci.spec import IDMapping, Process

__all__ = [
    "DEFAULT_DETACH_KEYS",
    "MAX_MESSAGE",
    "Attach",
    "Attachment",
    "Change",
    "Changes",
    "ChangesFound",
    "CloseStdin",
    "CopiesPlanned",
    "Detached",
    "Done",
    "Exec",
    "ExecExited",
    "ExecStarted",
    "ExitRecord",
    "Exited",
    "Export",
    "Failed",
    "FailureKind",
    "GetArchive",
    "Launch",
    "LauncherRequest",
    "LogFile",
    "OutOfMemory",
    "PackCopies",
    "PackLayer",
    "PathStat",
    "PutArchive",
    "Refused",
    "RemoveTrees",
    "Resize",
    "Rootfs",
    "ShimMessage",
    "ShimRequest",
    "Signal",
    "Started",
    "StatPath",
    "Task",
    "Work",
    "WorkerMessage",
]

MAX_MESSAGE = 192 * 1024
"""The longest message in bytes; a send buffer (net.core.wmem_default) has 208 KiB."""

DEFAULT_DETACH_KEYS = b"\x10\x11"
"""ctrl-p, ctrl-q: what ends an attached session and leaves the container running, as in Docker."""

FailureKind = Literal[
    "not_found",  # the program, or the path, does not exist
    "not_executable",  # the program exists and cannot be executed
    "invalid",  # the request makes no sense; nothing was tried
    "mount",  # a file system could not be mounted
    "resources",  # the control group refused a limit
    "read_only",  # the target may not be written
    "not_a_directory",  # a folder was needed
    "conflict",  # not in this state, such as a resize of an exec that has ended
    "permission",  # the kernel said no
    "gone",  # the process that was asked ended before it answered
    "internal",  # a defect
]


class _Message(msgspec.Struct, tag=True, omit_defaults=True, kw_only=True):
    """A message; its tag is the name of its class."""


class _Part(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A part of a message."""


# --- the launcher -----------------------------------------------------------------------------


class Rootfs(_Part):
    """The layers that make a container's root file system; all paths are absolute."""

    lower: list[str]  # topmost first
    upper: str  # the writable layer
    work: str  # overlayfs' scratch folder, on the same file system as ``upper``
    mount_point: str
    idmap: bool = False  # show the layers' owners through the container's id mapping
    shift: IDMapping | None = None  # the layers' files have these ids on disk already


class LogFile(_Part):
    """Where output is recorded, in the format of Docker's ``json-file`` driver."""

    path: str = ""  # empty: nowhere
    max_size: int = 0  # bytes after which a new file is begun; 0: never
    max_files: int = 1


class Attachment(_Part):
    """What a client takes part in; its connection travels beside the message."""

    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    detach_keys: bytes = DEFAULT_DETACH_KEYS  # empty: none
    initial_input: bytes = b""  # what the engine had already read of the client's input


class Launch(_Message):
    """Start a container.

    Descriptors: the control connection, then one for each of ``clients``.
    Answered by :class:`Started` or :class:`Failed` on the control connection.
    """

    container_id: str
    bundle: str  # the folder of config.json, already written
    rootfs: Rootfs | None  # None: the bundle's root is used as it is
    log: LogFile
    exit_file: str  # where an ExitRecord is written, as JSON
    run_dir: str  # made, and removed again, by the shim
    upcoming_id: str = ""  # of the container that the launcher shall be ready for after this one
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False  # close the container's input when the first client closes its own
    runtime: list[str] = []  # the OCI runtime program that makes it; empty: the embedded one
    trace_file: str = ""  # where what is done for it is written down; empty: nobody notes it
    init: bool = False  # put a small init in front of the program, as ``docker run --init``
    # Who runs the program, in Docker's words ("name", "uid", "name:group", ...), and the groups
    # added to him. Only the mounted root knows names, so the shim translates them there
    # (oci.users.resolve_user) into process.user, and sets HOME from /etc/passwd where the
    # environment has none. Empty, with no groups: process.user as it is.
    user: str = ""
    groups: list[str] = []
    clients: list[Attachment] = []


class Started(_Message):
    """The container's program has been executed (or, on reconnection, is running)."""

    shim: int  # process id
    pid: int  # of the container's first process, as the host sees it
    started_at: int
    execs: dict[str, int] = {}  # running execs and their process ids


class Failed(_Message):
    """The request failed and left nothing behind."""

    kind: FailureKind
    message: str


class ExitRecord(_Part):
    """How a container ended; also the content of its exit file."""

    exit_code: int  # 128 + n for signal n
    oom_killed: bool
    started_at: int
    finished_at: int
    error: str = ""  # set when the shim was lost, and with it the true status


# --- a shim -----------------------------------------------------------------------------------


class _Request(_Message, kw_only=True):
    """A request to a shim; ``request`` is repeated in its answer."""

    request: int = 0


class Attach(_Request, kw_only=True):
    """Connect a client, whose connection is the descriptor beside this, to the container."""

    attachment: Attachment


class Exec(_Request, kw_only=True):
    """Run another program in the container; the descriptor beside this, if any, is its client."""

    exec_id: str
    process: Process  # with process.terminal for a tty
    user: str = ""  # as in Launch; empty: process.user as it is
    open_stdin: bool = False
    attachment: Attachment | None = None


class Signal(_Request, kw_only=True):
    """Send a signal to the container's first process."""

    number: int


class Resize(_Request, kw_only=True):
    """Change the size of a terminal, in characters; of an exec, or without one of the container."""

    width: int
    height: int
    exec_id: str = ""


class CloseStdin(_Request, kw_only=True):
    """Close the container's input once what was sent before has been read."""


class Done(_Message):
    """The request or the work was done."""

    request: int = 0


class Refused(_Message):
    """The request to a shim was not done."""

    request: int
    kind: FailureKind
    message: str


class ExecStarted(_Message):
    """The exec's program has been executed."""

    request: int
    exec_id: str
    pid: int


class ExecExited(_Message):
    """An exec has ended and all its output has been handed over."""

    exec_id: str
    exit_code: int


class OutOfMemory(_Message):
    """The kernel killed a process of the container for want of memory."""


class Detached(_Message):
    """A client used its detach keys."""

    exec_id: str = ""


class Exited(_Message):
    """The container has ended and all its output is in the log."""

    record: ExitRecord


# --- workers ----------------------------------------------------------------------------------


class StatPath(_Message):
    """Describe a path of the container. Answered by :class:`PathStat`."""

    path: str


class GetArchive(_Message):
    """Pack a path as a tar archive. Answered by :class:`PathStat`, the archive, :class:`Done`."""

    path: str


class PutArchive(_Message):
    """Unpack a tar archive, which may be compressed, in a folder of the container."""

    path: str
    keep_kinds: bool = False  # never replace a folder by something else, or the other way round
    owner: str = ""  # who gets all files, in the words of ``docker run --user``; empty: the
    # archive's numeric owners, which is what Docker does unless asked for copyUIDGID


class Export(_Message):
    """Pack the whole root file system, without what is mounted in it."""


class Changes(_Message):
    """List what differs from the image. Answered by :class:`ChangesFound`, then :class:`Done`."""


class PackLayer(_Message):
    """Pack the writable layer as the archive of an image's layer: the archive, :class:`Done`."""

    latest: int | None = None  # seconds since the epoch; no file is to be later than this
    unchanged: list[str] = []  # folders that are no changes in themselves


class PackCopies(_Message):
    """Pack what a build copies as a layer's archive: the archive, :class:`Done`.

    With ``only_plan`` nothing is packed, and the answer is :class:`CopiesPlanned`.
    """

    request_file: str  # holds a building.copy_request.CopyRequest
    only_plan: bool = False


class RemoveTrees(_Message):
    """Remove folders of the host, with files whose owners the user could not remove himself."""

    paths: list[str]


Task: TypeAlias = (
    StatPath | GetArchive | PutArchive | Export | Changes | PackLayer | PackCopies | RemoveTrees
)


class Work(_Request, kw_only=True):
    """Do a task on files: through the launcher for stopped containers, a shim for running ones.

    Descriptors: the socket on which the worker answers, then a stream socket for the archive.
    """

    task: Task
    rootfs: Rootfs | None = None  # for the launcher only; a shim knows its own
    bundle: str = ""  # for the launcher only: also mount the volumes of this bundle


class PathStat(_Message):
    """A file, as ``docker cp`` wants it described."""

    name: str  # the last part of the path
    size: int  # bytes
    mode: int  # of Go's fs.FileMode, which Docker's API exposes
    mtime: int  # nanoseconds since the epoch
    link_target: str = ""  # resolved, absolute in the container


class Change(_Part):
    """One path that differs from the image; kind 0 is modified, 1 added, 2 deleted."""

    path: str
    kind: Literal[0, 1, 2]


class ChangesFound(_Message):
    """Some of the changes, in order; more may follow."""

    changes: list[Change]


class CopiesPlanned(_Message):
    """What a build would copy."""

    digest: str  # of everything but times, in hexadecimal digits
    entries: int  # how many files and folders


LauncherRequest: TypeAlias = Launch | Work
ShimRequest: TypeAlias = Attach | Exec | Signal | Resize | CloseStdin | Work
ShimMessage: TypeAlias = (
    Started | Failed | Done | Refused | ExecStarted | ExecExited | OutOfMemory | Detached | Exited
)
WorkerMessage: TypeAlias = PathStat | ChangesFound | CopiesPlanned | Done | Failed
