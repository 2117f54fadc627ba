"""``almenara hammer`` on a real community of processes: what it prints is what happened."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.ceremony import Founded
from tests.acceptance.world import World, living

HEEDING_CTRL_C = """
import signal, sys
from exchange.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main(sys.argv[1:])
"""
"""Whoever starts this in the background may have taught its children to pass Ctrl-C over."""


@pytest.fixture(scope="module")
def world(settled: Founded) -> Iterator[World]:
    """Three nodes and their coordinator, at work."""
    with living(settled) as running:
        running.start("HUB", "XAA", "XBB", "XCC")
        yield running


def test_a_load_is_measured_and_arrives(world: World) -> None:
    """Every notice that was due is accepted, relayed and received by all, with the disk beside it."""
    shape = ("--profile", "steady", "--rate", "8", "--seconds", "3", "--seed", "5")
    ran = world.run("hammer", *shape, "--json", code="XAA")
    assert ran.code == 0, ran.err
    told = ran.object
    due = told["due"]
    assert due > 5
    assert told["outcomes"] == {"accepted": due, "busy": 0, "rejected": {}, "unknown": {}}
    assert told["received"] == told["deliveries"] == 2 * due
    latency = told["latency_ms"]
    assert [latency[name]["count"] for name in ("accepted", "relayed", "received", "all")] == [
        due,
        due,
        2 * due,
        due,
    ]
    assert 0 < latency["accepted"]["p50"] <= latency["all"]["p50"] <= latency["all"]["most"]
    assert told["flush_ms"]["count"] > 0
    assert "due" in ran.err
    assert all(notice.exercise for notice in world.listed("XBB", "inbox"))


def test_text_for_people_names_the_community_and_the_disk(world: World) -> None:
    """And only those who were named get anything."""
    before = len(world.listed("XCC", "inbox"))
    shape = ("--profile", "burst", "--rate", "1", "--seconds", "1", "--to", "XBB")
    ran = world.run("hammer", *shape, code="XAA")
    assert ran.code == 0, ran.err
    assert "Community of the tests: XAA to XBB; burst" in ran.out
    assert "one flush of this disk" in ran.out
    assert len(world.listed("XCC", "inbox")) == before


def test_another_communitys_name_stops_it_before_anything_is_sent(world: World) -> None:
    """Whoever confirms a community that this node is not in has the wrong node before them."""
    before = len(world.listed("XAA", "outbox"))
    ran = world.run("hammer", "--yes-really", "Comunidad de CSIRT", "--json", code="XAA")
    assert ran.code == 2
    assert ran.error["code"] == "bad-request"
    assert len(world.listed("XAA", "outbox")) == before


def test_ctrl_c_prints_what_was_measured_so_far(world: World) -> None:
    """Exit code 130, and one whole object."""
    command = [
        sys.executable,
        "-c",
        HEEDING_CTRL_C,
        "hammer",
        "--rate",
        "5",
        "--seconds",
        "120",
    ]
    who = ["--json", "--data", str(world.data("XAA")), "--token-file", str(world.founded.token("XAA"))]
    running = subprocess.Popen(
        [*command, *who],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=world.environment({}),
        cwd=Path.cwd(),
    )
    assert running.stderr is not None
    for line in running.stderr:
        if "accepted" in line and " 0 accepted" not in line:
            break
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=30)
    assert running.returncode == 130
    told = json.loads(out)
    assert told["interrupted"] is True
    assert told["outcomes"]["accepted"] > 0
