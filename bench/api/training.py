"""Building, training and judging one model."""

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from msgspec import structs
from torch import Tensor
from tqdm import tqdm

from bench import device as devices
from bench import judge, seeds
from bench.api import saved
from bench.api.building import build, checked, facts_of, scaling_of
from bench.api.model import Model
from bench.cells.prepare import check_batches, check_shapes
from bench.data.batches import Data
from bench.errors import UsageError
from bench.judge import samples
from bench.judge.bounds import look
from bench.judge.udr import scores as agreements
from bench.records import provenance, sources
from bench.resume.checkpoint import Checkpoint
from bench.settings import Budget, Measure, convert
from bench.sweeps import conformance
from bench.train.loop import train
from variants.core import VAE

# Told the epochs that are done, the row of the learning curve, and the model, after each epoch.
Callback = Callable[[int, Mapping[str, Any], Model], object]


class Scores(dict[str, Any]):
    """The judge's figures by name, None where one does not apply; docs/metrics.md defines them.

    Attributes:
        errors: metric -> standard error: `"mc"` of the judge's draws, `"test"` of the choice of test examples.
        latent: per latent axis, see `bench.judge.Judgement`.
    """

    def __init__(self, judgement: judge.Judgement) -> None:
        super().__init__(judgement.metrics)
        self.errors, self.latent = judgement.errors, judgement.latent

    def _repr_html_(self) -> str:
        rows = []
        for name, value in self.items():
            error = {key: each for key, each in self.errors.get(name, {}).items() if each is not None}
            more = ", ".join(f"{key} {each:.2g}" for key, each in error.items())
            shown = "" if value is None else f"{value:.5g}"
            rows.append(f"<tr><td>{html.escape(name)}</td><td>{shown}</td><td>{more}</td></tr>")
        return f"<table><tr><th>metric</th><th>value</th><th>standard errors</th></tr>{''.join(rows)}</table>"


def fit(
    model: str | Callable[..., VAE] | Model,
    data: Any,
    *,
    seed: int = 0,
    device: str = "auto",
    precision: str = "fp32",
    out: str | Path | None = None,
    callbacks: Iterable[Callback] = (),
    **settings: Any,
) -> Model:
    """Train a model as a run of a suite does: one seed gives the same weights in both, on one machine.

    Args:
        model: a registered name, a recipe function, or a `Model`, which is trained in place.
        data: what `bench.dataset` takes.
        seed: of the weights, the order of the data and the draws.
        device: `auto`, or a device type.
        precision: `"fp32"` or `"bf16"`.
        out: a folder. A training that was stopped goes on from there, one that is finished is read from there, and the
            model is saved into it. By default nothing is written.
        callbacks: each is called after every epoch with the number of finished epochs, the row of the learning curve
            and the model. What they draw does not change the training.
        settings: keys of the budget (`epochs`, `batch_size`, `lr`, ..., see `bench.settings.Budget`), and keywords of
            the variant.

    Raises:
        UsageError, DataError: in one line, before anything is trained.
        bench.train.diverged.Diverged: a number is no longer finite.
    """
    budget, keywords = _sorted(settings)
    device = devices.resolve(device)
    loaded = on(checked(data), device, budget.train_size)
    if isinstance(model, Model):
        if keywords:
            raise UsageError(f"{next(iter(keywords))} is no key of the budget, and the model is built already")
        _check_data(model, loaded)
        chosen = model.to(device)
        chosen.about.data, chosen.scaling = facts_of(loaded), scaling_of(loaded)
    else:
        chosen = build(model, loaded, seed=seed, device=device, **keywords)
        conformance.check([(str(chosen.about.variant), keywords)])
    with torch.no_grad(), seeds.stream(seed, "check", device):
        try:
            check_shapes(chosen.vae.eval(), *next(loaded.eval_batches("valid", 2)))
            check_batches(chosen.vae, loaded.splits["train"], budget.batch_size)
        except ValueError as error:
            raise UsageError(str(error)) from error
    made = _provenance(chosen.about.variant)
    training: dict[str, Any] = {"budget": budget.plain(), "seed": seed, "device": device, "precision": precision}
    asked = {"variant": chosen.about.variant, "overrides": _plain(keywords), "data": loaded.checksum, **training}
    asked |= {"binarise": loaded.binarise, "data_options": _plain(loaded.options)}
    if out is not None and (finished := saved.finished(Path(out), asked, device)) is not None:
        return finished
    checkpoint = Checkpoint(
        None if out is None else Path(out) / "training.checkpoint",
        source={"asked": asked, **made},
        on_note=tqdm.write,
    )
    told = _Told(chosen, tuple(callbacks), budget.epochs)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32, in convolutions as in matrix products
    try:
        curve = train(
            chosen.vae,
            loaded,
            budget,
            look=partial(look, data=loaded),
            seed=seed,
            device=device,
            precision=precision,
            on_epoch=told,
            checkpoint=checkpoint,
        )
    finally:
        torch.backends.cudnn.allow_tf32 = before
        told.bar.close()
    chosen.vae.eval()
    chosen.about.curve = curve
    chosen.about.training = training | {"train_s": round(checkpoint.train_s, 3), "started": started, **made}
    chosen.about.training["asked"] = asked
    if out is not None:
        chosen.save(out)
    checkpoint.close()
    return chosen


def on(given: Data, device: str, train_size: int | None = None) -> Data:
    """The same data for another device, or with fewer training examples."""
    if str(given.device) == device and train_size in (None, given.splits["train"]):
        return given
    size = given.splits["train"] if train_size is None else train_size
    return Data(given.name, given.binarise, given.options, given.spec, given.raw, size, device, given.truth)


class _Told:
    """Hands each epoch to the callbacks, and to a bar on a terminal."""

    def __init__(self, model: Model, callbacks: tuple[Callback, ...], epochs: int) -> None:
        self.model, self.callbacks = model, callbacks
        self.bar: tqdm[Any] = tqdm(total=epochs, unit="epoch", disable=None, dynamic_ncols=True)

    def __call__(self, curve: list[dict[str, Any]]) -> None:
        self.bar.update(len(curve) - self.bar.n)
        if not curve:
            return
        self.model.about.curve = curve
        devices_there = [] if self.model.device.type == "cpu" else [self.model.device]
        with torch.random.fork_rng(
            devices=devices_there, device_type="cuda" if not devices_there else self.model.device.type
        ):
            for callback in self.callbacks:
                callback(len(curve), dict(curve[-1]), self.model)


def evaluate(model: Model, data: Any, *, features: Callable[[Tensor], Any] | None = None, **measure: Any) -> Scores:
    """What the judge says of a model on the test split; the model keeps the figures.

    Args:
        model: trained or not.
        data: what `bench.dataset` takes, and of the shape and kind that the model is for.
        features: the space in which samples are compared, instead of that of a classifier of the data's own classes:
            x `[B, *shape]` on the model's device -> `[B, W]`. With `sample_points`.
        measure: how finely, see `bench.settings.Measure`: `nll_samples`, `elbo_samples`, ...

    Raises:
        UsageError, DataError: in one line.
    """
    how = convert(Measure, measure)
    loaded = on(checked(data), model.device.type)
    _check_data(model, loaded)
    if features is not None and (not how.sample_points or model.vae.conditional):
        raise UsageError("features are for samples of p(x): give sample_points as well, and no model of p(x|c)")
    others = how if features is None else structs.replace(how, sample_points=0)
    scores = Scores(judge.evaluate(model.vae, loaded, others))
    if features is not None:
        scores |= samples.scores(model.vae, loaded, how.sample_points, features)[0]
    model.about.scores, model.about.errors = dict(scores), scores.errors
    return scores


def udr(models: Sequence[Model], data: Any, *, points: int = 2000) -> list[float]:
    """How far seeds of one variant found the same axes, 0 to 1 for each: Duan et al. 2020, arXiv:1905.12614.

    Args:
        models: two or more, of one variant and different seeds.
        data: what `bench.dataset` takes, and of the shape and kind that the models are for; no factors are needed.
        points: test examples, at most.

    Raises:
        UsageError, DataError: in one line.
    """
    if len(models) < 2:
        raise UsageError("axes are held against those of other seeds: give two models or more")
    if any(model.vae.conditional for model in models):
        raise UsageError("what is told of codes would be told of the class that is given: choose models of p(x)")
    loaded = on(checked(data), models[0].device.type)
    for model in models:
        _check_data(model, loaded)
    return agreements([model.vae for model in models], loaded, points)


def _sorted(settings: Mapping[str, Any]) -> tuple[Budget, dict[str, Any]]:
    """The budget, and keywords of the variant."""
    keys = Budget.__struct_fields__
    budget = convert(Budget, {key: value for key, value in settings.items() if key in keys}, "")
    return budget, {key: value for key, value in settings.items() if key not in keys}


def _check_data(model: Model, data: Data) -> None:
    """UsageError for data that are not what a model is for."""
    for what, has, wants in (
        ("shape", data.spec.shape, model.spec.shape),
        ("kind", data.spec.kind, model.spec.kind),
    ):
        if has != wants:
            raise UsageError(f"the model is for data of {what} {wants}, and {data.name} has {has}: choose other data")


def _plain(keywords: Mapping[str, Any]) -> dict[str, str]:
    return {key: repr(value) for key, value in keywords.items()}


def _provenance(variant: str | None) -> dict[str, Any]:
    """The code and the libraries behind a training."""
    known = provenance.provenance()
    code = sources.sums(variant)["training_sha256"] if variant else None
    return {"commit": known["commit"], "training_sha256": code, "versions": known["versions"]}
