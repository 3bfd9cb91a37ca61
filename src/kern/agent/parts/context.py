"""What the model of an agent is told."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

from kern.agent.checks import check_role
from kern.agent.parts.part import Part
from kern.errors import ConfigurationError
from kern.execution.retriever import KnowledgeBase
from kern.models.form import Form
from kern.run.message import Message, Role

Told: TypeAlias = str | Callable[..., object]
"""A text, or a function that returns it for each run."""


class ContextPart(Part):
    """What the model is told.

    Attributes:
        description: who the model is to be: the first line of the system message.
        role: one line on its role.
        instructions: what it is to do: a text, a list of points, or a function that returns one.
        system_message: takes the place of the system message that is built of the others.
        system_message_role: its role.
        expected_output: how a good answer looks.
        additional_context: text at the end of the system message.
        additional_input: messages between the system message and the history, such as examples;
            they are not stored.
        markdown: ask for Markdown, where the answer has no schema.
        add_name_to_context: tell its name.
        add_datetime_to_context: tell the time.
        datetime_format: how, as ``strftime`` has it.
        timezone_identifier: in which time zone, such as ``"Europe/Berlin"``.
        add_location_to_context: tell where it is: a text, or a function that returns one.
        resolve_in_context: fill ``{key}`` in the system message from session state, dependencies,
            metadata and ``user_id``; an unknown key stays as it is.
        use_instruction_tags: put the instructions between tags.
        build_context: False to build no system message.
        build_user_context: False to add nothing to the user's message.
        user_message_role: the role of the input.
        dependencies: what tools, hooks and instructions are given; values that are functions are
            called for each run. It is stored nowhere.
        add_dependencies_to_context: tell the dependencies in the user's message, as JSON.
        input_schema: what the runs are given, in the same forms as what they answer: an instance,
            or a dict, is looked at and told to the model as JSON.
        knowledge: what the model finds documents in: a :class:`~kern.knowledge.Knowledge`, or a
            function that returns one for each run.
        knowledge_retriever: finds documents in its place: a function of ``query``,
            ``num_documents`` and what else it names.
        search_knowledge: give the model the tool ``search_knowledge_base(query)``.
        add_knowledge_to_context: instead, tell what is found for the input in the user's message.
        knowledge_filters: narrow the search.
        enable_agentic_knowledge_filters: let the model give filters, which must be met beside
            these.
        references_format: how documents are told.
        add_search_knowledge_instructions: tell the model to search before it answers.
        update_knowledge: give the model the tool ``add_to_knowledge(query, result)``.
    """

    description: str | None = None
    role: str | None = None
    instructions: str | Sequence[str] | Callable[..., object] | None = None
    system_message: str | Message | Callable[..., object] | None = None
    system_message_role: str = "system"
    expected_output: str | None = None
    additional_context: str | None = None
    additional_input: Sequence[str | Message | Mapping[str, object]] | None = None
    markdown: bool = False
    add_name_to_context: bool = False
    add_datetime_to_context: bool = False
    datetime_format: str | None = None
    timezone_identifier: str | None = None
    add_location_to_context: bool | str | Callable[..., object] = False
    resolve_in_context: bool = True
    use_instruction_tags: bool = False
    build_context: bool = True
    build_user_context: bool = True
    user_message_role: Role = "user"
    dependencies: Mapping[str, object]
    add_dependencies_to_context: bool = False
    input_schema: object = None
    knowledge: KnowledgeBase | Callable[..., object] | None = None
    knowledge_retriever: Callable[..., object] | None = None
    search_knowledge: bool = True
    add_knowledge_to_context: bool = False
    knowledge_filters: Mapping[str, object] | Sequence[object] | None = None
    enable_agentic_knowledge_filters: bool = False
    references_format: Literal["json", "yaml"] = "json"
    add_search_knowledge_instructions: bool = True
    update_knowledge: bool = False

    def _build(self) -> None:
        given = self.__dict__
        if "user_message_role" in given:
            given["user_message_role"] = check_role("user_message_role", self.user_message_role)
        dependencies: object = given.get("dependencies")
        if dependencies is not None and not isinstance(dependencies, Mapping):
            raise ConfigurationError(f"dependencies must be a dict, not {dependencies!r:.80}.")
        given["dependencies"] = dict(dependencies or {})
        Form.of(self.input_schema, "input_schema")  # One that cannot be used is refused here.
