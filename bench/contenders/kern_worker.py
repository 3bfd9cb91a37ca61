"""What ``kern worker`` serves: the agents of the setting in ``BENCH_SETTING``."""

import os

from bench.contenders.contender import Setting
from bench.contenders.kern_agent import make_agents
from kern.db.postgres import PostgresDb

_setting = Setting.from_json(os.environ["BENCH_SETTING"])

agents = make_agents(_setting, PostgresDb(_setting.database, _setting.table))
