"""A server that is killed while a run's events are read: its next one tells the rest."""

from pathlib import Path

import httpx
import pytest
from api import until
from deploys import Server
from elsewhere import environment_of
from runs_api import ok, told
from served import Event, events_in

from kern.db.sqlite import SqliteDb
from kern.testing import ProtocolServer, Reply

SERVE = ("kern.cli.entry", "serve", "site_app:agent", "--port", "{port}")


@pytest.mark.nightly
def test_a_reader_goes_on_at_the_next_server_without_a_gap(
    sqlite_db: SqliteDb, tmp_path: Path
) -> None:
    with ProtocolServer() as says:
        environment = environment_of(sqlite_db, says.base_url) | {"KERN_HEARTBEAT": "1"}
        says.script += [Reply.text("This is ", "lost.").held(1), Reply.text("This is ", "kept.")]

        def serve() -> tuple[Server, httpx.Client]:
            server = Server(tmp_path, "", *SERVE, environment=environment)
            until(server.listens, 40)
            return server, httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60)

        server, client = serve()
        body = {"agent": "tester", "input": "Go on.", "live": True}
        path = f"/v1/runs/{ok(client.post('/v1/runs', json=body), 202)['run_id']}/events"
        found: list[Event] = []
        with client.stream("GET", path) as response:
            text = ""
            for piece in response.iter_text():
                text += piece
                found = events_in(text.rpartition("\n\n")[0])
                if any(each.kind == "RunContent" for each in found):
                    break
        client.close()
        server.close()

        server, client = serve()
        rest = client.get(path, headers={"Last-Event-ID": found[-1].id or ""})
        found += events_in(rest.text)
        whole = events_in(client.get(path).text)
        client.close()
        server.close()
    assert [int(each.id or 0) for each in found] == [*range(1, len(found) + 1)]
    assert {"RunContentVoided", "RunResumed"} <= {each.kind for each in found}
    assert found[-1].data["content"] == "This is kept."
    assert [(each.id, each.kind) for each in whole] == [(each.id, each.kind) for each in found]
    assert told(whole)[-1] == told(found)[-1]
