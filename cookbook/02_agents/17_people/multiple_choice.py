"""Let the model ask the user: questions with options, one or several of which can be chosen."""

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.tools.user_feedback import UserFeedbackTools

travel_agent = Agent(
    name="Night trains",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    tools=[UserFeedbackTools()],
    instructions="Ask for what you need to know before you suggest a train.",
)

if __name__ == "__main__":
    run = travel_agent.run("I want to go south by night.")
    for requirement in run.active_requirements:
        if requirement.needs_user_feedback:
            chosen = {}
            for question in requirement.user_feedback_schema:
                print(f"{question.header}: {question.question}")
                for option in question.options:
                    print(f"  - {option.label}: {option.description}")
                labels = [option.label for option in question.options]
                chosen[question.question] = labels if question.multi_select else labels[:1]
            requirement.provide_user_feedback(chosen)
    run = travel_agent.continue_run(run_response=run)
    print(run.content)
