"""From the lines of strace, as runc and crun really made them, to steps in words."""

# Lines are as long as strace makes them.
# ruff: noqa: E501

from __future__ import annotations

from cellcrate_runtime.engine.tracing import system_calls
from cellcrate_runtime.engine.tracing.describing import describe
from cellcrate_runtime.linux.cgroups.hierarchy import cgroup_mounts

TREE = next(mount.point for mount in cgroup_mounts())
PLACES = {"/mnt/rootfs": "/", "/mnt/7": "/home/me/hosts"}
GROUP = "/cellcrate/abc"


def told(output: str) -> list[tuple[str, str, str]]:
    """What a program's calls are in words."""
    found = system_calls.records(output, by="runc", offset=0, places=PLACES)
    steps = describe(found, begin=0, cgroup=GROUP, places={})
    return [(step.subject, step.target, step.detail) for step in steps]


def test_a_call_in_two_pieces() -> None:
    """The moment is that of its end; what another process does in between comes first."""
    output = (
        '7 100.000000 mount("proc", "/mnt/rootfs/proc", "proc", MS_NOSUID|MS_NODEV <unfinished ...>\n'
        '8 100.100000 sethostname("box", 3)    = 0 <0.000010>\n'
        "7 100.200000 <... mount resumed>, NULL) = 0 <0.200000>\n"
    )
    found = system_calls.records(output, by="runc", offset=0, places=PLACES)
    assert [record.call for record in found] == ["sethostname", "mount"]
    assert [round(record.time / 1e9, 3) for record in found] == [100.1, 100.2]
    assert ("mounts", "/proc", "proc: nosuid, nodev") in told(output)


def test_what_failed_or_is_no_call_says_nothing() -> None:
    output = (
        '7 1.0 mount("/dev/null", "/proc/acpi", 0xc0, MS_BIND, NULL) = -1 ENOTDIR (Not a dir) <0.1>\n'
        "7 1.0 prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0) = -1 EPERM (No) <0.1>\n"
        "7 1.0 +++ exited with 0 +++\n"
        "7 1.0 <... write resumed>) = 5 <0.1>\n"
        "strace: Process 8 attached\n"
        "7 1.0 unshare(CLONE_NEWNET"
    )
    assert told(output) == []


def test_a_mount_at_a_descriptor() -> None:
    """runc and crun open a place, and mount on /proc/self/fd."""
    output = (
        '7 1.0 openat2(4</mnt/rootfs>, "proc", {flags=O_PATH}, 24) = 6</mnt/rootfs/proc> <0.000026>\n'
        "7 1.1 clone(child_stack=NULL, flags=CLONE_PARENT|SIGCHLD) = 9 <0.1>\n"
        '9 1.2 mount("proc", "/proc/self/fd/6", "proc", 0, NULL) = 0 <0.000058>\n'
        '8 1.3 mount("proc", "/proc/self/fd/6", "proc", 0, NULL) = 0 <0.000058>\n'
    )
    assert told(output) == [
        ("mounts", "/proc", "proc"),
        ("mounts", "/proc/self/fd/6", "proc"),  # of another process: unknown, so not guessed
    ]


def test_a_mount_that_is_handed_to_another_process() -> None:
    """crun's maker opens what is mounted; strace may show the sending after the receiving."""
    message = "msg_control=[{cmsg_type=SCM_RIGHTS, cmsg_data=[%s</>]}]"
    output = (
        '7 1.0 open_tree(-1, "/mnt/7", OPEN_TREE_CLONE|AT_RECURSIVE) = 5</> <0.1>\n'
        '7 1.1 mount_setattr(5</>, "", AT_EMPTY_PATH, {attr_set=MOUNT_ATTR_RDONLY, attr_clr=0, '
        "propagation=MS_PRIVATE, userns_fd=0}, 32) = 0 <0.1>\n"
        f"7 1.2 sendmsg(3<socket:[1]>, {{{message % 5}}}, 0 <unfinished ...>\n"
        f"8 1.3 recvmsg(4<socket:[2]>, {{{message % 11}}}, 0) = 1 <0.1>\n"
        "7 1.4 <... sendmsg resumed>) = 1 <0.2>\n"
        '8 1.5 move_mount(11</>, "", 12</mnt/rootfs/etc/hosts>, "", MOVE_MOUNT_F_EMPTY_PATH) = 0 '
        "<0.1>\n"
    )
    assert told(output) == [("mounts", "/etc/hosts", "rbind of /home/me/hosts: ro")]


def test_a_new_file_system_in_parts() -> None:
    output = (
        '7 1.0 fsopen("tmpfs", FSOPEN_CLOEXEC) = 5<anon_inode:[fscontext]> <0.1>\n'
        '7 1.1 fsconfig(5<anon_inode:[fscontext]>, FSCONFIG_SET_STRING, "mode", "755", 0) = 0 <0.1>\n'
        "7 1.2 fsmount(5<anon_inode:[fscontext]>, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID) = 6</> <0.1>\n"
        '7 1.3 mknodat(6</>, "null", S_IFCHR|0666, makedev(0x1, 0x3)) = 0 <0.1>\n'
        '7 1.4 mknodat(AT_FDCWD</>, "/run/exec.fifo", S_IFIFO|0622) = 0 <0.1>\n'
        '7 1.5 move_mount(6</>, "", AT_FDCWD</>, "/mnt/rootfs/dev", MOVE_MOUNT_F_EMPTY_PATH) = 0 <0.1>\n'
    )
    assert told(output) == [
        ("devices", "/dev/null", "character 1:3, mode 666"),
        ("mounts", "/dev", "tmpfs: nosuid, mode=755"),
    ]


def test_paths_that_are_hidden_or_kept_from_writing() -> None:
    output = (
        "7 1.0 fchdir(5</mnt/rootfs>) = 0 <0.1>\n"
        '7 1.1 pivot_root(".", ".") = 0 <0.1>\n'
        '7 1.2 mount("", ".", 0xc0, MS_REC|MS_SLAVE, NULL) = 0 <0.1>\n'
        '7 1.3 umount2(".", MNT_DETACH) = 0 <0.1>\n'
        '7 1.4 mount("/proc/sys", "/proc/sys", 0xc0, MS_BIND|MS_REC, NULL) = 0 <0.1>\n'
        '7 1.5 mount("/proc/sys", "/proc/sys", 0xc0, MS_RDONLY|MS_REMOUNT|MS_BIND, NULL) = 0 <0.1>\n'
        '7 1.6 mount("/dev/null", "/proc/keys", 0xc0, MS_BIND, NULL) = 0 <0.1>\n'
        '7 1.7 mount("tmpfs", "/proc/acpi", "tmpfs", MS_RDONLY, NULL) = 0 <0.1>\n'
    )
    assert told(output) == [
        ("mounts", "root", "entered by pivot_root"),
        ("mounts", "old root", "propagation rslave"),
        ("mounts", "old root", "unmounted"),
        ("protected paths", "/proc/sys", "mounted over itself"),
        ("protected paths", "/proc/sys", "changed to ro"),
        ("protected paths", "/proc/keys", "hidden by /dev/null"),
        ("protected paths", "/proc/acpi", "hidden by an empty tmpfs: ro"),
    ]


def test_namespaces_and_ids() -> None:
    output = (
        "7 1.0 clone3({flags=CLONE_NEWUSER|CLONE_NEWPID, exit_signal=SIGCHLD}, 88) = 9 <0.1>\n"
        "7 1.1 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_THREAD) = 10 <0.1>\n"
        "9 1.2 unshare(CLONE_NEWNS|CLONE_NEWCGROUP) = 0 <0.1>\n"
        "9 1.3 setns(5<net:[4026531840]>, CLONE_NEWNET) = 0 <0.1>\n"
        "9 1.4 setns(6<mnt:[4026531841]>, 0) = 0 <0.1>\n"
        '7 1.5 write(7</proc/9/uid_map>, "0 100000 65536\\n\\0", 16) = 16 <0.1>\n'
        '7 1.6 write(7</proc/9/gid_map>, "0 1000 1\\n", 9) = 9 <0.1>\n'
    )
    assert told(output) == [
        ("namespaces", "user", "new"),
        ("namespaces", "pid", "new"),
        ("namespaces", "mount", "new"),
        ("namespaces", "cgroup", "new"),
        ("namespaces", "network", "joined: net:[4026531840]"),
        ("namespaces", "mount", "joined: mnt:[4026531841]"),
        ("namespaces", "uid_map", "0 to 65535 are 100000 to 165535 outside"),
        ("namespaces", "gid_map", "0 is 1000 outside"),
    ]


def test_rights() -> None:
    output = (
        "7 1.0 prctl(PR_CAPBSET_DROP, CAP_MKNOD) = 0 <0.1>\n"
        "7 1.1 prctl(PR_CAPBSET_DROP, CAP_LEASE) = 0 <0.1>\n"
        "7 1.2 prlimit64(9, RLIMIT_NOFILE, {rlim_cur=512, rlim_max=8*1024}, NULL) = 0 <0.1>\n"
        "7 1.3 prlimit64(0, RLIMIT_NOFILE, NULL, {rlim_cur=1024, rlim_max=1024}) = 0 <0.1>\n"
        "7 1.4 setgroups(2, [5, 6]) = 0 <0.1>\n"
        "7 1.5 setuid(1000) = 0 <0.1>\n"
        "7 1.6 capset({version=_LINUX_CAPABILITY_VERSION_3, pid=0}, {effective=0, "
        "permitted=1<<CAP_CHOWN|1<<CAP_KILL, inheritable=0}) = 0 <0.1>\n"
        "7 1.7 prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) = 0 <0.1>\n"
        "7 1.8 seccomp(SECCOMP_GET_ACTION_AVAIL, 0, [SECCOMP_RET_LOG]) = 0 <0.1>\n"
        "7 1.9 seccomp(SECCOMP_SET_MODE_FILTER, 0, {len=1001, filter=0x5}) = 0 <0.1>\n"
    )
    assert told(output) == [
        ("rights", "bounding set", "without MKNOD, LEASE"),
        ("rights", "RLIMIT_NOFILE", "512, at most 8192"),
        ("rights", "groups", "5, 6"),
        ("rights", "user", "1000"),
        ("rights", "capabilities", "permitted: CHOWN, KILL; effective: none; inheritable: none"),
        ("rights", "no_new_privs", "set"),
        ("rights", "seccomp filter", "loaded, 1001 instructions"),
    ]


def test_control_groups_without_their_own_path() -> None:
    output = (
        f'7 1.0 mkdirat(AT_FDCWD</>, "{TREE}{GROUP}", 0755) = 0 <0.1>\n'
        f'7 1.1 write(7<{TREE}{GROUP}/pids.max>, "33", 2) = 2 <0.1>\n'
        f'7 1.2 write(7<{TREE}{GROUP}/cgroup.procs>, "9", 1) = 1 <0.1>\n'
        '7 1.3 mkdirat(AT_FDCWD</>, "/run/runc/state", 0755) = 0 <0.1>\n'
    )
    made, limited, joined = told(output)
    assert (made[0], made[2]) == ("control group", "group made")
    assert limited[1].endswith("pids.max")
    assert "cellcrate" not in limited[1]
    assert limited[2] == "33"
    assert joined[2] == "process 9 joins"


def test_secrets_of_the_environment_are_not_among_it() -> None:
    """Programs write their configuration, with the container's variables, to files and pipes."""
    output = (
        '7 1.0 write(4</run/runc/config.json>, "{\\"env\\": [\\"KEY=secret\\"]}", 30) = 30 <0.1>\n'
        '7 1.1 write(4<pipe:[5]>, "KEY=secret", 10) = 10 <0.1>\n'
        '7 1.2 execve("/bin/sh", ["sh", "-c", "a \\"b\\" \\303\\251"], 0xc0 /* 3 vars */) = 0 <0.1>\n'
    )
    assert told(output) == [("program", "/bin/sh", "sh -c 'a \"b\" é'")]
