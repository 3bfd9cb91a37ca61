"""What happens in a world: a storm of faults, then a calm in which all has to end well."""

import asyncio
from collections.abc import Callable

from tests.simulation.faults import Faults
from tests.simulation.plans import Habits
from tests.simulation.users import Users
from tests.simulation.world import World

# How long after the storm all runs may take to end, beyond what they do, in seconds.
_SLACK = 600.0


async def tell(world: World, habits: Habits) -> None:
    """Let a world begin, live and end, whose users have such habits."""
    random, seen = world.random, world.seen
    world.states.set_budget()
    for _ in range(random.randint(1, 3)):
        world.start(is_worker=True)
    for _ in range(random.randint(1, 2)):
        world.start(is_worker=False)
    faults, users = Faults(world), Users(world, habits)
    for _ in range(random.randint(3, 25)):
        await asyncio.sleep(random.expovariate(1.0))
        users.act()
    await asyncio.sleep(random.uniform(1, 20))

    world.write("— the storm is over —", "")
    await faults.end()

    def remains() -> str:
        users.decide()
        rows = [row for row in seen.rows.values() if not row.has_ended]
        runs = [f"{row.run_id} is {row.status}" for row in rows]
        waiters = [f"{each.kind} {each.run_id}" for each in seen.waiters]
        return ", ".join([*runs, *waiters, *world.reports.left()])

    await _until_nothing(world, remains, _SLACK + 3 * users.work)

    users.read_all()
    await _until_nothing(world, lambda: ", ".join(users.unread), 60)

    world.write("— all processes are asked to end —", "")
    world.is_ending = True
    for process in list(world.processes):
        process.stopping.set()
    await _until_nothing(world, lambda: ", ".join(map(str, world.processes)), 60)
    world.states.check_budgets()
    world.kept.check()
    world.reports.check()


async def _until_nothing(world: World, remains: Callable[[], str], seconds: float) -> None:
    deadline = world.universe.now + seconds
    while what := remains():
        await asyncio.sleep(1.0)
        if world.universe.now > deadline:
            return world.seen.breach(f"after {seconds:.0f} s of calm there remain: {what}")
