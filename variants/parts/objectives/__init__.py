"""Objectives: what training minimises. The first door out of a model; no reported number ever passes through it."""

from variants.parts.objectives.aggregate import TotalCorrelation
from variants.parts.objectives.base import Objective, Sampled, linear_warmup
from variants.parts.objectives.elbo import Beta, Elbo, Reconstruction, StickingTheLanding
from variants.parts.objectives.importance import Iwae, IwaeDreg

__all__ = [
    "Beta",
    "Elbo",
    "Iwae",
    "IwaeDreg",
    "Objective",
    "Reconstruction",
    "Sampled",
    "StickingTheLanding",
    "TotalCorrelation",
    "linear_warmup",
]
