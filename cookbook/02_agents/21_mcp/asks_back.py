"""An MCP server that asks the user something: the run pauses for it, and may wait for days."""

import sys
from pathlib import Path

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.tools.mcp import MCPTools

shed = MCPTools(command=f"{sys.executable} {Path(__file__).with_name('tool_shed.py')}")

neighbour = Agent(
    name="Neighbour",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/shed.db"),
    tools=[shed],
)

if __name__ == "__main__":
    run = neighbour.run("Have the plane repaired.")
    [requirement] = run.active_requirements
    print(run.status.value, requirement.kind, requirement.message)
    print([(field.name, field.description) for field in requirement.user_input_schema])

    requirement.provide_user_input({"part": "blade"})
    run = neighbour.continue_run(run_id=run.run_id, requirements=run.requirements)
    print(run.tools[0].result, run.content)
