"""One contestant in a process of its own: `python -m tests.performance.peers.worker MODULE TASK OPTIONS`.

It prepares its job, then answers every line of standard input, a round's number or `profile`, with one line of JSON. It
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

    def answer(call: Callable[..., Any], *request: Any) -> Any:
        try:
            result = call(*request)
        except Exception as error:
            result = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
        print(json.dumps(result if isinstance(result, dict) else {}), file=answers, flush=True)
        return result

    name, task, options = sys.argv[1:]
    job = answer(_prepared, name, task, json.loads(options))
    for line in sys.stdin:
        if line.strip() == "profile":
            answer(lambda: {"shares": job.profile() if job.profile else None})
        else:
            answer(_timed, job, int(line))


def _prepared(name: str, task: str, options: dict[str, Any]) -> Job:
    job: Job = importlib.import_module(name).prepare(task, **options)
    (job.warm_up or (lambda: job.block(0)))()
    return job


def _timed(job: Job, number: int) -> Block:
    start = time.perf_counter()
    done = job.block(number)
    return {"seconds": time.perf_counter() - start} | done


if __name__ == "__main__":
    main()
