"""A state's identity key succeeded by another, by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from exchange.cli.program import almenara
from exchange.clock import SystemClock
from exchange.setup import governance as work
from exchange.setup.joining import join_community
from exchange.setup.keyring import open_signer
from keys.documents import sign_document
from keys.governance import checked_state, next_directory
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol.documents import Role, StateManifest, parse_document, parse_signed_document
from protocol.enrolment import StateRequest, parse_request
from protocol.errors import UnknownSigner
from tests.acceptance.ceremony import NO_PASSPHRASE, Founded

CLOCK = SystemClock()


@pytest.fixture
def founded(ceremony: Founded, tmp_path: Path) -> Founded:
    """Return a community of the test's own."""
    return ceremony.copy(tmp_path)


def run(*words: str) -> str:
    """Run one command, which must succeed, and return what it said."""
    result = CliRunner().invoke(almenara, list(words))
    assert result.exit_code == 0, f"{result.output}{result.exception!r}"
    return result.output


def succeed(founded: Founded) -> tuple[str, StateRequest]:
    data = founded.data("XAA")
    said = run(
        *("node", "succeed-identity", "--data", str(data), "--unprotected"),
        *("--identity", str(data / "keys" / "identity.key"), "--new-key", str(founded.base / "new.key")),
    )
    request = parse_request((data / "succession.alm").read_bytes())
    assert isinstance(request, StateRequest)
    return said, request


def list_identity(founded: Founded, public: bytes, *before: bytes) -> None:
    """Let the custodians list another identity key for XAA, after these documents."""
    now_ms = CLOCK.now_ms()
    held = work.publish(work.read_ceremony(founded.governance, now_ms), before, now_ms)
    states = [replace(one, identity=public) if one.code == "XAA" else one for one in held.entries[0]]
    directory = next_directory(held.trusted, states, held.entries[1], now_ms=now_ms, life_ms=10**10)
    keys = [open_signer(path, Role.DIRECTORY, NO_PASSPHRASE) for path in work.choose_keys(held, [])]
    work.publish(held, [sign_document(directory, keys)], now_ms)


def join(founded: Founded, code: str) -> TrustedDirectory:
    joined = asyncio.run(join_community(founded.data(code), founded.community, coordinator=None, clock=CLOCK))
    return joined.directory


def test_the_request_is_sound_and_its_manifest_is_signed_by_both_keys(founded: Founded) -> None:
    """Governance checks it as it checks a newcomer's; people compare the new fingerprint."""
    said, request = succeed(founded)
    trusted = work.read_ceremony(founded.governance, CLOCK.now_ms()).trusted
    assert checked_state(trusted, Verifier(), request, since_ms=1).identity == request.identity
    signed = parse_signed_document(request.documents[0])
    assert len(signed.signatures) == 2
    manifest = parse_document(signed.body)
    assert isinstance(manifest, StateManifest)
    assert manifest.version == 2
    assert "succession.alm to governance" in said


def test_nothing_of_the_state_stops_counting_when_the_new_key_is_listed(founded: Founded) -> None:
    """At others and at home: the manifest that both signed goes on."""
    _, request = succeed(founded)
    list_identity(founded, request.identity, *request.documents)
    for code in ("XAA", "XBB"):
        directory = join(founded, code)
        assert directory.documents.manifest("XAA") is not None
        assert directory.prekey("XAA", CLOCK.now_ms())


def test_afterwards_the_new_key_signs_for_the_state_and_the_old_one_does_not(founded: Founded) -> None:
    """The command names the file that is the wrong one."""
    data = founded.data("XAA")
    _, request = succeed(founded)
    list_identity(founded, request.identity, *request.documents)
    join(founded, "XAA")
    words = ["officer", "add", "New Person", "--data", str(data), "--identity"]
    refused = CliRunner().invoke(almenara, [*words, str(data / "keys" / "identity.key")])
    assert refused.exit_code != 0
    assert "not the one that the directory lists now" in str(refused.exception)
    run(*words, str(founded.base / "new.key"))


def replaced(founded: Founded) -> StateRequest:
    data = founded.data("XAA")
    words = ("node", "replace-identity", "--data", str(data), "--new-key", str(founded.base / "new.key"))
    assert "two members" in run(*words, "--unprotected")
    request = parse_request((data / "succession.alm").read_bytes())
    assert isinstance(request, StateRequest)
    return request


def list_with_its_manifest(founded: Founded, request: StateRequest) -> None:
    list_identity(founded, request.identity)
    now_ms = CLOCK.now_ms()
    work.publish(work.read_ceremony(founded.governance, now_ms), request.documents, now_ms)


def test_a_lost_key_is_replaced_without_it(founded: Founded) -> None:
    """The new key alone signs the manifest, which counts once governance has listed that key."""
    request = replaced(founded)
    assert len(parse_signed_document(request.documents[0]).signatures) == 1
    trusted = work.read_ceremony(founded.governance, CLOCK.now_ms()).trusted
    assert checked_state(trusted, Verifier(), request, since_ms=1).identity == request.identity
    list_with_its_manifest(founded, request)
    for code in ("XAA", "XBB"):
        directory = join(founded, code)
        manifest = directory.documents.manifest("XAA")
        assert manifest is not None
        assert manifest.version == 2
        assert directory.prekey("XAA", CLOCK.now_ms())


def test_until_it_is_listed_the_replacement_counts_nothing(founded: Founded) -> None:
    """Whoever makes such a request in a state's name has made a file, and nothing else."""
    request = replaced(founded)
    with pytest.raises(UnknownSigner):
        work.publish(
            work.read_ceremony(founded.governance, CLOCK.now_ms()), request.documents, CLOCK.now_ms()
        )


def test_a_key_that_this_state_never_asked_for_is_noticed(founded: Founded) -> None:
    """A succession that somebody else made is no succession."""
    _, request = succeed(founded)
    list_identity(founded, request.identity, *request.documents)
    (founded.data("XAA") / "succession.alm").unlink()
    with pytest.raises(UnknownSigner, match="another key"):
        join(founded, "XAA")
