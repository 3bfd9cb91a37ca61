"""An agent whose tools are agents of another program: approvals of theirs are asked for here."""

import os
import sys
from pathlib import Path

from mcp import StdioServerParameters

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.tools.mcp import MCPTools

HERE = Path(__file__).parent

library = MCPTools(
    server_params=StdioServerParameters(
        command=str(Path(sys.executable).with_name("kern")),
        args=["mcp", "desk:agents"],
        env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
    ),
    timeout_seconds=60,
)

teacher = Agent(
    name="Teacher",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/school.db"),
    tools=[library],
)

if __name__ == "__main__":
    run = teacher.run("Get Emma for Ada.")
    [requirement] = run.active_requirements
    print(run.status.value, "|", requirement.message)

    requirement.confirm()
    run = teacher.continue_run(run_id=run.run_id, requirements=run.requirements)
    print(run.tools[0].result)
    print(run.content)
