"""Toolkits: tools that belong together, which of them there are, and by what rules."""

from typing import Any

import pytest

from kern.agent import Agent
from kern.errors import ConfigurationError
from kern.models.openai import OpenAIResponses
from kern.tools import Function, Toolkit, tool


class Shop(Toolkit):
    """Sells."""

    def __init__(self, **rules: Any) -> None:
        self.sold: list[str] = []
        super().__init__("shop", tools=[self.price, self.buy, self.refund], **rules)

    def price(self, article: str) -> str:
        """Tell a price.

        Args:
            article: what to buy.
        """
        return f"{article} costs 5"

    def buy(self, article: str) -> str:
        """Buy."""
        self.sold.append(article)
        return "bought"

    @tool(name="give_back", requires_confirmation=True)
    def refund(self, article: str) -> str:
        """Give it back."""
        self.sold.remove(article)
        return "refunded"


def test_a_subclass_passes_its_methods() -> None:
    shop = Shop()
    assert [*shop.functions] == ["price", "buy", "give_back"] == [*shop.get_functions()]
    buy = shop.functions["buy"]
    assert isinstance(buy, Function)
    assert buy.entrypoint(article="bread") == "bought"
    assert shop.sold == ["bread"]
    assert shop.functions["give_back"].requires_confirmation
    assert "self" not in buy.parameters["properties"]  # type: ignore[operator] # a dict
    assert repr(shop) == "Shop(name='shop', functions=['price', 'buy', 'give_back'])"


def test_only_some_tools_are_taken() -> None:
    assert [*Shop(include_tools=["price"]).functions] == ["price"]
    assert [*Shop(exclude_tools=["price", "give_back"]).functions] == ["buy"]
    assert [*Shop(auto_register=False).functions] == []


def test_names_have_a_prefix() -> None:
    shop = Shop(tool_name_prefix="my")
    assert [*shop.functions] == ["my_price", "my_buy", "my_give_back"]
    assert [each.schema.name for each in shop.functions.values()] == [*shop.functions]
    assert [*Shop().functions] == ["price", "buy", "give_back"]  # Others keep their names.


def test_rules_are_given_by_name() -> None:
    shop = Shop(
        requires_confirmation_tools=["buy"],
        external_execution_required_tools=["price"],
        stop_after_tool_call_tools=["give_back"],
        show_result_tools=["buy"],
        cache_results=True,
        cache_dir="kept",
        cache_ttl=60,
        timeout=5,
    )
    price, buy, refund = shop.functions.values()
    assert (price.external_execution, buy.requires_confirmation) == (True, True)
    assert (refund.stop_after_tool_call, refund.show_result, buy.show_result) == (True,) * 3
    assert (price.requires_confirmation, price.show_result) == (False, False)
    assert {
        (each.cache_results, each.cache_dir, each.cache_ttl, each.timeout) for each in (price, buy)
    } == {(True, "kept", 60, 5)}


@pytest.mark.parametrize(
    "keyword",
    ["include_tools", "exclude_tools", "requires_confirmation_tools", "show_result_tools"],
)
def test_a_name_of_no_tool_is_refused(keyword: str) -> None:
    with pytest.raises(ConfigurationError, match=r"shop has no tool 'prise'\. Did you mean 'pri"):
        Shop(**{keyword: ["prise"]})


def test_rules_hold_for_tools_that_a_subclass_registers_later() -> None:
    class Later(Toolkit):
        def __init__(self, **rules: Any) -> None:
            super().__init__("later", **rules)
            self.register(self.open)
            self.register(self.shut)

        def open(self) -> None: ...

        def shut(self) -> None: ...

    assert [*Later(include_tools=["open"]).functions] == ["open"]
    assert [*Later(exclude_tools=["open"]).functions] == ["shut"]
    assert Later(requires_confirmation_tools=["shut"]).functions["shut"].requires_confirmation
    wrong = Later(requires_confirmation_tools=["shot"])
    with pytest.raises(ConfigurationError, match=r"later has no tool 'shot'\. Did you mean 'shut'"):
        Agent("Tester", tools=[wrong])


def test_an_asynchronous_tool_takes_the_place_of_its_twin() -> None:
    async def price_later(article: str) -> str:
        return article

    async def more() -> None: ...

    kit = Toolkit(tools=[Shop().price], async_tools=[(price_later, "price"), more])
    assert [*kit.functions] == ["price", "more"]
    price = kit.functions["price"]
    assert isinstance(price, Function)
    assert price.function is price_later


def test_tools_are_registered_later() -> None:
    kit = Toolkit("kit")
    kit.register(Shop().price)
    kit.register(Shop().price, name="other")
    kit.register(Function(Shop().buy, stop_after_tool_call=True), name="order")
    assert [*kit.functions] == ["price", "other", "order"]
    assert kit.functions["order"].stop_after_tool_call
    with pytest.raises(ConfigurationError, match="The toolkit kit has two tools of the name 'pri"):
        kit.register(Shop().price)


def test_two_tools_of_one_name_are_refused_when_the_agent_is_made(model: OpenAIResponses) -> None:
    def price() -> None: ...

    with pytest.raises(ConfigurationError, match=r"the name 'price' \(the toolkit shop\); give"):
        Agent("Tester", model, tools=[Shop(), price])
    with pytest.raises(ConfigurationError, match=r"\(the toolkit kit and the toolkit shop\)"):
        Agent("Tester", model, tools=[Shop(), Toolkit("kit", [price])])
    Agent("Tester", model, tools=[Shop(), Toolkit("kit", [price], tool_name_prefix="kit")])


def test_a_toolkit_without_a_connection_needs_none() -> None:
    assert not Shop().is_connectable
    assert Shop().connect() is None is Shop().close()
