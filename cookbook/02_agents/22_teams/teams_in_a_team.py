"""A team in a team: the stream has the events of all, each with the run that it happened in."""

from kern.agent import Agent, RunEvent
from kern.models.openai import OpenAIResponses
from kern.team import Team

MODEL = OpenAIResponses(id="gpt-5.4-nano")
strings = Team([Agent(name="Cello", model=MODEL)], name="Strings", model=MODEL, role="Bow.")
orchestra = Team([strings], name="Orchestra", model=MODEL)

SHOWN = (RunEvent.run_started, RunEvent.run_completed)

if __name__ == "__main__":
    depth: dict[str | None, int] = {None: -1}
    for event in orchestra.run("A low C.", stream=True, stream_events=True):
        depth.setdefault(event.run_id, depth[event.parent_run_id] + 1)
        if event.event in SHOWN:
            kind = "team" if event.team_id else "agent"
            print("  " * depth[event.run_id] + f"{event.agent_name} ({kind}) {event.event.value}")
