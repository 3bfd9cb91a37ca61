"""Stocks: their prices, and what Yahoo Finance knows of their companies."""

import json
from typing import TYPE_CHECKING, Any

from kern.extras import extra
from kern.tools.toolkit import Toolkit

if TYPE_CHECKING:
    from pandas import DataFrame

_COMPANY = {
    "Name": "shortName",
    "Symbol": "symbol",
    "Price": "regularMarketPrice",
    "Currency": "currency",
    "Market cap": "marketCap",
    "Sector": "sector",
    "Industry": "industry",
    "City": "city",
    "Country": "country",
    "Website": "website",
    "Employees": "fullTimeEmployees",
    "Summary": "longBusinessSummary",
    "Recommendation": "recommendationKey",
    "Analysts": "numberOfAnalystOpinions",
    "Total cash": "totalCash",
    "Free cash flow": "freeCashflow",
    "EBITDA": "ebitda",
    "Revenue growth": "revenueGrowth",
}

_FUNDAMENTALS = {
    "symbol": "symbol",
    "company_name": "longName",
    "sector": "sector",
    "industry": "industry",
    "market_cap": "marketCap",
    "pe_ratio": "forwardPE",
    "pb_ratio": "priceToBook",
    "dividend_yield": "dividendYield",
    "eps": "trailingEps",
    "beta": "beta",
    "52_week_high": "fiftyTwoWeekHigh",
    "52_week_low": "fiftyTwoWeekLow",
}

_RATIOS = {
    "trailing_pe": "trailingPE",
    "forward_pe": "forwardPE",
    "peg": "trailingPegRatio",
    "price_to_book": "priceToBook",
    "price_to_sales": "priceToSalesTrailing12Months",
    "profit_margin": "profitMargins",
    "gross_margin": "grossMargins",
    "operating_margin": "operatingMargins",
    "return_on_assets": "returnOnAssets",
    "return_on_equity": "returnOnEquity",
    "debt_to_equity": "debtToEquity",
    "current_ratio": "currentRatio",
    "quick_ratio": "quickRatio",
    "payout_ratio": "payoutRatio",
    "dividend_yield": "dividendYield",
}


class YFinanceTools(Toolkit):
    """Tools that ask Yahoo Finance (extra ``yfinance``).

    Example:
        >>> [*YFinanceTools().functions]
        ['get_current_stock_price']
    """

    def __init__(
        self,
        enable_stock_price: bool = True,
        enable_company_info: bool = False,
        enable_stock_fundamentals: bool = False,
        enable_income_statements: bool = False,
        enable_key_financial_ratios: bool = False,
        enable_analyst_recommendations: bool = False,
        enable_company_news: bool = False,
        enable_technical_indicators: bool = False,
        enable_historical_prices: bool = False,
        all: bool = False,
        session: object = None,
        **options: Any,
    ) -> None:
        """Choose the tools.

        Args:
            enable_stock_price: offer ``get_current_stock_price``.
            enable_company_info: offer ``get_company_info``.
            enable_stock_fundamentals: offer ``get_stock_fundamentals``.
            enable_income_statements: offer ``get_income_statements``.
            enable_key_financial_ratios: offer ``get_key_financial_ratios``.
            enable_analyst_recommendations: offer ``get_analyst_recommendations``.
            enable_company_news: offer ``get_company_news``.
            enable_technical_indicators: offer ``get_technical_indicators``.
            enable_historical_prices: offer ``get_historical_stock_prices``.
            all: offer all of them.
            session: the session of ``curl_cffi`` over which it is asked.
            **options: those of :class:`Toolkit`.

        Raises:
            MissingExtraError: yfinance is not installed.
        """
        with extra("yfinance"):
            import yfinance  # noqa: F401
        self._session = session
        offered = {
            self.get_current_stock_price: enable_stock_price,
            self.get_company_info: enable_company_info,
            self.get_stock_fundamentals: enable_stock_fundamentals,
            self.get_income_statements: enable_income_statements,
            self.get_key_financial_ratios: enable_key_financial_ratios,
            self.get_analyst_recommendations: enable_analyst_recommendations,
            self.get_company_news: enable_company_news,
            self.get_technical_indicators: enable_technical_indicators,
            self.get_historical_stock_prices: enable_historical_prices,
        }
        tools = [each for each, is_enabled in offered.items() if all or is_enabled]
        super().__init__(name="yfinance_tools", tools=tools, **options)

    def get_current_stock_price(self, symbol: str) -> str:
        """Get the price of a stock.

        Args:
            symbol: the stock's symbol.

        Returns:
            The price.
        """
        info = self._ticker(symbol).info
        price = info.get("regularMarketPrice", info.get("currentPrice"))
        if price is None:
            raise LookupError(f"Yahoo Finance has no price for {symbol!r:.50}.")
        return f"{price:.4f}"

    def get_company_info(self, symbol: str) -> str:
        """Get what a company is and does.

        Args:
            symbol: the stock's symbol.

        Returns:
            The company as JSON.
        """
        return self._chosen(symbol, _COMPANY)

    def get_stock_fundamentals(self, symbol: str) -> str:
        """Get the fundamentals of a stock, such as its earnings and its beta.

        Args:
            symbol: the stock's symbol.

        Returns:
            The fundamentals as JSON.
        """
        return self._chosen(symbol, _FUNDAMENTALS)

    def get_income_statements(self, symbol: str) -> str:
        """Get the income statements of a company.

        Args:
            symbol: the stock's symbol.

        Returns:
            The statements as JSON.
        """
        return _as_json(self._ticker(symbol).income_stmt)

    def get_key_financial_ratios(self, symbol: str) -> str:
        """Get the ratios by which a stock is judged.

        Args:
            symbol: the stock's symbol.

        Returns:
            The ratios as JSON.
        """
        return self._chosen(symbol, _RATIOS)

    def get_analyst_recommendations(self, symbol: str) -> str:
        """Get what analysts recommend.

        Args:
            symbol: the stock's symbol.

        Returns:
            The recommendations as JSON.
        """
        return _as_json(self._ticker(symbol).recommendations)

    def get_company_news(self, symbol: str, num_stories: int = 3) -> str:
        """Get the latest news of a company.

        Args:
            symbol: the stock's symbol.
            num_stories: how many.

        Returns:
            The news as JSON.
        """
        return json.dumps(self._ticker(symbol).news[: max(0, num_stories)])

    def get_technical_indicators(self, symbol: str, period: str = "3mo") -> str:
        """Get the closing prices of a stock with their averages, momentum and convergence.

        Args:
            symbol: the stock's symbol.
            period: how far back: 1d, 5d, 1mo, 3mo, 6mo, 1y, 2y, 5y, 10y, ytd or max.

        Returns:
            As JSON by day: the close, its mean of 20 and 50 days, RSI of 14 days, and MACD.
        """
        frame = self._ticker(symbol).history(period=period)
        close = frame["Close"]
        change = close.diff()
        gain, loss = (
            change.clip(lower=0).rolling(14).mean(),
            -change.clip(upper=0).rolling(14).mean(),
        )
        return _as_json(
            frame[["Close"]].assign(
                SMA20=close.rolling(20).mean(),
                SMA50=close.rolling(50).mean(),
                RSI14=100 - 100 / (1 + gain / loss),
                MACD=close.ewm(span=12).mean() - close.ewm(span=26).mean(),
            )
        )

    def get_historical_stock_prices(
        self, symbol: str, period: str = "1mo", interval: str = "1d"
    ) -> str:
        """Get the past prices of a stock.

        Args:
            symbol: the stock's symbol.
            period: how far back: 1d, 5d, 1mo, 3mo, 6mo, 1y, 2y, 5y, 10y, ytd or max.
            interval: how far apart: 1d, 5d, 1wk, 1mo or 3mo.

        Returns:
            The prices as JSON.
        """
        return _as_json(self._ticker(symbol).history(period=period, interval=interval))

    def _chosen(self, symbol: str, names: dict[str, str]) -> str:
        info = self._ticker(symbol).info
        found = {name: info[key] for name, key in names.items() if info.get(key) is not None}
        if not found:
            raise LookupError(f"Yahoo Finance knows nothing of {symbol!r:.50}.")
        return json.dumps(found)

    def _ticker(self, symbol: str) -> Any:
        import yfinance

        return yfinance.Ticker(symbol, session=self._session)


def _as_json(frame: "DataFrame | None") -> str:
    if frame is None or frame.empty:
        raise LookupError("Yahoo Finance has nothing of that.")
    text: str = frame.to_json(orient="index", date_format="iso")
    return text
