"""``cellcrate image pull``, ``push``, ``tags``, ``login`` and ``logout``: no engine is needed."""

from __future__ import annotations

import argparse
import getpass
import sys

from cellcrate_runtime.cli.errors import CommandError
from cellcrate_runtime.cli.image import errors_for_people, open_store
from cellcrate_runtime.cli.transfer_lines import Lines
from cellcrate_runtime.images.image import BASE_REFERENCE
from cellcrate_runtime.images.references import parse
from cellcrate_runtime.images.registry.credentials import Credential
from cellcrate_runtime.images.registry.docker_config import DockerConfig
from cellcrate_runtime.images.registry.login import domain_of, log_in
from cellcrate_runtime.images.registry.platforms import parse_platform
from cellcrate_runtime.images.registry.pull import Puller
from cellcrate_runtime.images.registry.push import push as push_image
from cellcrate_runtime.images.registry.settings import RegistrySettings
from cellcrate_runtime.paths import Paths

__all__ = ["login", "logout", "pull", "push", "tags"]


def pull(options: argparse.Namespace) -> int:
    """Pull an image; of a name without a tag the one that is called latest, or all."""
    with errors_for_people():
        store = open_store()
        name = parse(options.image)
        if options.all_tags and (name.tag or name.digest):
            raise CommandError("tag can't be used with --all-tags/-a", status=2)
        platform = parse_platform(options.platform) if options.platform else None
        if not options.all_tags and name.with_default_tag() == parse(BASE_REFERENCE):
            raise CommandError(
                f"{BASE_REFERENCE} is packed from this machine's programs, not pulled: "
                "cellcrate image pack --base"
            )
        credential = DockerConfig().find(name.domain)
        with Puller(store, _settings(), credential) as puller, Lines(options.quiet) as lines:
            names = [name.with_default_tag()]
            if options.all_tags:
                tags = puller.tags(name)
                names = [parse(f"{name.canonical}:{tag}") for tag in tags]
            for one in names:
                pulled = puller.fetch(puller.resolve(one, platform), lines.report)
                lines.report(pulled.status(one))
    for one in names:
        print(one.canonical)
    return 0


def push(options: argparse.Namespace) -> int:
    """Push an image, or all tags of a repository."""
    with errors_for_people():
        store = open_store()
        name = parse(options.image)
        if options.all_tags and (name.tag or name.digest):
            raise CommandError("tag can't be used with --all-tags/-a", status=2)
        if not options.all_tags:
            name = name.with_default_tag()
        credential = DockerConfig().find(name.domain)
        with Lines(options.quiet) as lines:
            push_image(store, name, _settings(), credential, report=lines.report)
    if options.quiet:
        print(name.canonical)
    return 0


def tags(options: argparse.Namespace) -> int:
    """Print the tags that a repository has in its registry."""
    with errors_for_people():
        name = parse(options.repository)
        credential = DockerConfig().find(name.domain)
        with Puller(open_store(), _settings(), credential) as puller:
            found = puller.tags(name)
    for tag in found:
        print(tag)
    return 0


def login(options: argparse.Namespace) -> int:
    """Log in to a registry, and keep what it takes where Docker keeps it, too."""
    with errors_for_people():
        domain = domain_of(options.server)
        if options.password is not None:
            print(
                "WARNING! Using --password via the CLI is insecure, because every user of this "
                "machine can see it. Use --password-stdin.",
                file=sys.stderr,
            )
        credential = _asked(options)
        kept = log_in(domain, _settings(), credential)
        open_file = DockerConfig().store(domain, kept)
    if open_file is not None:
        print(
            f"WARNING! Your password will be stored unencrypted in {open_file}. A credential "
            "helper keeps it in a safer place: see credsStore in Docker's documentation.",
            file=sys.stderr,
        )
    print("Login Succeeded")
    return 0


def logout(options: argparse.Namespace) -> int:
    """Forget how to log in to a registry."""
    with errors_for_people():
        domain = domain_of(options.server)
        found = DockerConfig().erase(domain)
    print(f"Removing login credentials for {domain}" if found else f"Not logged in to {domain}")
    return 0


def _settings() -> RegistrySettings:
    return RegistrySettings.read(Paths.from_environment().data / "daemon.json")


def _asked(options: argparse.Namespace) -> Credential:
    """The name and the password, from wherever the user has them."""
    if options.password_stdin:
        if options.password is not None:
            raise CommandError("--password and --password-stdin are mutually exclusive", status=2)
        if not options.username:
            raise CommandError("Must provide --username with --password-stdin", status=2)
        password = sys.stdin.read().rstrip("\r\n")
    elif options.password is not None:
        password = options.password
    elif sys.stdin.isatty():
        options.username = options.username or input("Username: ")
        password = getpass.getpass("Password: ")
    else:
        raise CommandError(
            "there is no terminal to ask for a password: use --password-stdin.", status=2
        )
    if not options.username or not password:
        raise CommandError("a name and a password are needed: neither may be empty.", status=2)
    return Credential(options.username, password)
