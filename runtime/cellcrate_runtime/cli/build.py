"""``cellcrate image build``: a Dockerfile and a folder, built by the engine through its API."""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import os
import sys
import tarfile
import tempfile
import urllib.parse
from pathlib import Path
from typing import IO, Any

from cellcrate_runtime.activation import EngineStartError, ensure_engine
from cellcrate_runtime.cli.api import Connection
from cellcrate_runtime.cli.errors import CommandError
from cellcrate_runtime.images.dockerfile.errors import DockerfileError
from cellcrate_runtime.images.dockerfile.ignore import IgnoreFile, ignore_file_names

__all__ = ["run"]

USAGE = 2
_SPOOL = 32 << 20  # bytes of a context that are kept in memory; more goes to a file
_SECRETS = "X-Cellcrate-Build-Secrets"


def run(options: argparse.Namespace) -> int:
    """Build what the options name; return the exit status of the step that failed."""
    folder = Path(options.folder)
    if not folder.is_dir():
        raise CommandError(f"{folder} is not a folder: name the one to build from.")
    query = _query(options)
    headers = {"Content-Type": "application/x-tar"}
    if options.secret:
        headers[_SECRETS] = _secrets(options.secret)
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL) as context:
        _pack(folder, options.file, context)
        headers["Content-Length"] = str(context.tell())
        context.seek(0)
        try:
            with contextlib.closing(Connection(ensure_engine(), timeout=None)) as connection:
                connection.request("POST", f"/build?{query}", body=context, headers=headers)
                with connection.getresponse() as answer:
                    return _show(answer)
        except EngineStartError as error:
            raise CommandError(str(error)) from error
        except (OSError, http.client.HTTPException) as error:
            raise CommandError(f"the engine does not answer any more: {error}") from error


def _query(options: argparse.Namespace) -> str:
    arguments = dict(_argument(text) for text in options.build_arg)
    labels = {}
    for text in options.label:
        name, _, value = text.partition("=")
        labels[name] = value
    parameters: list[tuple[str, str]] = [
        *(("t", tag) for tag in options.tag),
        ("dockerfile", options.file),
        ("buildargs", json.dumps(arguments)),
        ("labels", json.dumps(labels)),
        ("target", options.target),
        ("platform", options.platform),
        ("networkmode", options.network),
        ("nocache", "1" if options.no_cache else ""),
        ("q", "1" if options.quiet else ""),
        ("cachefrom", json.dumps(options.cache_from)),
    ]
    return urllib.parse.urlencode([(name, value) for name, value in parameters if value])


def _argument(text: str) -> tuple[str, str | None]:
    """``NAME=VALUE``; a name alone has the value of the environment's variable."""
    name, equals, value = text.partition("=")
    return name, value if equals else os.environ.get(name)


def _secrets(given: list[str]) -> str:
    """Read secrets, ``id=NAME,src=FILE`` or ``id=NAME,env=VARIABLE``, for the request's header."""
    found: dict[str, str] = {}
    for text in given:
        members = dict(member.partition("=")[::2] for member in text.split(",") if "=" in member)
        source = members.get("src") or members.get("source")
        name = members.get("id") or (Path(source).name if source else "")
        if not name:
            raise CommandError(f"--secret {text}: write id=NAME,src=FILE", USAGE)
        try:
            content = (
                Path(source).read_bytes()
                if source
                else os.environ[members.get("env") or name].encode()
            )
        except OSError as error:
            raise CommandError(f"--secret {name}: {source}: {error.strerror}") from error
        except KeyError:
            raise CommandError(
                f"--secret {name}: there is neither a src=FILE nor a variable of the name"
            ) from None
        found[name] = base64.b64encode(content).decode()
    return base64.urlsafe_b64encode(json.dumps(found).encode()).decode()


def _pack(folder: Path, dockerfile: str, output: IO[bytes]) -> None:
    """Pack a folder without what its ignore file names; its Dockerfile goes along in any case."""
    ignored = _ignored(folder, dockerfile)
    kept = {os.path.normpath(dockerfile), *ignore_file_names(dockerfile)}

    def chosen(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if entry.name in kept or not ignored.ignores(entry.name):
            return entry
        # Something in an ignored folder may be there all the same.
        return entry if entry.isdir() and ignored.has_exceptions else None

    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(os.listdir(folder)):
            archive.add(folder / name, name, filter=chosen)


def _ignored(folder: Path, dockerfile: str) -> IgnoreFile:
    for name in ignore_file_names(dockerfile):
        try:
            return IgnoreFile((folder / name).read_text(), name)
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError, DockerfileError) as error:
            raise CommandError(f"{folder / name}: {error}") from error
    return IgnoreFile()


def _show(answer: http.client.HTTPResponse) -> int:
    """Print what a build says as it comes; return 0, or the status of the step that failed."""
    if answer.status != http.HTTPStatus.OK:
        refusal = json.loads(answer.read() or b"{}")
        raise CommandError(refusal.get("message", f"the engine answers {answer.status}"))
    for line in answer:
        document: Any = json.loads(line)
        if "error" in document:
            code = document.get("errorDetail", {}).get("code", 1)
            raise CommandError(document["error"], code)
        sys.stdout.write(document.get("stream", ""))
        sys.stdout.flush()
    return 0
