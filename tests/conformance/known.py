"""What the other runtimes are known to do otherwise than the specification says, and why.

Tests are named as pytest names them. Those of ``FAILS`` are expected to fail, so that a version
that has changed its mind is noticed. Those of ``LEFT_OUT`` would fail now and then.
"""

from __future__ import annotations

_NO_WAIT = "start returns when the process has been told to go on, and does not wait for its hooks"
_POSTSTART = "poststart hooks are run by create"
_OWN_STATE = "hooks in the container are told a state of crun's own, with the bundle /"

FAILS = {
    "test_a_poststop_hook_that_fails_is_passed_over[runc]": "the hooks after it are left out",
    "test_a_hook_that_cannot_be_is_refused[crun-wrong1]": "a timeout of 0 is none",
    "test_a_hook_is_told_the_state[crun-startContainer]": _OWN_STATE,
    "test_a_hook_is_told_the_status_of_its_time[crun-startContainer-expected2]": _OWN_STATE,
    "test_hooks_run_in_their_order[runc]": _POSTSTART,
    "test_a_hook_is_told_the_status_of_its_time[runc-poststart-expected3]": _POSTSTART,
    "test_the_same_type_twice_is_refused[crun]": "the second one counts",
    "test_start_waits_for_the_hooks_before_the_program[runc]": _POSTSTART,
    "test_start_waits_for_the_hooks_before_the_program[crun]": _NO_WAIT,
}

LEFT_OUT = {
    "test_a_start_hook_that_fails_is_an_error_of_start[runc]": _NO_WAIT,
    "test_a_start_hook_that_fails_is_an_error_of_start[crun]": _NO_WAIT,
    "test_a_hook_is_told_the_status_of_its_time[crun-poststart-expected3]": _NO_WAIT,
}
