"""Scripts in processes that are forked from one that has everything imported.

They end as those that start Python themselves do, and as ``multiprocessing`` does not.
"""

import gc
import json
import os
import signal
import socket
import sys
from typing import Any

import tests.soak.preloaded  # noqa: F401


def _forked(requests: socket.socket) -> dict[str, Any]:
    """Fork a process for each request, one after the other, and return there with its own."""
    while True:
        data, files, _, _ = socket.recv_fds(requests, 1 << 18, 3)
        if not data:
            sys.exit()
        pid = os.fork()
        if not pid:
            requests.close()
            for number, file in enumerate(files):
                os.dup2(file, number)
                os.close(file)
            given: dict[str, Any] = json.loads(data)
            return given
        for file in files:
            os.close(file)
        requests.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        requests.send(str(os.waitstatus_to_exitcode(status)).encode())


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.freeze()
    _request = _forked(socket.socket(fileno=int(sys.argv[1])))
    os.environ.clear()
    os.environ.update(_request["environment"])
    exec(compile(_request["script"], _request["name"], "exec"), {"__name__": "__main__"})
