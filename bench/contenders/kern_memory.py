"""kern in memory."""

from typing_extensions import override

from bench.contenders.common import Setting, main
from bench.contenders.kern_agent import KernContender
from kern.db.in_memory import InMemoryDb


class KernMemory(KernContender):
    """Background runs that last as long as the process."""

    @override
    def database(self, setting: Setting) -> InMemoryDb:
        return InMemoryDb()


if __name__ == "__main__":
    main(KernMemory)
