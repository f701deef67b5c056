"""A published table that runs in a second: two variants on simulated data, and figures that are made up."""

from pathlib import Path

RECIPE = """
title = "A tiny table"
source = "Nobody 2026"
notes = ["It is small."]
start = ["plain"]
set = { latent = 2 }

[dataset]
name = "linear_gaussian"
options = { n = 1000 }

[profiles.short]
reason = "Chosen beforehand."
budget = { epochs = 2, batch_size = 100, train_size = 200 }
measure = { elbo_samples = 2, nll_samples = 5, nll_points = 20 }
tolerance = { elbo_nats = [1000, 1000], nll_is5_nats = 1e-9 }

[profiles.full]
reason = "The same, longer."
budget = { epochs = 3, batch_size = 100, train_size = 200 }
measure = { elbo_samples = 2, nll_samples = 5, nll_points = 20 }
tolerance = { elbo_nats = 1000, nll_is5_nats = 1000 }

[rows.plain]
title = "A linear model"
variant = "linear"
short = { seeds = 3 }

[rows.twin]
title = "The same model"
variant = "linear"

[rows.other]
title = "Another model"
variant = "vanilla"
set = { hidden = [8] }
not_comparable = { kl_nats = "it is another KL" }
short = { explanation = "It was made up." }
"""

FIGURES = """row,metric,value,stderr,ours,sign,source,read
plain,neg_elbo,7.5,0.1,elbo_nats,-1,Nobody 2026,its PDF
twin,elbo,-7,,elbo_nats,1,Nobody 2026,its PDF
other,nll,1,,nll_is5_nats,1,Nobody 2026,its PDF
other,kl,1,,kl_nats,1,Nobody 2026,its PDF
other,recon,1,,recon_nats,1,Nobody 2026,"from memory, UNVERIFIED"
"""


def write(folder: Path, recipe: str = RECIPE, figures: str = FIGURES, name: str = "tiny") -> Path:
    """Both files in a folder; returns the path of the recipe."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.csv").write_text(figures, encoding="utf-8")
    path = folder / f"{name}.toml"
    path.write_text(recipe, encoding="utf-8")
    return path
