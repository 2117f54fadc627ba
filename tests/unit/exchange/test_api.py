"""The local interface over a real server on a real Unix socket."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, UnixConnector

from exchange.api.app import MAX_BODY_BYTES
from exchange.api.routes import ROUTES
from exchange.api.serve import LocalInterface
from exchange.node.tokens import TokenRole
from protocol.errors import DataDirBusy, NoUsableKey, Overloaded, SetupError
from tests.logs import Log
from tests.patience import PATIENCE_S
from tests.unit.exchange.desk_double import (
    MONITOR,
    OFFICER,
    RECEIVED_ID,
    SENDER,
    DeskDouble,
    TokenDouble,
    app_of,
)

NOTICE = {"to": ["XBB"], "severity": "xaa-national@1:grave", "subject": "S", "text": "T"}
KEY = {"Idempotency-Key": "request-0001"}


@pytest.fixture
def desk() -> DeskDouble:
    return DeskDouble()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "api.sock"


@pytest.fixture
def log(logging_as_before: None) -> Log:
    return Log()


@pytest.fixture
async def interface(desk: DeskDouble, path: Path) -> AsyncIterator[LocalInterface]:
    running = LocalInterface(app_of(desk), path, port=0)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def web(interface: LocalInterface, path: Path) -> AsyncIterator[ClientSession]:
    async with ClientSession("http://almenara", connector=UnixConnector(str(path))) as session:
        yield session


def bearer(token: str = OFFICER, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", **more}


async def ask(
    web: ClientSession,
    method: str,
    address: str,
    *,
    token: str = OFFICER,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> tuple[int, Any]:
    async with web.request(method, address, headers=bearer(token) | (headers or {}), **more) as response:
        return response.status, await response.json(content_type=None)


async def raw(path: Path, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(data)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(65536), PATIENCE_S)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return answer


async def test_a_new_notice_is_created_and_the_same_key_again_says_that_it_exists(web: ClientSession) -> None:
    """Repeating a request with its key is safe: 201 once, then 200."""
    first, created = await ask(web, "POST", "/v1/notices", json=NOTICE, headers=KEY)
    second, again = await ask(web, "POST", "/v1/notices", json=NOTICE, headers=KEY)
    assert (first, second) == (201, 200)
    assert (created["exists"], again["exists"]) == (False, True)
    assert created["id"] == again["id"]


async def test_one_key_for_two_contents_is_refused(web: ClientSession) -> None:
    """An idempotency key names exactly one content."""
    await ask(web, "POST", "/v1/notices", json=NOTICE, headers=KEY)
    status, problem = await ask(web, "POST", "/v1/notices", json=NOTICE | {"text": "U"}, headers=KEY)
    assert (status, problem["code"]) == (422, "id-reused")


@pytest.mark.parametrize("key", ["", "short", "x" * 65, "with space 1", "ñandú-ñandú", "a/b/c/d/e"])
async def test_a_submission_without_a_fit_key_is_refused(
    web: ClientSession, desk: DeskDouble, key: str
) -> None:
    """Without a key of the caller's own, an unknown outcome could never be repeated safely."""
    status, problem = await ask(web, "POST", "/v1/notices", json=NOTICE, headers={"Idempotency-Key": key})
    assert (status, problem["code"]) == (400, "bad-request")
    assert desk.submitted == {}


async def test_every_problem_says_what_is_wrong_and_what_to_do_next(web: ClientSession) -> None:
    """RFC 9457 with a stable code, a sentence, the next step and the caller's own request id."""
    body = NOTICE | {"to": ["XZZ"]}
    async with web.post("/v1/notices", json=body, headers=bearer(**KEY)) as response:
        assert response.content_type == "application/problem+json"
        problem = await response.json(content_type=None)
    assert problem == {
        "type": "urn:almenara:problem:unknown-state",
        "title": "unknown state",
        "status": 422,
        "detail": "XZZ is no member of this community",
        "code": "unknown-state",
        "next": "See the members with: almenara members",
        "request_id": "request-0001",
    }


async def test_an_unforeseen_error_says_nothing_of_its_text(
    web: ClientSession, desk: DeskDouble, log: Log
) -> None:
    """The text of an error that nobody foresaw may quote a notice; neither caller nor log get it."""
    desk.fail = RuntimeError("SECRET subject of a notice")
    status, problem = await ask(web, "GET", "/v1/inbox")
    assert (status, problem["code"]) == (500, "internal")
    assert "SECRET" not in json.dumps(problem) + log.text
    assert (log.last["event"], log.last["error"]) == ("request.failed", "RuntimeError")
    assert log.last["request"] == problem["request_id"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_no_route_answers_without_a_token(web: ClientSession, route: Any) -> None:
    """Every row of the table asks who is there before it looks at anything else."""
    address = route.path.replace("{id}", RECEIVED_ID)
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {OFFICER}"}):
        async with web.request(route.method, address, headers=headers) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "route", [r for r in ROUTES if r.role != TokenRole.MONITOR], ids=lambda route: route.name
)
async def test_a_token_for_less_is_refused(web: ClientSession, desk: DeskDouble, route: Any) -> None:
    """A monitor may look at lists and nothing more."""
    desk.receive()
    address = route.path.replace("{id}", RECEIVED_ID)
    status, problem = await ask(web, route.method, address, token=MONITOR, headers=KEY, json={})
    assert (status, problem["code"]) == (403, "not-authorized")


async def test_a_sender_cannot_answer_for_an_officer(web: ClientSession, desk: DeskDouble) -> None:
    """A machine's token never signs as a person."""
    desk.receive()
    body = {"answer": "accepted"}
    status, _ = await ask(web, "POST", f"/v1/notices/{RECEIVED_ID}/answer", token=SENDER, json=body)
    assert status == 403
    assert desk.answers == []


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.", ""]
)
async def test_another_host_is_refused_even_with_a_good_token(web: ClientSession, host: str) -> None:
    """DNS rebinding gives a page our address under the attacker's name."""
    status, _ = await ask(web, "GET", "/v1/inbox", headers={"Host": host})
    assert status == 421


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost"])
async def test_a_web_page_is_refused_even_with_a_good_token(web: ClientSession, origin: str) -> None:
    """Only browsers send an origin, and no page has business here yet."""
    status, _ = await ask(web, "POST", "/v1/notices", headers={"Origin": origin, **KEY}, json=NOTICE)
    assert status == 403


async def test_a_request_of_two_lengths_is_refused(interface: LocalInterface, path: Path) -> None:
    """Content-Length beside Transfer-Encoding is how requests are smuggled."""
    answer = await raw(
        path,
        b"POST /v1/notices HTTP/1.1\r\nHost: almenara\r\nContent-Length: 4\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /livez HTTP/1.1\r\nHost: almenara\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 400") or answer.startswith(b"HTTP/1.0 400")


async def test_two_hosts_are_refused(interface: LocalInterface, path: Path) -> None:
    """Which of two hosts is meant is never guessed."""
    answer = await raw(
        path, b"GET /livez HTTP/1.1\r\nHost: almenara\r\nHost: evil\r\nConnection: close\r\n\r\n"
    )
    assert b" 421 " in answer.splitlines()[0] or b" 400 " in answer.splitlines()[0]


async def test_an_oversized_body_is_refused_and_nothing_is_stored(
    web: ClientSession, desk: DeskDouble
) -> None:
    """The cap holds before anything is parsed."""
    body = json.dumps(NOTICE | {"text": "x" * MAX_BODY_BYTES})
    headers = {"Content-Type": "application/json", **KEY}
    status, problem = await ask(web, "POST", "/v1/notices", data=io.BytesIO(body.encode()), headers=headers)
    assert (status, problem["code"]) == (413, "too-large")
    assert desk.submitted == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps(NOTICE | {"surprise": 1}).encode(),
        json.dumps(NOTICE | {"to": []}).encode(),
        json.dumps(NOTICE | {"subject": "two\nlines"}).encode(),
        json.dumps(NOTICE | {"life_ms": 1}).encode(),
        json.dumps(NOTICE | {"kind": "rumour"}).encode(),
    ],
)
async def test_a_body_that_does_not_fit_is_refused(web: ClientSession, desk: DeskDouble, body: bytes) -> None:
    """Unknown fields, wrong types, broken bounds and bytes that are no JSON: one refusal each."""
    headers = {"Content-Type": "application/json", **KEY}
    status, problem = await ask(web, "POST", "/v1/notices", data=body, headers=headers)
    assert (status, problem["code"]) == (400, "bad-request")
    assert desk.submitted == {}


async def test_a_form_is_refused(web: ClientSession) -> None:
    """Browsers send forms across origins without asking; JSON they do not."""
    status, _ = await ask(web, "POST", "/v1/notices", data=NOTICE | {"to": "XBB"}, headers=KEY)
    assert status == 415


@pytest.mark.parametrize(
    "address",
    ["/v1/inbox?limit=0", "/v1/inbox?limit=1001", "/v1/inbox?surprise=1", "/v1/inbox?limit=1&limit=2",
     f"/v1/notices/{RECEIVED_ID}/status?wait=soon", f"/v1/notices/{RECEIVED_ID}/status?timeout=301"],
)  # fmt: skip
async def test_a_query_that_does_not_fit_is_refused(
    web: ClientSession, desk: DeskDouble, address: str
) -> None:
    """A misspelt query is an error, never silently the default."""
    desk.receive()
    status, problem = await ask(web, "GET", address)
    assert (status, problem["code"]) == (400, "bad-request")


async def test_an_id_may_be_shortened_while_it_is_unique(web: ClientSession, desk: DeskDouble) -> None:
    """Six digits or more name a notice; an ambiguous or unknown prefix is refused."""
    desk.receive("ab" * 32)
    desk.receive("ab" * 31 + "cc")
    desk.receive("0123456789" + "0" * 54)
    assert (await ask(web, "GET", "/v1/notices/012345"))[1]["id"].startswith("0123456789")
    assert (await ask(web, "GET", "/v1/notices/ababab"))[0] == 400
    assert (await ask(web, "GET", "/v1/notices/ffffff"))[0] == 404
    assert (await ask(web, "GET", "/v1/notices/0123"))[0] == 400


async def test_lists_content_and_answers_reach_the_desk(web: ClientSession, desk: DeskDouble) -> None:
    """The way of a duty officer: list, open, answer, look."""
    desk.receive()
    _, inbox = await ask(web, "GET", "/v1/inbox?unread=true")
    assert [row["id"] for row in inbox["notices"]] == [RECEIVED_ID]
    _, content = await ask(web, "POST", f"/v1/notices/{RECEIVED_ID}/open")
    assert content["text"] == "Please look."
    assert (await ask(web, "GET", "/v1/inbox?unread=1"))[1] == {"notices": []}
    body = {"answer": "declined", "reason": "not-affected"}
    _, answer = await ask(web, "POST", f"/v1/notices/{RECEIVED_ID}/answer", json=body)
    assert answer["recorded"] is True
    assert desk.answers[0][1].reason == "not-affected"


@pytest.mark.parametrize("address", ["/v1/node", "/v1/members", "/v1/severity", "/v1/outbox"])
async def test_a_monitor_may_look(web: ClientSession, address: str) -> None:
    """Whatever shows no content is open to the least role."""
    assert (await ask(web, "GET", address, token=MONITOR))[0] == 200


async def test_a_translation_is_asked_with_from_and_to(web: ClientSession) -> None:
    """The query speaks as people do."""
    status, view = await ask(web, "GET", "/v1/severity/translate?from=xaa-national@1:grave&to=xbb-national@1")
    assert (status, view["target"]) == (200, "xbb-national@1")


async def test_errors_of_the_desk_keep_their_status(web: ClientSession, desk: DeskDouble) -> None:
    """A refusal by the node is a refusal over HTTP, with the same code."""
    desk.fail = NoUsableKey("XCC has no usable key")
    status, problem = await ask(web, "POST", "/v1/notices", json=NOTICE, headers=KEY)
    assert (status, problem["code"]) == (409, "no-usable-key")


async def test_a_full_node_says_when_to_come_back(web: ClientSession, desk: DeskDouble) -> None:
    """503 with Retry-After: nothing was taken."""
    desk.fail = Overloaded("50000 things wait for the coordinator already")
    headers = KEY | bearer(SENDER)
    async with web.post("/v1/notices", json=NOTICE, headers=headers) as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "5"
        assert (await answer.json())["code"] == "overloaded"


async def test_an_unknown_address_and_a_wrong_method_are_problems_too(web: ClientSession) -> None:
    """A caller needs only one way of reading errors."""
    assert (await ask(web, "GET", "/v2/inbox"))[1]["code"] == "not-found"
    status, problem = await ask(web, "DELETE", "/v1/inbox")
    assert (status, problem["code"]) == (405, "bad-request")


async def test_health_needs_no_token_and_readiness_means_being_able_to_write(
    web: ClientSession, desk: DeskDouble
) -> None:
    """A full disk is alive and not ready."""
    async with web.get("/livez") as alive, web.get("/readyz") as ready:
        assert (alive.status, ready.status) == (200, 200)
    desk.writable = False
    async with web.get("/livez") as alive, web.get("/readyz") as ready:
        assert (alive.status, ready.status) == (200, 500)


async def lines(web: ClientSession, address: str, count: int, **headers: str) -> list[str]:
    found: list[str] = []
    async with web.get(address, headers=bearer(**headers)) as response:
        assert response.content_type == "text/event-stream"
        async for line in response.content:
            found.append(line.decode().rstrip("\n"))
            if len(found) >= count:
                break
    return found


async def test_events_are_numbered_and_a_reader_resumes_where_it_was(
    web: ClientSession, desk: DeskDouble
) -> None:
    """``since`` and ``Last-Event-ID`` mean the same: nothing before, everything after."""
    for name in ("queued", "relayed", "received"):
        desk.happen(name, RECEIVED_ID)
    whole = await lines(web, "/v1/events", 14)
    assert [line for line in whole if line.startswith("id: ")] == ["id: 1", "id: 2", "id: 3"]
    data = [json.loads(line.removeprefix("data: ")) for line in whole if line.startswith("data: ")]
    assert [event["event"] for event in data] == ["queued", "relayed", "received"]
    by_query = await lines(web, "/v1/events?since=2", 5)
    by_header = await lines(web, "/v1/events", 5, **{"Last-Event-ID": "2"})
    assert "id: 3" in by_query
    assert "id: 2" not in by_query
    assert by_query == by_header


async def test_a_silent_stream_has_a_heartbeat(web: ClientSession) -> None:
    """A reader can tell a quiet node from a dead one."""
    assert await lines(web, "/v1/events", 5) == [": connected", "", ": still here", "", ": still here"]


async def test_a_stream_ends_when_its_token_is_taken_back(
    web: ClientSession, desk: DeskDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happens afterwards is not told any more, however long ago the stream was opened."""
    async with web.get("/v1/events", headers=bearer(MONITOR)) as response:
        await response.content.readline()
        monkeypatch.setattr(TokenDouble, "taken_back", frozenset({MONITOR}))
        desk.happen("queued")
        assert b"queued" not in await asyncio.wait_for(response.read(), PATIENCE_S)


async def test_a_stream_that_fails_ends_and_says_nothing_of_why(
    web: ClientSession, desk: DeskDouble, log: Log
) -> None:
    """The reader resumes; the log has the class of the error and not its text."""
    desk.happen("queued")
    desk.fail_events = RuntimeError("SECRET")
    async with web.get("/v1/events", headers=bearer()) as response:
        body = await asyncio.wait_for(response.read(), PATIENCE_S)
    assert b"id: 1" in body
    assert body.endswith(b"\n\n")
    assert "SECRET" not in body.decode() + log.text
    assert (log.last["event"], log.last["error"]) == ("stream.failed", "RuntimeError")


async def test_a_stopping_node_does_not_wait_for_readers_of_events(
    desk: DeskDouble, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open stream must never hold up a restart."""
    monkeypatch.setattr("exchange.api.serve._STOP_S", 10 * PATIENCE_S)
    running = LocalInterface(app_of(desk), path)
    await running.start()
    async with (
        ClientSession("http://almenara", connector=UnixConnector(str(path))) as session,
        session.get("/v1/events", headers=bearer()) as response,
    ):
        await response.content.readline()
        await asyncio.wait_for(running.stop(), PATIENCE_S)


def put_something_precious(path: Path) -> None:
    path.write_text("precious")


def still_precious(path: Path) -> bool:
    return path.read_text() == "precious"


async def test_the_socket_is_private_from_its_first_moment(interface: LocalInterface, path: Path) -> None:
    """Only the owner may connect, and nothing of it stays behind."""
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    await interface.stop()
    assert not os.access(path, os.F_OK)


async def test_a_second_node_on_one_socket_is_refused(
    interface: LocalInterface, desk: DeskDouble, path: Path
) -> None:
    """A living node's socket is never taken over."""
    with pytest.raises(DataDirBusy):
        await LocalInterface(app_of(desk), path).start()
    assert os.access(path, os.F_OK)


async def test_the_socket_of_a_dead_node_is_replaced_and_nothing_else_is(
    desk: DeskDouble, path: Path
) -> None:
    """After kill -9 the node starts again by itself; a file in the way is not deleted."""
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    running = LocalInterface(app_of(desk), path)
    await running.start()
    await running.stop()
    put_something_precious(path)
    with pytest.raises(SetupError):
        await LocalInterface(app_of(desk), path).start()
    assert still_precious(path)


async def test_a_path_too_long_for_a_socket_is_explained(desk: DeskDouble, tmp_path: Path) -> None:
    """The kernel keeps about 107 bytes; the message says what to do."""
    with pytest.raises(SetupError, match="too long"):
        await LocalInterface(app_of(desk), tmp_path / ("x" * 120)).start()


async def test_a_loopback_port_is_served_alike(interface: LocalInterface) -> None:
    """The optional port listens on loopback, with the same checks."""
    async with ClientSession() as session:
        address = f"http://127.0.0.1:{interface.port}/v1/inbox"
        async with session.get(address) as refused, session.get(address, headers=bearer()) as served:
            assert (refused.status, served.status) == (401, 200)


def test_the_table_can_be_described() -> None:
    """Names and addresses are unique; every body, query and answer is a named type."""
    assert len({route.name for route in ROUTES}) == len(ROUTES)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    assert all(re.fullmatch(r"/v1(/[a-z]+|/\{id\})+", route.path) for route in ROUTES)


async def test_three_hundred_callers_at_once_are_all_answered(interface: LocalInterface, path: Path) -> None:
    """A script that opens many connections in one moment loses none of them."""

    async def ask(session: ClientSession) -> int:
        async with session.get("http://almenara/livez") as response:
            return response.status

    async with ClientSession(connector=UnixConnector(str(path), limit=0)) as session:
        answers = await asyncio.gather(*(ask(session) for _ in range(300)))
    assert answers == [200] * 300
