"""Skills: the model is told their names, and reads on and executes a script when it needs to."""

from pathlib import Path

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.skills import LocalSkills, Skills

skills = Skills(loaders=[LocalSkills(Path(__file__).parent / "skills")])

clerk = Agent(
    name="Clerk",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    instructions="You serve the customers of a market hall.",
    skills=skills,
)

if __name__ == "__main__":
    for skill in skills.get_all_skills():
        print(f"{skill.name}: {skill.scripts or 'no scripts'}")
    run = clerk.run("Half a kilo of cherries for 2.40, or two kilos for 8.00?")
    for tool in run.tools:
        print(tool.tool_name, tool.tool_args.get("script_path", ""))
    print(run.content)
