"""The toolkit of Yahoo Finance, against a double of the library that asks it."""

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from kern.tools.yfinance import YFinanceTools

INFO = {
    "symbol": "ACME",
    "shortName": "Acme",
    "longName": "Acme Corporation",
    "regularMarketPrice": 12.5,
    "trailingPE": 20.0,
    "beta": None,
}


class Frame:
    """What a data frame of pandas is, as far as it is used."""

    def __init__(self, text: str) -> None:
        self.text, self.empty = text, not text

    def to_json(self, orient: str, date_format: str) -> str:
        assert (orient, date_format) == ("index", "iso")
        return self.text


class Ticker:
    """What ``yfinance.Ticker`` is, as far as it is used."""

    def __init__(self, ticker: str, session: object = None) -> None:
        self.info: dict[str, Any] = INFO if ticker == "ACME" else {"trailingPegRatio": None}
        self.news = [{"id": number} for number in range(10)]
        self.income_stmt = Frame('{"Revenue":{"2025":1}}')
        self.recommendations = Frame("")

    def history(self, period: str, interval: str = "1d") -> Frame:
        return Frame(json.dumps({"period": period, "interval": interval}))


@pytest.fixture(autouse=True)
def _library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yfinance", SimpleNamespace(Ticker=Ticker))


def test_only_the_price_is_offered_unless_more_is_asked_for() -> None:
    assert [*YFinanceTools().functions] == ["get_current_stock_price"]
    assert [*YFinanceTools(enable_stock_price=False, enable_company_news=True).functions] == [
        "get_company_news"
    ]
    assert len(YFinanceTools(all=True).functions) == 9


def test_what_is_known_of_a_stock_is_told() -> None:
    tools = YFinanceTools(all=True)
    assert tools.get_current_stock_price("ACME") == "12.5000"
    assert json.loads(tools.get_company_info("ACME")) == {
        "Name": "Acme",
        "Symbol": "ACME",
        "Price": 12.5,
    }
    assert json.loads(tools.get_stock_fundamentals("ACME"))["company_name"] == "Acme Corporation"
    assert json.loads(tools.get_key_financial_ratios("ACME")) == {"trailing_pe": 20.0}
    assert json.loads(tools.get_income_statements("ACME")) == {"Revenue": {"2025": 1}}
    assert len(json.loads(tools.get_company_news("ACME", 2))) == 2
    assert json.loads(tools.get_historical_stock_prices("ACME", "5d", "1wk")) == {
        "period": "5d",
        "interval": "1wk",
    }


def test_what_is_not_known_fails_the_call() -> None:
    tools = YFinanceTools(all=True)
    with pytest.raises(LookupError, match="no price for 'NONE'"):
        tools.get_current_stock_price("NONE")
    with pytest.raises(LookupError, match="knows nothing of 'NONE'"):
        tools.get_company_info("NONE")
    with pytest.raises(LookupError, match="nothing of that"):
        tools.get_analyst_recommendations("ACME")


def test_technical_indicators_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    days = pandas.date_range("2026-01-01", periods=60)
    frame = pandas.DataFrame({"Close": [*range(60)], "Open": 0.0}, index=days, dtype=float)
    monkeypatch.setattr(Ticker, "history", lambda *_, **__: frame)
    told = json.loads(YFinanceTools(all=True).get_technical_indicators("ACME"))
    last = [*told.values()][-1]
    assert (last["Close"], last["SMA20"], last["SMA50"]) == (59, 49.5, 34.5)
    assert last["RSI14"] == 100
    assert 6 < last["MACD"] < 7.1
