"""kern's log through your own logger, and an agent that logs in detail."""

import logging
import sys

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.utils.log import configure_kern_logging, log_info, log_warning

logger = logging.getLogger("kitchen")
logger.setLevel(logging.DEBUG)
logger.propagate = False
handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(logging.Formatter("kitchen %(levelname)s %(message)s"))
logger.addHandler(handler)

configure_kern_logging(custom_default_logger=logger, custom_agent_logger=logger)

cook = Agent(
    name="Cook",
    model=OpenAIResponses(id="gpt-5.4-mini"),
    description="You suggest a dish for what is in the cupboard.",
    debug_mode=True,
)

if __name__ == "__main__":
    log_info("The kitchen opens.")
    run = cook.run("Rice, lemons, eggs.")
    if run.metrics.total_tokens > 10_000:
        log_warning("That was a long recipe.")
    print(run.content)
