"""Calls of one answer that need nobody are made before the run pauses for the others.

A toolkit says which of its tools need somebody. What is answered stays answered: a second
`continue_run` gives the rest.
"""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses
from kern.tools import Toolkit


class Kennel(Toolkit):
    """What can be done with the dogs."""

    def __init__(self) -> None:
        super().__init__(
            name="kennel",
            tools=[self.feed, self.walk, self.weigh],
            requires_confirmation_tools=["walk"],
            external_execution_required_tools=["weigh"],
        )

    def feed(self, dog: str) -> str:
        """Feed a dog."""
        print("fed:", dog)
        return "It eats."

    def walk(self, dog: str) -> str:
        """Walk a dog."""
        print("walked:", dog)
        return "It is tired."

    def weigh(self, dog: str) -> str:
        """Weigh a dog."""
        return "Somebody has to lift it on the scale."


kennel = Agent(
    name="Kennel",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/kennel.db"),
    tools=[Kennel()],
)

if __name__ == "__main__":
    run = kennel.run("Feed, walk and weigh Rex.")
    print("waits for:", [each.kind for each in run.active_requirements])

    for requirement in run.active_requirements:
        if requirement.needs_confirmation:
            requirement.confirm()
    run = kennel.continue_run(run_id=run.run_id, requirements=run.requirements)
    print("still:", [each.kind for each in run.active_requirements])

    for requirement in run.active_requirements:
        requirement.set_external_execution_result("31 kg")
    run = kennel.continue_run(run_id=run.run_id, requirements=run.requirements)
    print(run.status.value, [call.result for call in run.tools], run.content)
