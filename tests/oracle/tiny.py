"""One small problem, looked at coarsely."""

from typing import Any

TINY: dict[str, Any] = {
    "problem": [{"d": 4, "k": 2, "noise": 0.5, "orthogonal": False}],
    "network": [{"d": 6, "bits": 4}],
    "settings": {
        "n": 1000,
        "points": 60,
        "elbo_samples": 40,
        "importance_samples": 200,
        "chains": 4,
        "steps": 20,
        "gap_steps": 40,
        "epochs": 60,
    },
}
