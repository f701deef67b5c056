"""A model with its data's spec and its history: what a user encodes, samples and scores with."""

import html
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Distribution

from bench import seeds
from bench.api import export, written
from bench.api.about import About, judged
from bench.data.given.facts import Scaling
from bench.errors import DataError, UsageError
from bench.judge import NOTED, bounds, evidence
from bench.resume.notebook import Notebook
from bench.settings import Number
from variants import registry
from variants.core import VAE, Batch, is_discrete
from variants.data_spec import DataSpec
from variants.parts import part_names

# What goes in: an array, a tensor, or what NumPy makes an array of.
Array = Any
# Numbers in the largest tensor of any operation, 32 MiB in float32.
TENSOR_NUMBERS = 2**23
# Kind of data -> the range of what is modelled.
_RANGES = {"real": (-math.inf, math.inf), "counts": (0.0, math.inf)} | dict.fromkeys(
    ("binary", "unit", "levels"), (-1e-6, 1 + 1e-6)
)


class Model(nn.Module):
    """A VAE as its user sees it. Made by `build`, `assemble`, `fit` and `load`.

    Whatever takes examples takes `[N, *shape]` as a NumPy array, a tensor or a DataFrame, in the units of the data that
    the model was built for, and works through many of them in parts. What comes back is a NumPy array, unless tensors
    were given: then it is a tensor on their device. Random draws come from a stream of their own, so that the same call
    gives the same numbers; `seed` gives others. A model of p(x|c) is given c as well: the class of each example, `[N]`
    of 0 to C - 1, or one for all.

    Args:
        vae: the model itself, for all else: `model.vae.terms(x)`, `model.vae.loss(x)`.
        spec: of one example.
        about: see `About`.
        scaling: from the user's values to those that are modelled, with `apply` and `undo`; None takes them as they
            are. ELBO and log p(x) are of the values that are modelled.

    Raises:
        DataError: of all methods, in one line, for examples that do not fit.
    """

    def __init__(self, vae: VAE, spec: DataSpec, about: About, scaling: Scaling | None = None) -> None:
        super().__init__()
        self.vae, self.spec, self.about, self.scaling = vae, spec, about, scaling

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.vae.parameters()).device

    @property
    def curve(self) -> list[dict[str, Number]]:
        """The learning curve: a row for each epoch."""
        return self.about.curve

    @property
    def scores(self) -> dict[str, Number]:
        """The judge's figures, see `bench.evaluate`; empty before it was asked."""
        return self.about.scores

    def forward(self, x: Tensor) -> Tensor:
        """Mean reconstruction of a batch `[B, *shape]` as a part of a larger network: differentiable, on its device."""
        return self.vae(x)  # type: ignore[no-any-return]

    def encode(self, x: Array, c: Array = None) -> Distribution:
        """q(z|x), batch shape `[N]`, event shape `[D]`, of all examples at once."""
        with judged(self.vae):
            return self.vae.infer(self._given(self._tensor(x), c))

    def embed(self, x: Array, c: Array = None) -> Any:
        """Means of q(z|x), `[N, D]`."""
        examples = self._given(self._tensor(x), c)
        return self._like(x, self._batched(lambda batch: self.vae.infer(batch).mean, examples))

    def decode(self, z: Array) -> Any:
        """Means of p(x|z) for latents `[N, D]`: `[N, *shape]`."""
        latents = torch.as_tensor(np.asarray(z) if not isinstance(z, Tensor) else z, dtype=torch.float32)
        if latents.ndim != 2:
            raise DataError(f"latents must have the shape (N, D), got {tuple(latents.shape)}")
        return self._like(z, self._decoded(latents.to(self.device)))

    def reconstruct(self, x: Array, c: Array = None) -> Any:
        """Means of p(x|z) at the mean of q(z|x), `[N, *shape]`."""
        examples = self._given(self._tensor(x), c)
        return self._like(x, self._undone(self._batched(self.vae.reconstruct, examples)))

    def sample(self, n: int = 1, *, seed: int = 0, noise: bool = False, c: Array = None) -> NDArray[np.float32]:
        """Examples from the model, `[n, *shape]`.

        Args:
            n: how many.
            seed: of the draws.
            noise: draw x from p(x|z) instead of its mean.
            c: of a model of p(x|c), the class of each; by default all classes have equal chances.
        """
        chosen = None if c is None else nn.functional.one_hot(self._classes(c, n), self.spec.classes or 0)
        with judged(self.vae), seeds.stream(seed, "sample", self.device.type):
            z = self.vae.prior().sample(torch.Size([n]))
            if chosen is not None:  # the class is the last latents
                z[:, -chosen.shape[-1] :] = chosen.to(z.dtype)
            x = self._batched(lambda part: self.vae.decode(part).sample(), z) if noise else self._means(z)
        return self._undone(x).cpu().numpy()  # type: ignore[no-any-return]

    def interpolate(self, a: Array, b: Array, steps: int = 10) -> Any:
        """Decoded means on the straight line between the embeddings of two examples `[*shape]`: `[steps, *shape]`."""
        self._refuse_discrete("interpolate")
        ends = self._batched(lambda x: self.vae.infer(x).mean, torch.cat([self._one(a), self._one(b)]))
        share = torch.linspace(0, 1, steps, device=self.device).unsqueeze(-1)
        return self._like(a, self._decoded(ends[0] + share * (ends[1] - ends[0])))

    def traverse(self, x: Array, axes: int | Sequence[int] = 10, steps: int = 7, span: float = 3.0) -> Any:
        """One example's decoded means as one latent after the other goes from -span to span: `[A, steps, *shape]`.

        Args:
            x: `[*shape]`.
            axes: which, or how many: those whose posterior is narrowest, which x says most about.
            steps: values of each.
            span: of the prior's standard deviations where it is a standard normal.
        """
        self._refuse_discrete("traverse")
        with judged(self.vae):
            q = self.vae.infer(self._one(x))
            mean = q.mean[0]
            if isinstance(axes, int):
                try:
                    order = q.variance[0].argsort()
                except NotImplementedError:  # a flow has none in closed form
                    order = torch.arange(len(mean))
                axes = order[:axes].tolist()
        z = mean.repeat(len(axes), steps, 1)
        for i, axis in enumerate(axes):
            z[i, :, axis] = torch.linspace(-span, span, steps, device=self.device)
        decoded = self._decoded(z.flatten(0, 1))
        return self._like(x, decoded.reshape(len(axes), steps, *self.spec.shape))

    def elbo(self, x: Array, *, samples: int = 10, seed: int = seeds.JUDGE, c: Array = None) -> Any:
        """The ELBO with beta = 1 of each example in nats, `[N]` float64, as the judge computes it.

        Args:
            x: `[N, *shape]`.
            samples: draws of z per example.
            seed: of the draws; the default is the judge's.
            c: of a model of p(x|c), the class of each example.

        Raises:
            UsageError: the model has no bound.
        """
        parts = map(Batch.of, _split(self._scored(x, c), bounds.EVAL_BATCH))
        batches = ((part.x, part.x if part.c is None else part.c) for part in parts)
        with judged(self.vae):
            return self._like(x, bounds.scores(self.vae, batches, samples=samples, seed=seed).elbo)

    def log_prob(self, x: Array, *, samples: int = 500, c: Array = None) -> Any:
        """log p(x) of each example in nats, `[N]` float64, by importance sampling from q(z|x), as the judge does it.

        It is a lower bound on average, which rises with the samples. On a continuous support it is a log-density.

        Args:
            x: `[N, *shape]`.
            samples: K, draws per example.
            c: of a model of p(x|c), the class of each example; the figure is log p(x|c).

        Raises:
            UsageError: the model has no bound, or a q(z|x) from whose draws log p(x) cannot be told.
        """
        if self.vae.has_bound and not self.vae.covers:
            raise UsageError("q(z|x) misses some of p(z|x), so that no number of its draws tells log p(x): see elbo")
        size = NOTED["nll"]
        parts = _split(self._scored(x, c), size)

        def function(part: Tensor | Batch) -> dict[str, Tensor]:
            return {"log_px": evidence.importance_weights(self.vae, part, samples)["log_px"]}

        columns = Notebook().each(f"NLL, K = {samples}, all points by {size}", parts, function, len(parts))
        return self._like(x, columns["log_px"])

    def _scored(self, x: Array, c: Array) -> Tensor | Batch:
        if not self.vae.has_bound:
            raise UsageError("the encoder is deterministic: without a density q(z|x) there is no ELBO and no log p(x)")
        examples = self._tensor(x)
        if self.vae.likelihood.support == "binary" and bool(((examples != 0) & (examples != 1)).any()):
            raise DataError("p(x|z) is a density on 0 and 1, and x has other values: binarise it first")
        return self._given(examples, c)

    def _given(self, examples: Tensor, c: Array) -> Tensor | Batch:
        """Examples, with their classes where the model is of p(x|c)."""
        if c is None and not self.vae.conditional:
            return examples
        return Batch(examples, c=self._classes(c, len(examples)))

    def _classes(self, c: Array, n: int) -> Tensor:
        """The classes of n examples, `[n]` int64 on the model's device; UsageError or DataError for what is none."""
        if not self.vae.conditional:
            raise UsageError("the model is of p(x), not of p(x|c): leave c out")
        if c is None:
            raise UsageError("the model is of p(x|c): give c, the class of each example")
        given = np.asarray(c.cpu() if isinstance(c, Tensor) else c)
        of = self.spec.classes or 0
        whole = given.dtype.kind in "iu" and given.shape in ((), (n,)) and given.size
        if not whole or given.min() < 0 or given.max() >= of:
            raise DataError(f"c must be one whole number from 0 to {of - 1} for each of {n} examples, or one for all")
        return torch.from_numpy(np.broadcast_to(given, (n,)).astype(np.int64)).to(self.device)

    def _refuse_discrete(self, what: str) -> None:
        if self.vae.conditional:
            raise UsageError(f"latents hold the class, along which nothing can {what}: decode latents of your own")
        with judged(self.vae):
            if is_discrete(self.vae.prior()):
                raise UsageError(f"the latents are discrete: there is no line to {what} along")

    def _one(self, x: Array) -> Tensor:
        if isinstance(x, Tensor):
            return self._tensor(x.unsqueeze(0))
        return self._tensor(np.asarray(x)[None])

    def _tensor(self, x: Array) -> Tensor:
        """Examples as the model sees them, `[N, *shape]` on its device; DataError for what does not fit."""
        given = x if isinstance(x, Tensor) else torch.from_numpy(np.require(x, requirements=["C", "W"]))
        shape = self.spec.shape
        if tuple(given.shape[1:]) == shape[1:] and shape[0] == 1 and given.ndim == len(shape):
            given = given.unsqueeze(1)
        if tuple(given.shape[1:]) != shape or not len(given):
            raise DataError(f"examples must have the shape (N, {', '.join(map(str, shape))}), got {tuple(given.shape)}")
        values = given.to(self.device, torch.float32)
        if self.scaling is not None:
            values = self.scaling.apply(values)
        elif given.dtype == torch.uint8 and self.spec.kind != "counts" and given.max() > 1:
            values = values / 255
        if not bool(values.isfinite().all()):
            raise DataError("examples hold values that are missing or infinite: fill or drop them")
        low, high = values.min().item(), values.max().item()
        least, most = _RANGES[self.spec.kind]
        if low < least or high > most:
            wanted = "counts" if self.spec.kind == "counts" else "values in [0, 1]"
            raise DataError(f"the model is for {wanted}, and x goes from {low:g} to {high:g}: scale it")
        return values

    def _decoded(self, z: Tensor) -> Tensor:
        return self._undone(self._means(z))

    def _means(self, z: Tensor) -> Tensor:
        return self._batched(lambda part: self.vae.decode(part).mean, z)

    def _undone(self, x: Tensor) -> Tensor:
        """In the user's units."""
        return x if self.scaling is None else self.scaling.undo(x)

    def _batched(self, function: Callable[[Any], Tensor], rows: Tensor | Batch) -> Tensor:
        with judged(self.vae):
            if len(rows) <= bounds.EVAL_BATCH:
                return function(rows)
            parts = _split(rows, evidence.rows_at_once(lambda n: function(rows[:n]), TENSOR_NUMBERS))
            return function(rows) if len(parts) == 1 else torch.cat([function(part) for part in parts])

    def _like(self, given: Array, values: Tensor | None) -> Any:
        assert values is not None
        return values.to(given.device) if isinstance(given, Tensor) else values.cpu().numpy()

    def save(self, folder: str | Path) -> Path:
        """Write `config.json`, `model.safetensors` and a model card `README.md`; `bench.load` reads them again.

        Raises:
            MachineError: they cannot be written.
        """
        return written.save(self, Path(folder))

    def push_to_hub(self, repository: str, **options: Any) -> str:
        """Upload what `save` writes to huggingface.co; needs `huggingface_hub`, and a login.

        Args:
            repository: `"me/my-vae"`.
            options: of `huggingface_hub.HfApi.create_repo`, such as `private=True`.

        Returns:
            Where it is.
        """
        return written.push(self, repository, **options)

    def export(self, folder: str | Path, form: str = "torch") -> tuple[Path, Path]:
        """Write the encoder (x -> mean of q(z|x)) and the decoder (z -> mean of p(x|z)) for other programs, in the
        data's units and for any number of examples.

        Args:
            folder: where `encoder` and `decoder` go.
            form: `"torch"` (`torch.export`, .pt2), or `"onnx"` (needs onnx and onnxscript).

        Raises:
            UsageError: no such form, or a model that cannot be exported; one line says why.
        """
        return export.export(self, Path(folder), form)

    def __repr__(self) -> str:
        parts = ", ".join(f"{role}={name}" for role, name in part_names(self.vae).items())
        shape = " x ".join(map(str, self.spec.shape))
        return f"Model({self.about.variant or 'own parts'} of {self.spec.kind} {shape}: {parts})"

    def _repr_html_(self) -> str:
        """For notebooks: the parts, the paper, the size, the scores."""
        name = self.about.variant
        row = registry.get(name).describe() if name in registry.recipes() else {}
        facts = {"summary": row.get("summary"), "paper": row.get("paper"), **part_names(self.vae)}
        facts |= self.about.overrides
        facts["data"] = f"{self.about.data.get('name', '')} {self.spec.kind} {' x '.join(map(str, self.spec.shape))}"
        facts["parameters"] = f"{bounds.parameter_count(self.vae):,}"
        facts["epochs trained"] = len(self.curve) or None
        # The judge counts parameters too, and 652,824 is not 6.528e+05.
        scores = {key: value for key, value in self.scores.items() if key not in facts}
        facts |= {key: f"{value:.4g}" for key, value in scores.items() if isinstance(value, int | float)}
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(str(key))}</th><td>{html.escape(str(value))}</td></tr>"
            for key, value in facts.items()
            if value not in (None, "")
        )
        return f"<table><caption><b>{html.escape(name or 'own parts')}</b></caption>{rows}</table>"


def _split(rows: Tensor | Batch, size: int) -> list[Tensor | Batch]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
