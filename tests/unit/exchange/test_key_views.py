"""What we hold beside what is listed: seen before a switch, with a fix for whatever does not fit."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from exchange.cli.exits import Exit
from exchange.cli.key_views import public_text
from exchange.cli.program import run
from exchange.keystore import write_secret
from exchange.link.certificate import certificate_der
from exchange.setup import rotating as work
from exchange.setup.checking import Finding, Glance, check, glance
from exchange.setup.holdings import Holding, Standing, holdings
from exchange.setup.keyring import unprotected
from exchange.setup.rotating import Windows
from keys.keyfile import KeyKind, KeyRecord, format_secret
from keys.protection import Unprotected
from keys.signature import SecretKey
from protocol.digest import signing_key_id
from protocol.text import parse_base64
from tests.acceptance.ceremony import Founded
from tests.clocks import FixedClock
from tests.unit.exchange.test_rotating import DAY_MS, NAME, NOW_MS, accept, change, rotate_node, rotate_tls


@pytest.fixture
def place(ceremony: Founded, tmp_path: Path) -> Path:
    """XAA's data directory, free to be changed."""
    return ceremony.copy(tmp_path).data("XAA")


def look(place: Path, days: int = 0) -> Glance:
    return asyncio.run(glance(place, FixedClock(NOW_MS + days * DAY_MS), None))


def held(place: Path, days: int = 0) -> dict[str, list[Holding]]:
    """Return what is held, by role."""
    seen = look(place, days)
    found: dict[str, list[Holding]] = {}
    for one in holdings(seen.place, seen.state, seen.directory, seen.now_ms):
        found.setdefault(one.role, []).append(one)
    return found


def findings(place: Path, days: int = 0) -> tuple[Finding, ...]:
    return check(look(place, days))


def test_a_node_that_was_just_set_up_has_everything_and_nothing_is_found(place: Path) -> None:
    """Every listed key is here, and every file is listed."""
    found = held(place)
    assert set(found) == {"node", "officer", "tls", "witness", "manifest", "daily keys"}
    assert {one.standing for ones in found.values() for one in ones} == {Standing.ACTIVE}
    assert all(found[role][0].path is not None for role in ("node", "officer", "tls", "witness"))
    assert findings(place) == ()


def test_a_rotated_key_is_announced_then_active_then_the_old_one_has_ended(place: Path) -> None:
    """The list says what the directory says of each, on each day."""
    rotate_node(place)

    def standings(days: int) -> list[Standing]:
        return [one.standing for one in held(place, days)["node"]]

    assert standings(0) == [Standing.ACTIVE, Standing.ANNOUNCED]
    assert standings(8) == [Standing.ACTIVE, Standing.ACTIVE]
    assert standings(38) == [Standing.ENDED, Standing.ACTIVE]


def test_what_the_coordinator_has_not_accepted_is_found(place: Path) -> None:
    """Until it has, nobody else knows the new key: the switch must not be planned on it."""
    rotate_node(place)
    (one,) = findings(place)
    assert "coordinator has not accepted" in one.message
    accept(place)
    assert findings(place) == ()


def _lose_node_key(place: Path) -> None:
    (place / "keys" / "node.key").unlink()


def _lose_certificate(place: Path) -> None:
    (place / "keys" / "tls.key").unlink()


def _swap_certificate_key(place: Path) -> None:
    rotate_tls(place)
    accept(place)
    shutil.copy(place / "keys" / "tls.key", place / "keys" / "tls-2.key")


def _stray_key(place: Path) -> None:
    record = KeyRecord(KeyKind.SIGNING, "XAA node", "node", SecretKey.generate().seed, NOW_MS)
    write_secret(place / "keys" / "node-2.key", format_secret(record, Unprotected()))


def _lose_officer(place: Path) -> None:
    for path in (place / "officers").glob("*.key"):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "words", "fix"),
    [
        (
            _lose_node_key,
            ["is listed, and its private half is not here", "no node key that lies here"],
            "rotate",
        ),
        (
            _lose_certificate,
            ["is listed, and its private half", "no TLS certificate that lies here"],
            "rotate tls",
        ),
        (_swap_certificate_key, ["do not belong together"], "rotate tls"),
        (_stray_key, ["no manifest lists"], "Delete it"),
        (_lose_officer, [f"of {NAME} is listed"], "Copy the file"),
    ],
)
def test_whatever_does_not_fit_is_named_with_its_fix(
    place: Path, spoil: Callable[[Path], None], words: list[str], fix: str
) -> None:
    """The error of other systems named neither key nor cause; this one names both, and the next step."""
    spoil(place)
    found = findings(place)
    assert [word for word in words if not any(word in one.message for one in found)] == []
    assert fix in found[-1].fix


def test_an_ended_key_whose_file_is_still_here_is_found(place: Path) -> None:
    """It signs nothing any more, and whoever takes it could still sign what is dated back."""
    rotate_node(place)
    accept(place)
    assert [one.fix for one in findings(place, days=38) if "node key" in one.message] == [
        "Delete it with: almenara key rotate finish --data DIR --identity FILE"
    ]


def test_what_ends_soon_is_found_with_the_command_that_renews_it(place: Path) -> None:
    """Manifest, keys and certificate all end after a year here."""
    fixes = " ".join(one.fix for one in findings(place, days=340))
    for what in ("manifest", "node", "officer", "tls"):
        assert f"key rotate {what}" in fixes


def test_the_public_half_is_exported_with_its_fingerprint(place: Path) -> None:
    """What is handed over is the listed key, byte for byte, and no secret."""
    found = held(place)
    (node,) = found["node"]
    text = public_text(node, "XAA")
    body = text.split("\n\n")[1].rsplit("-----END", 1)[0].replace("\n", "")
    assert signing_key_id(parse_base64(body, what="key")).hex() == node.id
    assert node.id[:8] in text
    (tls,) = found["tls"]
    assert certificate_der(public_text(tls, "XAA").encode()) == tls.public


def test_the_commands_print_and_end_with_the_right_code(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One JSON object each; check ends with 1 when something is to be done."""

    def asked(*words: str) -> tuple[int, dict[str, object]]:
        code = run(["key", *words, "--data", str(place), "--json"])
        return code, dict(json.loads(capsys.readouterr().out))

    code, shown = asked("list")
    keys = shown["keys"]
    assert isinstance(keys, list)
    assert (code, len(keys)) == (Exit.OK, 6)
    code, shown = asked("list", "--community")
    ends = shown["expiries"]
    assert isinstance(ends, list)
    assert {one["party"] for one in ends} >= {"governance", "HUB", "XAA", "XBB", "XCC"}
    assert [one["ends_ms"] for one in ends] == sorted(one["ends_ms"] for one in ends)
    assert asked("check") == (Exit.OK, {"schema_version": 1, "state": "XAA", "findings": []})
    code, shown = asked("export", "node")
    assert "BEGIN ALMENARA PUBLIC KEY" in str(shown["text"])
    assert asked("export", "ffffffffff")[0] == Exit.FAILED
    change(place, lambda one: work.rotate_node(one, unprotected, Windows()))
    code, shown = asked("check")
    assert (code, len(shown["findings"])) == (Exit.FAILED, 1)  # type: ignore[arg-type]


def test_the_lists_can_be_read_by_people(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every column has its words, and both lists fit a terminal."""
    for words in (("list",), ("list", "--community"), ("check",), ("export", "tls")):
        assert run(["key", *words, "--data", str(place)]) == Exit.OK
    out = capsys.readouterr().out
    assert "active" in out
    assert "root document" in out
    assert "BEGIN CERTIFICATE" in out
