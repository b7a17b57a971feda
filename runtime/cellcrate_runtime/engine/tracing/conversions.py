"""What each system call that strace(1) shows would be as a record."""

from __future__ import annotations

import re
from collections.abc import Callable

from cellcrate_runtime.engine.tracing import arguments
from cellcrate_runtime.engine.tracing.arguments import Call
from cellcrate_runtime.engine.tracing.descriptors import Descriptors
from cellcrate_runtime.engine.tracing.files import matters
from cellcrate_runtime.linux import capabilities, mounts, namespaces
from cellcrate_runtime.linux.recording import Value

__all__ = ["CONVERSIONS"]

_Said = tuple[str, dict[str, Value]]

_CLONES = {
    "CLONE_NEWNS": "mount",
    "CLONE_NEWCGROUP": "cgroup",
    "CLONE_NEWUTS": "uts",
    "CLONE_NEWIPC": "ipc",
    "CLONE_NEWUSER": "user",
    "CLONE_NEWPID": "pid",
    "CLONE_NEWNET": "network",
    "CLONE_NEWTIME": "time",
}
_UNLIMITED = ("RLIM64_INFINITY", "RLIM_INFINITY")


def _namespaces(text: str) -> int:
    """The flags of the types of namespaces that a text names."""
    return namespaces.flags_of(_CLONES[name] for name in re.findall(r"CLONE_NEW[A-Z]+", text))


# --- each call ----------------------------------------------------------------------------------


def _unshare(call: Call, _: Descriptors) -> list[_Said]:
    return [("unshare", {"flags": _namespaces(call.text)})]


def _clone(call: Call, _: Descriptors) -> list[_Said]:
    return [(call.name, {"flags": _namespaces(arguments.member(call.text, "flags"))})]


def _setns(call: Call, _: Descriptors) -> list[_Said]:
    descriptor, type_ = call.arguments[:2]
    path = arguments.descriptor(descriptor)[1]
    flags = _namespaces(type_)
    if not flags:  # any type: the file says which
        name = path.rpartition("/")[2].partition(":")[0]
        flags = next((namespaces.FLAGS[t] for t, f in namespaces.FILES.items() if f == name), 0)
    return [("setns", {"flags": flags, "target": path})]


def _mount(call: Call, files: Descriptors) -> list[_Said]:
    source, target, type_, flags, data = (*call.arguments, "")[:5]
    return [
        (
            "mount",
            {
                "source": files.path(call, arguments.string(source)),
                "target": files.path(call, arguments.string(target)),
                "type": arguments.string(type_),
                "flags": arguments.flags(flags, mounts),
                "data": arguments.string(data),
            },
        )
    ]


def _umount(call: Call, files: Descriptors) -> list[_Said]:
    return [("umount2", {"target": files.path(call, arguments.string(call.arguments[0]))})]


def _open_tree(call: Call, files: Descriptors) -> list[_Said]:
    folder, name, flags = call.arguments[:3]
    if "OPEN_TREE_CLONE" not in flags:
        files.opened(call)
        return []
    source = files.path(call, arguments.at(folder, name) or arguments.descriptor(folder)[1])
    recursive = int("AT_RECURSIVE" in flags)
    return [
        (
            "open_tree",
            {"source": source, "tree": files.new_tree(call, folder), "recursive": recursive},
        )
    ]


def _move_mount(call: Call, files: Descriptors) -> list[_Said]:
    tree, _, folder, name = call.arguments[:4]
    target = files.path(call, arguments.at(folder, name) or arguments.descriptor(folder)[1])
    number = files.tree(call, tree)
    files.attached(call, tree, target)
    return [("move_mount", {"tree": number, "target": target})]


def _mount_setattr(call: Call, files: Descriptors) -> list[_Said]:
    folder, name, flags, attributes = call.arguments[:4]
    path = arguments.at(folder, name) or arguments.descriptor(folder)[1]

    def bits(name: str) -> int:
        text = arguments.member(attributes, name)
        return arguments.flags(text.replace("MOUNT_ATTR_", "ATTR_"), mounts)

    return [
        (
            "mount_setattr",
            {
                "tree": files.tree(call, folder),
                "target": files.path(call, path),
                "set": bits("attr_set"),
                "clear": bits("attr_clr"),
                "propagation": bits("propagation"),
                "recursive": int("AT_RECURSIVE" in flags),
            },
        )
    ]


def _pivot_root(_: Call, files: Descriptors) -> list[_Said]:
    files.pivoted = True
    return [("pivot_root", {})]


def _chroot(call: Call, files: Descriptors) -> list[_Said]:
    files.pivoted = True
    return [("chroot", {})]


def _mknodat(call: Call, files: Descriptors) -> list[_Said]:
    folder, name, mode, *device = call.arguments
    said = _node(call, files, arguments.at(folder, name), mode, device)
    for _, values in said:
        files.filled(call, folder, values)
    return said


def _mknod(call: Call, files: Descriptors) -> list[_Said]:
    name, mode, *device = call.arguments
    return _node(call, files, arguments.string(name), mode, device)


def _node(call: Call, files: Descriptors, path: str, mode: str, device: list[str]) -> list[_Said]:
    numbers = re.match(r"makedev\((\w+), (\w+)\)", device[0]) if device else None
    if numbers is None:
        return []  # a pipe, by which a runtime speaks with itself
    type_, _, bits = mode.partition("|")
    return [
        (
            "mknod",
            {
                "target": files.path(call, path),
                "type": "b" if type_ == "S_IFBLK" else "c",
                "major": arguments.number(numbers[1]),
                "minor": arguments.number(numbers[2]),
                "mode": arguments.number(bits),
            },
        )
    ]


def _mkdir(call: Call, files: Descriptors) -> list[_Said]:
    path = (
        arguments.at(*call.arguments[:2])
        if call.name == "mkdirat"
        else arguments.string(call.arguments[0])
    )
    return [("mkdir", {"target": path})] if matters(path) and not files.pivoted else []


def _write(call: Call, _: Descriptors) -> list[_Said]:
    descriptor, text = call.arguments[:2]
    file = arguments.descriptor(descriptor)[1]
    return [("write", {"file": file, "value": arguments.string(text)})] if matters(file) else []


def _bpf(call: Call, _: Descriptors) -> list[_Said]:
    if call.arguments[0] != "BPF_PROG_ATTACH" or "BPF_CGROUP_DEVICE" not in call.text:
        return []
    group = re.search(r"target_fd=([^,}]+)", call.text)
    return [("bpf", {"target": arguments.descriptor(group[1])[1] if group is not None else ""})]


def _name(call: Call, _: Descriptors) -> list[_Said]:
    return [(call.name, {"name": arguments.string(call.arguments[0])})]


def _capability(word: str) -> int:
    return capabilities.NAMES.index(word) if word in capabilities.NAMES else arguments.number(word)


def _prctl(call: Call, _: Descriptors) -> list[_Said]:
    option, *rest = call.arguments
    if option == "PR_CAPBSET_DROP":
        return [("capbset_drop", {"capability": _capability(rest[0])})]
    if option == "PR_CAP_AMBIENT" and rest[0] == "PR_CAP_AMBIENT_RAISE":
        return [("cap_ambient", {"capability": _capability(rest[1])})]
    if option == "PR_SET_NO_NEW_PRIVS":
        return [("no_new_privs", {})]
    if option == "PR_SET_SECCOMP" and rest[0] == "SECCOMP_MODE_FILTER":
        return _seccomp(call, _)
    return []


def _seccomp(call: Call, _: Descriptors) -> list[_Said]:
    if call.name == "seccomp" and call.arguments[0] != "SECCOMP_SET_MODE_FILTER":
        return []
    return [("seccomp", {"instructions": arguments.number(arguments.member(call.text, "len"))})]


def _capset(call: Call, _: Descriptors) -> list[_Said]:
    sets: dict[str, Value] = {}
    for name in ("effective", "permitted", "inheritable"):
        words = re.findall(r"CAP_\w+", arguments.member(call.text, name))
        sets[name] = capabilities.mask(word for word in words if word in capabilities.NAMES)
    return [("capset", sets)]


def _groups(call: Call, _: Descriptors) -> list[_Said]:
    given = (*call.arguments, "NULL")[1]
    return [("setgroups", {"groups": [int(number) for number in re.findall(r"\d+", given)]})]


def _id(call: Call, _: Descriptors) -> list[_Said]:
    name = {"setuid": "setresuid", "setgid": "setresgid"}.get(call.name, call.name)
    return [(name, {"id": arguments.number(call.arguments[0])})]


def _prlimit(call: Call, _: Descriptors) -> list[_Said]:
    _pid, resource, limit = call.arguments[:3]
    values: dict[str, Value] = {"resource": resource}
    for name, field in (("soft", "rlim_cur"), ("hard", "rlim_max")):
        text = arguments.member(limit, field)
        if not text:
            return []  # it was a question
        values[name] = -1 if text in _UNLIMITED else arguments.product(text)
    return [("prlimit64", values)]


def _keyctl(call: Call, _: Descriptors) -> list[_Said]:
    return [("keyring", {})] if call.arguments[0] == "KEYCTL_JOIN_SESSION_KEYRING" else []


def _fsmount(call: Call, files: Descriptors) -> list[_Said]:
    context, _, attributes = call.arguments[:3]
    type_, options = files.context(call, context)
    bits = arguments.flags(attributes.replace("MOUNT_ATTR_", "ATTR_"), mounts)
    values: dict[str, Value] = {"type": type_, "data": options, "attributes": bits}
    return [("fsmount", {**values, "source": type_, "tree": files.new_tree(call)})]


def _execve(call: Call, _: Descriptors) -> list[_Said]:
    program, words = call.arguments[:2]
    target = arguments.string(program)
    return [("execve", {"target": target, "arguments": arguments.strings(words)})]


CONVERSIONS: dict[str, Callable[[Call, Descriptors], list[_Said]]] = {
    "unshare": _unshare,
    "setns": _setns,
    "clone": _clone,
    "clone3": _clone,
    "mount": _mount,
    "umount2": _umount,
    "open_tree": _open_tree,
    "move_mount": _move_mount,
    "mount_setattr": _mount_setattr,
    "fsmount": _fsmount,
    "pivot_root": _pivot_root,
    "chroot": _chroot,
    "mknod": _mknod,
    "mknodat": _mknodat,
    "mkdir": _mkdir,
    "mkdirat": _mkdir,
    "write": _write,
    "bpf": _bpf,
    "sethostname": _name,
    "setdomainname": _name,
    "prctl": _prctl,
    "seccomp": _seccomp,
    "capset": _capset,
    "setgroups": _groups,
    "setuid": _id,
    "setgid": _id,
    "setresuid": _id,
    "setresgid": _id,
    "prlimit64": _prlimit,
    "keyctl": _keyctl,
    "execve": _execve,
}
"""What each call that matters says, by its name: what a record of it would be."""
