"""The system calls that containers may always make, by subject.

The names are those that Docker's default profile allows whatever the capabilities and the
architecture are; one that a kernel or libseccomp does not know is skipped.
Source: moby/profiles, seccomp/default.json, as of July 2026.
"""

from __future__ import annotations

__all__ = ["ALWAYS", "SUBJECTS"]

SUBJECTS: dict[str, str] = {
    "files by name": """
        access creat faccessat faccessat2 link linkat mkdir mkdirat mknod mknodat
        name_to_handle_at open openat openat2 readlink readlinkat rename renameat renameat2 rmdir
        symlink symlinkat truncate truncate64 unlink unlinkat""",
    "open files": """
        close close_range copy_file_range dup dup2 dup3 fadvise64 fadvise64_64 fallocate fcntl
        fcntl64 fdatasync flock fsync ftruncate ftruncate64 ioctl _llseek lseek memfd_create
        memfd_secret pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead
        readv sendfile sendfile64 splice sync sync_file_range syncfs tee vmsplice write writev
        cachestat""",
    "directories": "chdir fchdir getcwd getdents getdents64",
    "attributes": """
        chmod chown chown32 fchmod fchmodat fchmodat2 fchown fchown32 fchownat fgetxattr
        flistxattr fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 futimesat
        getxattr getxattrat lchown lchown32 lgetxattr listmount listxattr listxattrat llistxattr
        lremovexattr lsetxattr lstat lstat64 newfstatat removexattr removexattrat setxattr
        setxattrat stat stat64 statfs statfs64 statmount statx umask utime utimensat
        utimensat_time64 utimes""",
    "watching files": "fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch",
    "waiting for files": """
        epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
        epoll_wait_old eventfd eventfd2 _newselect poll ppoll ppoll_time64 pselect6
        pselect6_time64 select""",
    "asynchronous I/O (not io_uring)": """
        io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup
        io_submit ioprio_get ioprio_set""",
    "memory": """
        brk madvise map_shadow_stack membarrier mincore mlock mlock2 mlockall mmap mmap2 mprotect
        mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
        process_mrelease remap_file_pages""",
    "processes": """
        execve execveat exit exit_group fork getpgid getpgrp getpid getppid getsid gettid
        pidfd_open pidfd_send_signal prctl setpgid setsid vfork wait4 waitid waitpid""",
    "threads": """
        futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list
        get_thread_area rseq set_robust_list set_thread_area set_tid_address""",
    "limits and scheduling": """
        getcpu getpriority getrlimit getrusage prlimit64 sched_get_priority_max
        sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
        sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
        sched_setparam sched_setscheduler sched_yield setpriority setrlimit sysinfo times
        ugetrlimit""",
    "signals": """
        alarm kill pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask
        rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
        rt_tgsigqueueinfo sigaltstack signalfd signalfd4 sigprocmask sigreturn tgkill tkill
        uretprobe""",
    "clocks and timers": """
        adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
        clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep
        setitimer time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64
        timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64
        timerfd_settime timerfd_settime64""",
    "users and groups": """
        getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid
        getresgid32 getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32
        setgid setgid32 setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid
        setresuid32 setreuid setreuid32 setuid setuid32""",
    "rights": """
        capget capset landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp""",
    "sockets (socket itself has conditions)": """
        accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom
        recvmmsg recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown
        socketcall socketpair""",
    "System V IPC and message queues": """
        ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
        mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop
        semtimedop_time64 shmat shmctl shmdt shmget""",
    "the machine": "getrandom riscv_hwprobe uname",
}

ALWAYS: tuple[str, ...] = tuple(name for names in SUBJECTS.values() for name in names.split())
