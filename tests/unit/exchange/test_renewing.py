"""A coordinator's next certificate and statement key, made by hand."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from exchange.cli.program import almenara
from exchange.clock import SystemClock
from exchange.setup import governance as work
from exchange.setup.coordinator import join_community
from exchange.setup.keyring import open_signer, unprotected
from exchange.setup.renewing import (
    announce_certificate,
    asked_entry,
    change_addresses,
    finish_certificate,
    next_statement_key,
)
from keys.documents import sign_document
from keys.governance import checked_coordinator, next_directory
from keys.signer import Verifier
from keys.trust import TrustedDirectory
from protocol.documents import CoordinatorEntry, Role
from protocol.enrolment import CoordinatorRequest, parse_request
from protocol.errors import BadRequest, SetupError, UnknownSigner
from tests.acceptance.ceremony import HUB, NO_PASSPHRASE, Founded

CLOCK = SystemClock()


@pytest.fixture
def founded(ceremony: Founded, tmp_path: Path) -> Founded:
    """Return a community of the test's own."""
    return ceremony.copy(tmp_path)


def list_as(founded: Founded, entry: CoordinatorEntry) -> None:
    """Let the custodians list the coordinator so."""
    now_ms = CLOCK.now_ms()
    held = work.read_ceremony(founded.governance, now_ms)
    directory = next_directory(held.trusted, held.entries[0], [entry], now_ms=now_ms, life_ms=10**10)
    keys = [open_signer(path, Role.DIRECTORY, NO_PASSPHRASE) for path in work.choose_keys(held, [])]
    work.publish(held, [sign_document(directory, keys)], now_ms)


def join(founded: Founded) -> TrustedDirectory:
    return asyncio.run(join_community(founded.data(HUB), founded.community, CLOCK))


def test_a_certificate_is_asked_for_behind_the_present_one_and_then_alone(founded: Founded) -> None:
    """The order says which one is in use; every member learns the new one before it is needed."""
    data = founded.data(HUB)
    (old,) = asked_entry(data).certificates
    made = announce_certificate(data, CLOCK.now_ms())
    assert made.entry.certificates[0] == old
    assert [path.name for path in made.files] == ["tls-2.crt", "tls-2.key"]
    assert stat.S_IMODE(made.files[1].stat().st_mode) == 0o600
    list_as(founded, made.entry)
    assert join(founded).coordinator(HUB) == made.entry
    finished = finish_certificate(data)
    assert finished.entry.certificates == made.entry.certificates[1:]
    list_as(founded, finished.entry)
    assert join(founded).coordinator(HUB) == finished.entry


def test_a_change_that_was_not_begun_cannot_be_finished_and_there_is_an_end_to_beginning(
    founded: Founded,
) -> None:
    """Both errors name the command that comes first."""
    data = founded.data(HUB)
    with pytest.raises(BadRequest, match="no change to finish"):
        finish_certificate(data)
    for _ in range(3):
        announce_certificate(data, CLOCK.now_ms())
    with pytest.raises(BadRequest, match="the most there can be"):
        announce_certificate(data, CLOCK.now_ms())


def test_the_next_statement_keys_request_proves_that_it_is_held(founded: Founded) -> None:
    """Governance checks it like the first one; the old file stays where it is."""
    data = founded.data(HUB)
    made = next_statement_key(data, unprotected, CLOCK.now_ms())
    request = parse_request(made.request.read_bytes())
    assert isinstance(request, CoordinatorRequest)
    trusted = work.read_ceremony(founded.governance, CLOCK.now_ms()).trusted
    assert checked_coordinator(trusted, Verifier(), request) == made.entry
    assert {path.name for path in (data / "keys").glob("statement*.key")} == {
        "statement.key",
        "statement-2.key",
    }
    list_as(founded, made.entry)
    assert join(founded).coordinator(HUB).key == made.entry.key


def test_while_a_change_waits_for_governance_other_documents_are_taken_over(founded: Founded) -> None:
    """What was asked for is not what must be listed: only that it is ours."""
    next_statement_key(founded.data(HUB), unprotected, CLOCK.now_ms())
    announce_certificate(founded.data(HUB), CLOCK.now_ms())
    assert join(founded).head().version == 1


def test_a_directory_that_lists_a_strangers_key_for_us_is_not_taken_over(
    founded: Founded, tmp_path: Path
) -> None:
    """Somebody else would speak in this coordinator's name."""
    made = next_statement_key(founded.data(HUB), unprotected, CLOCK.now_ms())
    list_as(founded, made.entry)
    made.files[0].unlink()
    with pytest.raises(UnknownSigner, match="not here"):
        join(founded)


def test_the_commands_say_what_comes_next_and_give_it_to_programs(founded: Founded) -> None:
    """Each names the request to send, and the way back."""
    data = str(founded.data(HUB))
    said = CliRunner().invoke(almenara, ["coordinator", "rotate", "certificate", "--data", data])
    assert said.exit_code == 0, said.output
    assert "rotate certificate --finish" in said.output
    assert "request.alm to governance" in said.output
    words = ["coordinator", "rotate", "statement-key", "--unprotected", "--json", "--data", data]
    told = json.loads(CliRunner().invoke(almenara, words).output)
    assert told["files"] == [str(founded.data(HUB) / "keys" / "statement-2.key")]
    assert len(told["certificates"]) == 2


def test_a_nodes_place_has_no_coordinators_keys(founded: Founded) -> None:
    """Mixing up two directories is told before anything is made."""
    with pytest.raises(SetupError, match="not of a coordinator"):
        announce_certificate(founded.data("XAA"), CLOCK.now_ms())


def test_other_addresses_are_asked_for_with_everything_else_as_it_was(founded: Founded) -> None:
    """A coordinator that gets a second process asks to be looked for at both."""
    data = founded.data(HUB)
    before = asked_entry(data)
    made = change_addresses(data, ["wss://a.example:8443", "wss://b.example:8443"])
    assert made.entry.addresses == ("wss://a.example:8443", "wss://b.example:8443")
    list_as(founded, asked_entry(data))
    listed = join(founded).coordinator(HUB)
    assert (listed.url, listed.key, listed.log) == (made.entry.url, before.key, before.log)
    with pytest.raises(BadRequest, match="no address"):
        change_addresses(data, [])


def test_the_command_line_asks_for_other_addresses(founded: Founded) -> None:
    """Each address is named once; what they are is shown before governance signs it."""
    words = ["coordinator", "rotate", "addresses", "--data", str(founded.data(HUB))]
    urls = ["--url", "wss://a.example:8443", "--url", "wss://b.example:8443"]
    result = CliRunner().invoke(almenara, [*words, *urls])
    assert result.exit_code == 0, result.output
    assert "wss://a.example:8443 wss://b.example:8443" in result.output
    assert asked_entry(founded.data(HUB)).addresses == ("wss://a.example:8443", "wss://b.example:8443")
