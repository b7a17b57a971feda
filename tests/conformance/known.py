"""What runtimes are known to do otherwise than the specification says, and why.

Tests are named as pytest names them; a name that ends in ``*`` is of all that begin so. Those of
``FAILS`` have to fail with the versions of ``TRIED``, and may with others. Those of ``LEFT_OUT``
fail now and then, or on some machines.
"""

from __future__ import annotations

#: What this was found out with: Debian 12's.
TRIED = {"runc": "1.1", "crun": "1.8"}

_NO_WAIT = "start returns when the process has been told to go on, and does not wait for its hooks"
_POSTSTART = "poststart hooks are run by create"
_OWN_STATE = "hooks in the container are told a state of crun's own, with the bundle /"
_OF_HOST = "it is set for the host's root, before there is the container's"
_PASSED_ON = "it is passed on to the kernel, which does not take it for every file system"
_TYPES = "many values of a wrong type are passed over, or taken for others"

FAILS = {
    # runc 1.1
    "test_hooks_run_in_their_order[runc]": _POSTSTART,
    "test_start_waits_for_the_hooks_before_the_program[runc]": _POSTSTART,
    "test_a_hook_is_told_the_status[runc-poststart-expected3]": _POSTSTART,
    "test_a_poststop_hook_that_fails_is_passed_over[runc]": "the hooks after it are left out",
    "test_an_option_that_leaves_no_trace[runc-defaults]": "it is passed on to the file system",
    "test_an_option_of_the_file_system_is_passed_on[runc]": "a tmpfs gets the mode of its place",
    "test_the_propagation_of_the_root[runc-shared-expected1]": _OF_HOST,
    "test_the_propagation_of_the_root[runc-unbindable-expected2]": _OF_HOST,
    "test_flags_of_a_filter[runc]": "flags are not supported",
    "test_a_version_that_cannot_be_is_refused[runc-*": "ociVersion is not looked at",
    # crun 1.8
    "test_start_waits_for_the_hooks_before_the_program[crun]": _NO_WAIT,
    "test_a_hook_that_cannot_be_is_refused[crun-wrong1]": "a timeout of 0 is none",
    "test_a_hook_is_told_the_state[crun-points1]": _OWN_STATE,
    "test_a_hook_is_told_the_status[crun-startContainer-expected2]": _OWN_STATE,
    "test_the_same_type_twice_is_refused[crun]": "the second one counts",
    "test_a_propagation_of_the_root_that_cannot_be_is_refused[crun]": "it is passed over",
    "test_a_working_directory_that_cannot_be_is_refused[crun-relative]": "/ is put before it",
}

LEFT_OUT = {
    # runc 1.1
    "test_a_start_hook_that_fails_is_an_error_of_start[runc]": _NO_WAIT,
    "test_a_hook_that_cannot_be_is_refused[runc-wrong1]": "with a timeout of 0 the hook may win",
    # crun 1.8
    "test_a_start_hook_that_fails_is_an_error_of_start[crun]": _NO_WAIT,
    "test_a_hook_is_told_the_status[crun-poststart-expected3]": _NO_WAIT,
    "test_an_option_that_leaves_no_trace[crun-loud]": _PASSED_ON,
    "test_an_option_that_leaves_no_trace[crun-silent]": _PASSED_ON,
    "test_an_option_that_leaves_no_trace[crun-iversion]": _PASSED_ON,
    "test_an_option_that_leaves_no_trace[crun-noiversion]": _PASSED_ON,
    "test_values_of_a_wrong_type_are_refused[crun]": _TYPES,
    "test_a_user_that_cannot_be_is_refused[crun-user1]": _TYPES,
    "test_no_arguments_are_refused[crun-None]": _TYPES,
    "test_a_limit_that_cannot_be_is_refused[crun-resources*": "its group is left behind",
    "test_no_limit_of_processes[crun]": "-1 is written to cgroup v1 as it is",
}


def reason(table: dict[str, str], name: str) -> str | None:
    """The reason for a test, by its name; None if there is none."""
    for key, text in table.items():
        if name == key or (key.endswith("*") and name.startswith(key[:-1])):
            return text
    return None
