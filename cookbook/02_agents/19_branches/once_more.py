"""Have an answer made once more: the new one takes the old one's place in the history."""

from kern.agent import Agent
from kern.db.sqlite import SqliteDb
from kern.models.openai import OpenAIResponses

poet = Agent(
    name="Poet",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    db=SqliteDb("tmp/poems.db"),
    add_history_to_context=True,
)

if __name__ == "__main__":
    first = poet.run("A line on rain.", session_id="poems")
    print(first.content)

    second = poet.continue_run(
        run_id=first.run_id,
        session_id="poems",
        regenerate=True,
        additional_instructions="Without the word 'grey'.",
    )
    print(second.content, second.regenerated_from == first.run_id)
    print("the first:", poet.get_run_output(first.run_id, "poems").status.value)

    third = poet.continue_run(
        run_id=second.run_id, session_id="poems", regenerate=True, replace_original=False
    )
    print(third.content)
    print("the second:", poet.get_run_output(second.run_id, "poems").status.value)

    run = poet.run("What have you written?", session_id="poems")
    shown = [each.content for each in run.messages if each.from_history]
    print("history:", shown)
