"""The tools of the scripts beside it: what a saved agent names has to be in a module."""

PRICES = {"kettle": 39, "teapot": 24}


def price(article: str) -> str:
    """Tell what an article costs.

    Args:
        article: its name.
    """
    return f"{PRICES[article]} euros" if article in PRICES else "we do not sell it"


def in_stock(article: str) -> str:
    """Tell whether an article is in stock.

    Args:
        article: its name.
    """
    return "yes" if article in PRICES else "no"
