"""The table of options: parser, values, documentation."""

from __future__ import annotations

import pytest

from cellcrate.errors import UsageError
from cellcrate.options import Group, Option, filesystems, parse, ports, split, values
from cellcrate.options.documentation import document
from cellcrate.options.run import CELL_GROUPS, LIVE, RUN_GROUPS

GROUPS = (
    Group(
        "Group",
        (
            Option(long="--interactive", short="-i", help="Switch."),
            Option(long="--tty", short="-t", help="Switch."),
            Option(long="--memory", short="-m", metavar="SIZE", read=values.size, help="Value."),
            Option(long="--env", short="-e", metavar="X", repeat=True, help="List."),
            Option(long="--gpus", metavar="X", help="", refused="no."),
        ),
    ),
)


def parsed(line: str, **kwargs):
    return parse(split(line), GROUPS, "%%container", **kwargs)


@pytest.mark.parametrize(
    "line", ["-m 64m", "-m64m", "-m=64m", "--memory 64m", "--memory=64m", "--memory=64M"]
)
def test_a_value_may_follow_or_be_joined(line):
    assert parsed(line).get("memory") == 64 << 20


def test_one_letter_switches_combine_with_a_value_at_the_end():
    result = parsed("-itm64m")
    assert (result.on("interactive"), result.on("tty"), result.get("memory")) == (
        True,
        True,
        64 << 20,
    )


def test_a_switch_can_be_turned_off():
    assert not parsed("--tty=false").on("tty")
    assert not parsed("-t=0").on("tty")
    assert parsed("-t=true").on("tty")


def test_options_end_at_the_first_word():
    assert parsed("-t image ls -l -m 3").words == ["image", "ls", "-l", "-m", "3"]


def test_options_end_at_two_dashes():
    result = parsed("-t -- -m image")
    assert result.words == ["-m", "image"]
    assert result.on("tty")


def test_options_may_follow_words_where_the_command_says_so():
    result = parsed("web -t db", mixed=True)
    assert (result.words, result.on("tty")) == (["web", "db"], True)


def test_lists_gather_and_values_replace():
    result = parsed("-e A=1 --env B=2 -m 1m -m 2m")
    assert (result.get("env"), result.get("memory")) == (["A=1", "B=2"], 2 << 20)


def test_quotes_are_a_shells():
    assert parsed("-e 'A=1 2' image").get("env") == ["A=1 2"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--memroy 1", "Did you mean --memory?"),
        ("--zzzzzz", "lists all options"),
        ("-x", "no option -x"),
        ("-tx", "no option -x in -tx"),
        ("--memory", "needs a value: --memory SIZE"),
        ("--tty=maybe", "on or off"),
        ("--gpus all", "cannot be used here: no."),
        ("-m 12bananas", "-m: '12bananas' is not a size"),
        ("-e 'A", "quotation"),
    ],
)
def test_errors_say_what_is_wrong(line, says):
    with pytest.raises(UsageError, match=says.replace("?", r"\?")):
        parsed(line)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("1k", 1024), ("1.5g", 3 << 29), ("10b", 10), ("2MB", 2 << 20), ("2mib", 2 << 20)],
)
def test_sizes(text, number):
    assert values.size(text) == number


@pytest.mark.parametrize("text", ["", "12 bananas", "-1", "m", "1x", "1e3", "1,5g", "nan"])
def test_no_sizes(text):
    with pytest.raises(ValueError, match="is not a size"):
        values.size(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [("30s", 30 * 10**9), ("1m30s", 90 * 10**9), ("500ms", 5 * 10**8), ("1.5h", 5400 * 10**9)],
)
def test_durations(text, number):
    assert values.duration(text) == number


@pytest.mark.parametrize("text", ["", "30", "s", "1 s", "1s2", "-1s"])
def test_no_durations(text):
    with pytest.raises(ValueError, match="length of time"):
        values.duration(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "x", ""])
def test_no_processors(text):
    with pytest.raises(ValueError, match="processors"):
        values.cpus(text)


def test_environment_takes_the_kernels_own_value(monkeypatch):
    monkeypatch.setenv("TAKEN", "it")
    assert values.environment("TAKEN") == "TAKEN=it"
    assert values.environment("NOT_SET_ANYWHERE") is None
    assert values.environment("A=") == "A="
    with pytest.raises(ValueError, match="has no name"):
        values.environment("=1")


def test_a_file_of_variables(tmp_path):
    file = tmp_path / "env"
    file.write_text("# comment\n\nA=1\n  B=2 3\n")
    assert values.environment_file(str(file)) == ["A=1", "B=2 3"]
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        values.environment_file(str(tmp_path / "missing"))
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="UTF-8"):
        values.environment_file(str(file))


def test_restart_policies():
    assert values.restart_policy("on-failure:3") == {"Name": "on-failure", "MaximumRetryCount": 3}
    for text in ("sometimes", "always:3", "on-failure:x", ""):
        with pytest.raises(ValueError, match=r"restart policy|whole number"):
            values.restart_policy(text)


def test_devices_and_ulimits():
    assert values.device("/dev/null:/dev/nil:r") == {
        "PathOnHost": "/dev/null",
        "PathInContainer": "/dev/nil",
        "CgroupPermissions": "r",
    }
    assert values.device("/dev/null")["PathInContainer"] == "/dev/null"
    assert values.ulimit("nofile=10") == {"Name": "nofile", "Soft": 10, "Hard": 10}
    assert values.ulimit("nofile=10:20")["Hard"] == 20
    for read, text in ((values.device, "null"), (values.ulimit, "nofile"), (values.rate, "1m")):
        with pytest.raises(ValueError, match="is n"):
            read(text)


@pytest.mark.parametrize(
    ("text", "bindings"),
    [
        ("80", [("80/tcp", "", "")]),
        ("8080:80", [("80/tcp", "", "8080")]),
        ("8080:80/udp", [("80/udp", "", "8080")]),
        ("127.0.0.1:8080:80", [("80/tcp", "127.0.0.1", "8080")]),
        ("127.0.0.1::80", [("80/tcp", "127.0.0.1", "")]),
        ("[::1]:8080:80", [("80/tcp", "::1", "8080")]),
        ("8000-8001:80-81", [("80/tcp", "", "8000"), ("81/tcp", "", "8001")]),
    ],
)
def test_published_ports(text, bindings):
    assert ports.publish(text) == bindings


@pytest.mark.parametrize("text", ["", "x", "0:80", "80:70000", "1:2:3:4:5", "80/xyz", "1-3:1-2"])
def test_no_published_ports(text):
    with pytest.raises(ValueError, match=r"port|not one of|length"):
        ports.publish(text)


def test_volumes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert filesystems.volume("./x:/data:ro") == f"{tmp_path}/x:/data:ro"
    assert filesystems.volume("~/x:/data") == "/home/me/x:/data"
    assert filesystems.volume("named:/data") == "named:/data"
    assert filesystems.volume("/data") == "/data"
    for text in ("x", "/a:b", ":/data"):
        with pytest.raises(ValueError, match="path in the container"):
            filesystems.volume(text)


def test_mounts():
    assert filesystems.mount("type=bind,src=/a,dst=/b,readonly") == {
        "Type": "bind",
        "Source": "/a",
        "Target": "/b",
        "ReadOnly": True,
    }
    tmpfs = filesystems.mount("type=tmpfs,target=/b,tmpfs-size=1m,tmpfs-mode=1770")
    assert tmpfs["TmpfsOptions"] == {"SizeBytes": 1 << 20, "Mode": 0o1770}
    for text in ("type=bind,src=/a", "type=bind,target=/b,colour=red", "type=tmpfs,target=b"):
        with pytest.raises(ValueError, match=r"target|no field"):
            filesystems.mount(text)
    with pytest.raises(ValueError, match="octal"):
        filesystems.mount("type=tmpfs,target=/b,tmpfs-mode=9")


def test_no_two_options_have_the_same_name():
    for groups in (CELL_GROUPS, RUN_GROUPS, (LIVE,)):
        names = [name for group in groups for option in group.options for name in option.names]
        assert len(names) == len(set(names))


def test_every_option_is_documented_and_does_something():
    text = document(CELL_GROUPS)
    magics_own = (
        "image interpreter python no_raise_error no_rm rm detach name replace pull quiet platform "
        "entrypoint interactive"
    )
    handled = set(magics_own.split())
    for option in (option for group in CELL_GROUPS for option in group.options):
        if option.refused:
            continue
        assert option.long in text
        assert option.help.endswith((".", ".)")), option
        assert option.put is not None or option.key in handled, option
    assert max(map(len, text.splitlines())) <= 100
