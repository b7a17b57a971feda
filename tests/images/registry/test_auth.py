"""Passwords, tokens and certificates: shown to whom they are meant for."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from cellcrate_runtime.images import ImageStore
from cellcrate_runtime.images.references import parse
from cellcrate_runtime.images.registry.challenges import Challenge, parse_challenges
from cellcrate_runtime.images.registry.credentials import Credential, read_auth_header
from cellcrate_runtime.images.registry.errors import (
    AccessDeniedError,
    InvalidRequestError,
    LoginFailedError,
    NotInRegistryError,
    RegistryUnreachableError,
)
from cellcrate_runtime.images.registry.login import domain_of, log_in
from cellcrate_runtime.images.registry.pull import pull
from cellcrate_runtime.images.registry.push import push
from cellcrate_runtime.images.registry.settings import RegistrySettings
from images.handmade import AddImage, Entry
from images.misbehaving import Answer, Handmade, Misbehaving, Request, says
from images.registries import PASSWORD, USER, Certificates, Registry

pytestmark = pytest.mark.once

LEARNER = Credential(USER, PASSWORD)


# -- passwords and certificates, with a real registry ------------------------------------------


@pytest.fixture(scope="module")
def closed(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[Registry]:
    """A registry with TLS that wants a password."""
    folder = tmp_path_factory.mktemp("closed")
    with Registry(folder, certificates=certificates, password=True) as registry:
        yield registry


@pytest.fixture
def trusting(settings: RegistrySettings, closed: Registry, tmp_path: Path) -> RegistrySettings:
    """Settings with the registry's authority, where Docker would have it."""
    assert closed.certificates is not None
    folder = tmp_path / "certs.d" / closed.address
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_bytes(closed.certificates.authority.read_bytes())
    return replace(settings, certificates=(tmp_path / "certs.d",))


def test_push_and_pull_with_a_password(
    closed: Registry,
    trusting: RegistrySettings,
    store: ImageStore,
    add_image: AddImage,
    tmp_path: Path,
) -> None:
    name = closed.name("x:1")
    image = add_image(name, [Entry("a")])
    with pytest.raises(AccessDeniedError, match="no basic auth credentials"):
        push(store, parse(name), trusting)
    push(store, parse(name), trusting, LEARNER)
    other = ImageStore(tmp_path / "other")
    with pytest.raises(NotInRegistryError, match="may require 'docker login'"):
        pull(other, parse(name), trusting)
    with pytest.raises(LoginFailedError) as failed:
        pull(other, parse(name), trusting, Credential(USER, "hunter2"))
    assert "hunter2" not in str(failed.value)
    assert pull(other, parse(name), trusting, LEARNER).id == image.id


def test_an_authority_that_nobody_knows(
    closed: Registry, settings: RegistrySettings, store: ImageStore
) -> None:
    with pytest.raises(RegistryUnreachableError, match=r"not to be trusted \(.*certs\.d"):
        pull(store, parse(closed.name("x:1")), settings, LEARNER)


def test_a_registry_that_is_named_insecure_may_have_any_certificate(
    closed: Registry, settings: RegistrySettings
) -> None:
    for named in (closed.address, "127.0.0.0/8"):
        assert log_in(closed.address, replace(settings, insecure=(named,)), LEARNER) == LEARNER


def test_an_authority_that_is_no_certificate(
    closed: Registry, settings: RegistrySettings, tmp_path: Path
) -> None:
    folder = tmp_path / closed.address
    folder.mkdir()
    (folder / "ca.crt").write_text("none")
    with pytest.raises(RegistryUnreachableError, match="cannot be used"):
        log_in(closed.address, replace(settings, certificates=(tmp_path,)), LEARNER)


def test_login(closed: Registry, trusting: RegistrySettings) -> None:
    assert log_in(closed.address, trusting, LEARNER) == LEARNER
    with pytest.raises(LoginFailedError):
        log_in(closed.address, trusting, Credential(USER, "wrong"))


# -- tokens, with a registry and a token server of the tests -----------------------------------


class TokenServer:
    """Makes a registry of the tests ask for tokens, and answers for them itself."""

    def __init__(self, registry: Misbehaving, *, life: int = 300, refresh: bool = False) -> None:
        self.registry = registry
        self.life = life
        self.refresh = refresh
        self.given: list[str] = []

    @property
    def realm(self) -> str:
        return f"http://{self.registry.address}/token"

    def guard(self, kind: str, times: int) -> None:
        """Have the next requests of a kind refused that show no good token."""
        self.registry.then(kind, *[self._guarded] * times)

    def give(self, times: int) -> None:
        """Give so many tokens."""
        self.registry.then("/token", *[self._give] * times)

    def _guarded(self, request: Request, honest: bytes) -> None:
        shown = request.headers.get("Authorization", "")
        if shown.removeprefix("Bearer ") in self.given:
            kind = "application/vnd.oci.image.manifest.v1+json"
            request.reply(200, honest, {"Content-Type": kind})
            return
        challenge = f'Bearer realm="{self.realm}",service="here",scope="repository:x:pull"'
        request.reply(401, b"", {"WWW-Authenticate": challenge})

    def _give(self, request: Request, _: bytes) -> None:
        self.given.append(f"token{len(self.given)}")
        answer: dict[str, object] = {"token": self.given[-1], "expires_in": self.life}
        if self.refresh:
            answer["refresh_token"] = "kept"
        request.reply(200, json.dumps(answer).encode())


@pytest.fixture
def registry() -> Iterator[Misbehaving]:
    with Misbehaving(Handmade.of([Entry("a")], [Entry("b")])).running() as registry:
        yield registry


def test_a_token_is_got_once_and_shown(
    registry: Misbehaving, store: ImageStore, settings: RegistrySettings
) -> None:
    tokens = TokenServer(registry)
    tokens.guard("/v2/", 1)
    tokens.guard("manifest", 2)
    tokens.guard("blob", 3)
    tokens.give(9)
    pull(store, parse(f"{registry.address}/x:1"), settings, Credential("me", "secret"))
    [asked] = registry.requests("GET", "/token")
    query = parse_qs(urlsplit(asked.path).query)
    assert query["scope"] == ["repository:x:pull"]
    assert query["service"] == ["here"]
    assert query["account"] == ["me"]
    assert "secret" not in asked.path
    assert asked.headers["authorization"] == Credential("me", "secret").basic()
    assert all(
        request.headers["authorization"] == "Bearer token0"
        for request in registry.requests("GET", "/blobs/")
    )


def test_a_token_that_is_refused_is_got_anew(
    registry: Misbehaving, store: ImageStore, settings: RegistrySettings
) -> None:
    tokens = TokenServer(registry)
    tokens.guard("manifest", 2)
    tokens.give(9)

    def expired(request: Request, honest: bytes) -> None:
        tokens.given[0] = "none"
        tokens._guarded(request, honest)

    registry.then("blob", expired)
    tokens.guard("blob", 3)
    pull(store, parse(f"{registry.address}/x:1"), settings)
    assert len(registry.requests("GET", "/token")) == 2


def test_an_identity_token_is_posted(
    registry: Misbehaving, store: ImageStore, settings: RegistrySettings
) -> None:
    tokens = TokenServer(registry)
    tokens.guard("manifest", 2)

    def give(request: Request, _: bytes) -> None:
        request.reply(200, b'{"access_token": "by post"}')

    tokens.given.append("by post")
    registry.then("POST", give)
    name = parse(f"{registry.address}/x:1")
    pull(store, name, settings, Credential(identity_token="kept"))
    [posted] = registry.requests("POST", "/token")
    form = parse_qs(posted.body.decode())
    assert form["grant_type"] == ["refresh_token"]
    assert form["refresh_token"] == ["kept"]
    assert form["scope"] == ["repository:x:pull"]


def test_login_keeps_the_token_that_it_is_given(
    registry: Misbehaving, settings: RegistrySettings
) -> None:
    tokens = TokenServer(registry, refresh=True)
    tokens.guard("/v2/", 3)
    tokens.give(1)
    kept = log_in(registry.address, settings, Credential("me", "secret"))
    assert (kept.username, kept.password, kept.identity_token) == ("me", "", "kept")


def test_a_token_of_the_registry_is_shown_as_it_is(
    registry: Misbehaving, store: ImageStore, settings: RegistrySettings
) -> None:
    pull(store, parse(f"{registry.address}/x:1"), settings, Credential(registry_token="given"))
    [asked] = registry.requests("GET", "/manifests/")
    assert asked.headers["authorization"] == "Bearer given"


@pytest.mark.parametrize(
    "realm", ["http://192.0.2.1/token", "ftp://127.0.0.1/x", "https://me:x@127.0.0.1/", ""]
)
def test_a_password_goes_nowhere_in_the_open(
    registry: Misbehaving, store: ImageStore, settings: RegistrySettings, realm: str
) -> None:
    challenge = f'Bearer realm="{realm}"'
    registry.then("manifest", says(401, b"", WWW_Authenticate=challenge))
    name = parse(f"{registry.address}/x:1")
    with pytest.raises(NotInRegistryError, match="no place to show a password"):
        pull(store, name, settings, Credential("me", "secret"))


@pytest.mark.parametrize(
    "answer",
    [says(401, b"secret"), says(500, b"secret"), says(200, b"secret"), says(200, b'{"x": 1}')],
)
def test_a_token_server_that_gives_none(
    registry: Misbehaving,
    store: ImageStore,
    settings: RegistrySettings,
    answer: Answer,
) -> None:
    tokens = TokenServer(registry)
    tokens.guard("manifest", 1)
    registry.then("/token", *[answer] * settings.attempts)
    with pytest.raises(Exception, match=registry.address) as failed:
        pull(store, parse(f"{registry.address}/x:1"), settings, Credential("me", "secret"))
    assert "secret" not in str(failed.value)
    assert "token?" not in str(failed.value)


def test_a_challenge_that_nobody_can_answer(
    registry: Misbehaving, store: ImageStore, settings: RegistrySettings
) -> None:
    registry.then("manifest", says(401, b"", WWW_Authenticate="Negotiate"))
    with pytest.raises(NotInRegistryError, match="asks for negotiate"):
        pull(store, parse(f"{registry.address}/x:1"), settings)


# -- the headers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", []),
        ("Basic", [Challenge("basic", {})]),
        ('Basic realm="a b"', [Challenge("basic", {"realm": "a b"})]),
        (
            'Bearer realm="https://x/y",service="z",scope="repository:a/b:pull,push"',
            [
                Challenge(
                    "bearer",
                    {"realm": "https://x/y", "service": "z", "scope": "repository:a/b:pull,push"},
                )
            ],
        ),
        (
            r'Negotiate, Basic realm="q\"uote" , BEARER Realm=plain',
            [
                Challenge("negotiate", {}),
                Challenge("basic", {"realm": 'q"uote'}),
                Challenge("bearer", {"realm": "plain"}),
            ],
        ),
        ("NTLM abc==, Basic realm=x", [Challenge("ntlm", {}), Challenge("basic", {"realm": "x"})]),
        ('"', []),
    ],
)
def test_challenges(header: str, found: list[Challenge]) -> None:
    assert parse_challenges(header) == found


@pytest.mark.timeout(30)
def test_no_challenge_keeps_its_reader_busy_for_ever() -> None:
    for header in ("a=" * 50_000, "Basic " + 'a="' * 50_000, ", " * 50_000, "a " * 50_000):
        parse_challenges(header)


def header_of(**members: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).decode()


def test_x_registry_auth() -> None:
    assert read_auth_header("") == Credential()
    given = header_of(username="a", password="p?>", serveraddress="x")
    assert read_auth_header(given) == Credential("a", "p?>")
    assert read_auth_header(given.rstrip("=")) == Credential("a", "p?>")
    pair = base64.b64encode(b"a:b:c").decode()
    assert read_auth_header(header_of(auth=pair)) == Credential("a", "b:c")
    assert read_auth_header(header_of(identitytoken="t")) == Credential(identity_token="t")
    assert read_auth_header(base64.b64encode(b"null").decode()) == Credential()
    for bad in ("secret!", base64.b64encode(b"secret").decode(), header_of(auth="secret")):
        with pytest.raises(InvalidRequestError) as failed:
            read_auth_header(bad)
        assert "secret" not in str(failed.value)


def test_a_credential_shows_no_secret() -> None:
    assert "secret" not in repr(Credential("me", "secret", "secret", "secret"))


@pytest.mark.parametrize(
    ("server", "domain"),
    [
        ("", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("ghcr.io", "ghcr.io"),
        ("https://localhost:5000/", "localhost:5000"),
        ("registry.example.com:5000/v2/", "registry.example.com:5000"),
    ],
)
def test_addresses_of_registries(server: str, domain: str) -> None:
    assert domain_of(server) == domain


@pytest.mark.parametrize("server", ["word", "a b.c", "http://me:secret@x.y/"])
def test_addresses_of_nothing(server: str) -> None:
    with pytest.raises(InvalidRequestError):
        domain_of(server)
