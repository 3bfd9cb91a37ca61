"""A team behind HTTP: a model of the Responses API, and an agent of the runs API."""

import httpx
from served import served
from teams import leading

from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.server import create_app
from kern.team import Team
from kern.testing import ScriptedModel


def test_a_team_is_served_as_an_agent(postgres_db: PostgresDb) -> None:
    writer = Agent("Writer", ScriptedModel(default="A poem."))
    team = Team([writer], "Desk", leading("writer"), db=postgres_db)
    with served(create_app([team])) as url, httpx.Client(base_url=url, timeout=60) as client:
        assert [each["id"] for each in client.get("/v1/models").json()["data"]] == ["desk"]
        answered = client.post("/v1/responses", json={"model": "desk", "input": "Go"})
        assert answered.status_code == 200, answered.text
        *_, last = answered.json()["output"]
        assert last["content"][0]["text"] == "[A poem.]"
        [agent] = client.get("/v1/agents").json()["data"]
        assert agent["id"] == "desk"
        streamed = client.post(
            "/v1/responses", json={"model": "desk", "input": "Go", "stream": True}
        )
        assert "[A poem.]" in streamed.text
