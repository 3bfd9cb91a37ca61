"""A person allows each execution of a script; reading needs nobody."""

from pathlib import Path

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.skills import LocalSkills, Skills

clerk = Agent(
    name="Careful clerk",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    skills=Skills(
        loaders=[LocalSkills(Path(__file__).parent / "skills" / "unit-prices")],
        scripts="confirm",
        script_timeout=5,
    ),
)

if __name__ == "__main__":
    run = clerk.run("Two kilos for 8.00: what is one?")
    for requirement in run.active_requirements:
        call = requirement.tool_execution
        print("may it execute", call.tool_args["script_path"], call.tool_args["args"])
        requirement.confirm()
    print(clerk.continue_run(run).content)
