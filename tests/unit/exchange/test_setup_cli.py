"""The set-up commands: what they print, what they refuse, and with which exit code."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.exits import Exit
from exchange.cli.program import run
from exchange.datadir import DataDir
from exchange.setup.words import root_hash
from tests.acceptance.ceremony import CODES, HUB, Founded


class Terminal:
    """Runs commands as a script would: no terminal, no settings but those that are given."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def run(self, *words: str | Path) -> tuple[int, str, str]:
        """Return exit code, standard output and standard error."""
        code = run([str(word) for word in words])
        out, err = self._capsys.readouterr()
        return code, out, err

    def json(self, *words: str | Path) -> dict[str, Any]:
        """Return the object that a command that succeeds prints, and nothing else."""
        code, out, err = self.run(*words, "--json")
        assert code == Exit.OK, out + err
        (line,) = out.splitlines()
        fields = json.loads(line)
        assert fields["schema_version"] == 1
        return dict(fields)

    def refused(self, *words: str | Path) -> tuple[int, dict[str, Any]]:
        """Return the exit code and the error of a command that fails."""
        code, out, _ = self.run(*words, "--json")
        error = json.loads(out)["error"]
        assert error["message"]
        assert error["next"]
        return code, dict(error)


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    """A terminal whose user has no settings."""
    for name in [name for name in os.environ if name.startswith("ALMENARA_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Terminal(capsys)


def passphrase(folder: Path, text: str = "correct horse") -> Path:
    path = folder / "passphrase"
    path.write_text(f"{text}\n")
    path.chmod(0o600)
    return path


def test_a_community_is_set_up_by_commands_alone(terminal: Terminal, tmp_path: Path) -> None:
    """Every step prints one JSON object from which the next can be written."""
    made = terminal.json("governance", "init", "--name", "By hand", "--out", tmp_path / "g", "--unprotected")
    assert len(made["keys"]) == 6
    pin = ("--root-hash", (tmp_path / "g" / "root-hash").read_text(), "--unprotected")
    assert root_hash(pin[1]).hex() == made["root_hash"]
    hub = terminal.json("coordinator", "init", "--data", tmp_path / HUB, "--code", HUB, "--name", "Hub", *pin)
    assert hub["url"] == "wss://127.0.0.1:8443"
    requests = [hub["request"]]
    for code in CODES:
        node = terminal.json(
            *("node", "init", "--data", tmp_path / code, "--state", code, "--name", f"CSIRT of {code}"),
            *("--officer", "Ana Silva", "--severity", f"bundled:{code.lower()}-national", *pin),
        )
        assert len(node["tokens"]) == 3
        assert node["severity"] == f"{code.lower()}-national@1"
        requests.append(node["request"])
    admitted = terminal.json("governance", "admit", "--in", tmp_path / "g", *requests, "--yes")
    assert [change["code"] for change in admitted["changes"]] == [HUB, *CODES]
    assert len(admitted["signed_with"]) == 2
    shown = terminal.json("governance", "show", "--in", tmp_path / "g")
    assert [state["officers"] for state in shown["states"]] == ["Ana Silva"] * 3
    community = admitted["community"]
    joined = terminal.json("coordinator", "join", "--data", tmp_path / HUB, community)
    assert joined["states"] == list(CODES)
    for code in CODES:
        node = terminal.json("node", "join", "--data", tmp_path / code, community)
        assert (node["state"], node["coordinator"], node["directory_version"]) == (code, HUB, 1)


def test_a_dry_run_shows_the_change_and_signs_nothing(terminal: Terminal, applied: Founded) -> None:
    """What custodians look at before they bring their keys."""
    before = applied.community.read_bytes()
    words = ("governance", "admit", "--in", applied.governance, applied.request("XAA"), "--dry-run")
    assert terminal.json(*words)["signed"] is False
    code, out, _ = terminal.run(*words)
    assert code == Exit.OK
    assert "+ state XAA  CSIRT of XAA" in out
    assert applied.community.read_bytes() == before


def test_without_a_person_to_ask_admitting_needs_a_flag(terminal: Terminal, applied: Founded) -> None:
    """A script must say that the fingerprints were compared."""
    words = ("governance", "admit", "--in", applied.governance, applied.request("XAA"))
    code, error = terminal.refused(*words)
    assert code == Exit.USAGE
    assert "--yes" in error["message"]


def test_a_file_of_another_kind_is_named_with_the_right_one(terminal: Terminal, ceremony: Founded) -> None:
    """Two kinds of file travel, and they are easily taken for each other."""
    community = ceremony.community
    code, error = terminal.refused("governance", "admit", "--in", ceremony.governance, community)
    assert (code, error["code"]) == (Exit.FAILED, "unknown-kind")
    assert str(community) in error["message"]
    assert "request.alm" in error["next"]


@pytest.mark.parametrize("role", ["node", "coordinator"])
def test_a_directory_that_is_no_data_directory_is_not_run(
    terminal: Terminal, tmp_path: Path, role: str
) -> None:
    """A mistyped directory is told from a lost key."""
    code, error = terminal.refused(role, "run", "--data", tmp_path)
    assert (code, error["code"]) == (Exit.FAILED, "setup")
    assert str(tmp_path) in error["message"]
    assert f"almenara {role} init" in error["next"]


def test_showing_a_community_names_members_officers_and_expiries(
    terminal: Terminal, ceremony: Founded
) -> None:
    """One look answers who is a member, and until when."""
    code, out, _ = terminal.run("governance", "show", "--in", ceremony.governance)
    assert code == Exit.OK
    for word in (
        "2 of 3 custodians",
        "coordinator HUB",
        "state XCC",
        "Officer of XCC",
        "severity xcc-national@1",
    ):
        assert word in out


def test_a_name_cannot_act_on_the_custodians_terminal(
    terminal: Terminal, applied: Founded, tmp_path: Path
) -> None:
    """An applicant's name that turns the direction of text is shown as what it is."""
    words = ("node", "init", "--data", tmp_path / "x", "--state", "XDD", "--officer", "Ana", "--unprotected")
    pin = ("--root-hash", applied.root_hash.hex())
    code, error = terminal.refused(*words, *pin, "--name", "CSIRT\x1b[2J")
    assert (code, error["code"]) == (Exit.USAGE, "bad-request")
    made = terminal.json(*words, *pin, "--name", "CSIRT \u202eAAX")
    _, out, _ = terminal.run("governance", "admit", "--in", applied.governance, made["request"], "--dry-run")
    assert "CSIRT \\u{202e}AAX" in out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--state", "x!", "--root-hash", "0" * 64), "bad-request"),
        (("--state", "XAA", "--root-hash", "123"), "bad-request"),
    ],
)
def test_a_mistyped_value_is_a_usage_error(
    words: tuple[str, ...], code: str, terminal: Terminal, tmp_path: Path
) -> None:
    """Exit code 2, and nothing was made."""
    plain = ("node", "init", "--data", tmp_path / "x", "--name", "X", "--officer", "Ana", "--unprotected")
    exit_, error = terminal.refused(*plain, *words)
    assert (exit_, error["code"]) == (Exit.USAGE, code)
    assert not (tmp_path / "x").exists()


def test_keys_are_not_left_unprotected_by_default(terminal: Terminal, tmp_path: Path) -> None:
    """Without a terminal, a passphrase file or the explicit flag, nothing is made."""
    code, error = terminal.refused("governance", "init", "--name", "X", "--out", tmp_path / "g")
    assert (code, error["code"]) == (Exit.AUTHORITY, "keyfile")
    assert "--passphrase-file" in error["next"]
    assert list((tmp_path / "g").iterdir()) == []


def test_a_directory_in_use_is_not_set_up_again(terminal: Terminal, ceremony: Founded) -> None:
    """The keys in it stay."""
    words = ("coordinator", "init", "--data", ceremony.data(HUB), "--code", HUB, "--name", "X")
    code, error = terminal.refused(*words, "--root-hash", "0" * 64, "--unprotected")
    assert (code, error["code"]) == (Exit.FAILED, "setup")


def test_a_wrong_passphrase_is_exit_code_4(terminal: Terminal, tmp_path: Path) -> None:
    """The error names the file that did not open, and nothing was signed."""
    secret = passphrase(tmp_path)
    words = ("governance", "init", "--name", "X", "--keys", "1", "--threshold", "1")
    made = terminal.json(*words, "--out", tmp_path / "g", "--passphrase-file", secret)
    hub = ("coordinator", "init", "--data", tmp_path / HUB, "--code", HUB, "--name", "Hub", "--unprotected")
    terminal.json(*hub, "--root-hash", made["root_hash"])
    passphrase(tmp_path, "wrong")
    admit = ("governance", "admit", "--in", tmp_path / "g", tmp_path / HUB / "request.alm", "--yes")
    code, error = terminal.refused(*admit, "--passphrase-file", secret)
    assert (code, error["code"]) == (Exit.AUTHORITY, "wrong-passphrase")
    assert "directory-1.key" in error["message"]
    passphrase(tmp_path)
    assert terminal.json(*admit, "--passphrase-file", secret)["signed"] is True


def test_a_key_file_open_to_others_is_refused(terminal: Terminal, applied: Founded, tmp_path: Path) -> None:
    """The next step is the command that repairs it."""
    founded = applied.copy(tmp_path)
    (founded.governance / "keys" / "directory-1.key").chmod(0o644)
    words = ("governance", "admit", "--in", founded.governance, founded.request("XAA"), "--yes")
    code, error = terminal.refused(*words)
    assert (code, error["code"]) == (Exit.AUTHORITY, "keyfile-unsafe")
    assert error["next"].startswith("Run: chmod 600")


def test_a_community_of_others_is_exit_code_3(
    terminal: Terminal, applied: Founded, ceremony: Founded
) -> None:
    """It did not verify against the pinned root hash."""
    code, error = terminal.refused("node", "join", "--data", applied.data("XAA"), ceremony.community)
    assert (code, error["code"]) == (Exit.VERIFICATION, "wrong-community")


def test_a_directory_in_use_is_named_with_its_process(terminal: Terminal, ceremony: Founded) -> None:
    """A tired officer sees what to stop."""
    with DataDir(ceremony.data("XAA")):
        code, error = terminal.refused("node", "join", "--data", ceremony.data("XAA"), ceremony.community)
    assert (code, error["code"]) == (Exit.FAILED, "data-dir-busy")
    assert str(os.getpid()) in error["message"]


def test_a_node_that_has_not_joined_does_not_run(
    terminal: Terminal, applied: Founded, tmp_path: Path
) -> None:
    """The next step is to join."""
    founded = applied.copy(tmp_path)
    code, error = terminal.refused("node", "run", "--data", founded.data("XAA"))
    assert (code, error["code"]) == (Exit.FAILED, "setup")
    assert "node join" in error["next"]


def test_officers_are_added_listed_and_taken_back(
    terminal: Terminal, ceremony: Founded, tmp_path: Path
) -> None:
    """Each with the identity key, and each tells what to hand over or what follows."""
    data = ceremony.copy(tmp_path).data("XAA")
    card = ("--data", data, "--identity", data / "keys" / "identity.key")
    assert Path(terminal.json("officer", "add", "José Pérez", *card)["token"]).exists()
    names = [one["name"] for one in terminal.json("officer", "list", "--data", data)["officers"]]
    assert names == ["José Pérez", "Officer of XAA"]
    code, error = terminal.refused("officer", "revoke", "Officer of XAA", *card)
    assert (code, "--yes" in error["message"]) == (Exit.USAGE, True)
    assert terminal.json("officer", "revoke", "Officer of XAA", *card, "--yes")["revoked"] is True
    code, out, _ = terminal.run("officer", "list", "--data", data)
    assert (code, len(out.splitlines())) == (Exit.OK, 1)
    code, error = terminal.refused("officer", "revoke", "Officer of XAA", *card)
    assert (code, error["code"]) == (Exit.FAILED, "not-found")


def test_a_node_shows_its_request_again(terminal: Terminal, applied: Founded, tmp_path: Path) -> None:
    """What was sent is looked at weeks later; the copy is what governance takes."""
    copy = tmp_path / "to-governance.alm"
    shown = terminal.json("node", "request", "--data", applied.data("XAA"), "-o", copy)
    assert copy.read_bytes() == applied.request("XAA").read_bytes()
    assert (shown["code"], shown["request"], shown["community"]) == (
        "XAA",
        str(copy),
        applied.root_hash.hex(),
    )
    assert len(shown["words"]) == 4
    code, out, _ = terminal.run("node", "request", "--data", applied.data("XAA"), "--qr")
    assert code == Exit.OK
    assert shown["fingerprint"][:35] in out
    assert shown["words"][3] in out
    assert " of node of XAA" in out
    assert "almenara node join" in out
    assert "████ ▄▄▄▄▄ █" in out


def test_both_sides_compare_what_the_other_reads_out(terminal: Terminal, applied: Founded) -> None:
    """The newcomer reads its request's words; a member compares them with the file that came by mail."""
    read_out = terminal.json("node", "fingerprint", "--data", applied.data("XAA"))
    compare = ("governance", "fingerprint", "--request", applied.request("XAA"), "--compare")
    for heard in (" ".join(read_out["words"][:2]), read_out["fingerprint"], read_out["qr"]):
        assert terminal.json(*compare, heard)["same"] is True
    assert terminal.json("node", *compare[1:], read_out["qr"])["same"] is True


def test_a_key_that_is_not_the_one_read_out_is_refused_with_the_word(
    terminal: Terminal, applied: Founded
) -> None:
    """Exit code 3, as for everything that does not verify."""
    heard = terminal.json("node", "fingerprint", "--data", applied.data("XAA"))["words"][:2]
    wrong = f"{heard[0]} {heard[1].rpartition(' ')[0]} zorro"
    words = ("node", "fingerprint", "--request", applied.request("XAA"), "--compare")
    code, error = terminal.refused(*words, wrong)
    assert (code, error["code"]) == (Exit.VERIFICATION, "unknown-signer")
    assert "word 18 is" in error["message"]
    code, error = terminal.refused(*words, heard[0])
    assert (code, error["code"]) == (Exit.USAGE, "bad-request")
    code, error = terminal.refused(
        "node", "fingerprint", "--request", applied.request("XBB"), "--compare", " ".join(heard)
    )
    assert code == Exit.VERIFICATION


def test_the_root_hash_is_compared_and_typed_in_words(
    terminal: Terminal, applied: Founded, tmp_path: Path
) -> None:
    """Over the telephone from governance to a newcomer, who pins it; and afterwards once more."""
    root = terminal.json("governance", "fingerprint", "--in", applied.governance)
    typed = " ".join(root["words"])
    terminal.json(
        *("node", "init", "--data", tmp_path / "XDD", "--state", "XDD", "--name", "CSIRT of Delphinia"),
        *("--officer", "Dora Diaz", "--root-hash", typed.upper(), "--unprotected"),
    )
    assert (tmp_path / "XDD" / "root-hash").read_text().strip() == applied.root_hash.hex()
    words = ("node", "fingerprint", "--data", tmp_path / "XDD", "--root", "--compare")
    assert terminal.json(*words, root["words"][0] + " " + root["words"][1])["same"] is True


def test_a_root_hash_with_a_wrong_word_pins_nothing(
    terminal: Terminal, applied: Founded, tmp_path: Path
) -> None:
    """The line is named, and no directory is left behind."""
    root = terminal.json("governance", "fingerprint", "--in", applied.governance)["words"]
    typed = " ".join([*root[:3], "zorro " + root[3].partition(" ")[2]])
    code, error = terminal.refused(
        *("coordinator", "init", "--data", tmp_path / "HUX", "--code", "HUX", "--name", "Hub"),
        *("--root-hash", typed, "--unprotected"),
    )
    assert code == Exit.USAGE
    assert "line 4 of the words is wrong" in error["message"]
    assert not (tmp_path / "HUX").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("node", "fingerprint", "--root", "--request", "request.alm"),
        ("governance", "fingerprint"),
        ("governance", "fingerprint", "--in", "g", "--request", "request.alm"),
    ],
)
def test_whose_fingerprint_is_meant_is_never_guessed(terminal: Terminal, words: tuple[str, ...]) -> None:
    """Two answers would be compared with one."""
    assert terminal.refused(*words)[0] == Exit.USAGE
