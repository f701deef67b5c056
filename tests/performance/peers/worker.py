"""One contestant in a process of its own: `python -m tests.performance.peers.worker MODULE TASK OPTIONS`.

It prepares its job, then waits for requests, one JSON line each on standard input, and answers each with one line. It
ends when its input does, so none outlives its driver.
"""

import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.performance.peers.plan import Block, Job


def main() -> None:
    """Serve one contestant. Every request is answered, by `{"error": reason}` if it failed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a contestant prints is no answer

    def answer(call: Callable[[], dict[str, Any]]) -> None:
        try:
            found = call()
        except Exception as error:
            found = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
        print(json.dumps(found), file=answers, flush=True)

    name, task, options = sys.argv[1:]
    jobs: list[Job] = []

    def prepare() -> dict[str, Any]:
        job = importlib.import_module(name).prepare(task, **json.loads(options))
        (job.warm_up or (lambda: job.block(0)))()
        jobs.append(job)
        return {}

    answer(prepare)
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "profile":
            answer(lambda: {"shares": jobs[0].profile() if jobs[0].profile else None})
        else:
            answer(lambda number=request["round"]: _timed(jobs[0], number))  # type: ignore[misc]


def _timed(job: Job, number: int) -> Block:
    start = time.perf_counter()
    done = job.block(number)
    return {"seconds": time.perf_counter() - start} | done


if __name__ == "__main__":
    main()
