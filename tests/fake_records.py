"""Synthetic records of the published schema, for the tests of tables, plots and reports. The numbers mean nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from bench.records.record import Cell, Model, Provenance, Record, Status, Timed, plain

# variant -> (posterior, network, objective, ELBO, KL): the sizes are typical of binarised digits.
VARIANTS: dict[str, tuple[str, str, str, float, float]] = {
    "autoencoder": ("deterministic", "mlp", "reconstruction", -300.0, 0.0),
    "vanilla": ("diagonal", "mlp", "elbo", -100.4, 25.3),
    "beta": ("diagonal", "mlp", "beta_elbo", -106.9, 15.2),
    "full_covariance": ("full", "mlp", "elbo", -100.1, 25.1),
    "low_rank": ("low_rank", "mlp", "elbo", -100.2, 25.6),
    "conv": ("diagonal", "conv", "elbo", -97.3, 26.4),
    "conv_full_covariance": ("full", "conv", "elbo", -97.0, 26.2),
    "iwae": ("diagonal", "mlp", "iwae", -100.9, 27.0),
    "linear": ("diagonal", "linear", "elbo", -131.5, 17.7),
}
NAMES = tuple(VARIANTS)


def quality(
    variant: str = "vanilla",
    seed: int = 0,
    *,
    elbo: float | None = None,
    status: Status = "ok",
    reason: str | None = None,
    dataset: str = "mnist",
    binarise: str = "dynamic",
    overrides: dict[str, Any] | None = None,
    device: str = "cpu",
    epochs: int = 10,
    support: str | None = None,
    precision: str = "fp32",
    commit: str = "0123456789abcdef",
) -> Record:
    """One quality record; `elbo` overrides the drawn value, a status other than ok empties model and metrics."""
    posterior, network, objective, level, kl = VARIANTS.get(variant, ("diagonal", "mlp", "elbo", -101.0, 25.0))
    has_bound = posterior != "deterministic"
    draw = np.random.default_rng([seed, sum(map(ord, variant))])
    value = level + draw.normal(0, 0.25) if elbo is None else elbo
    kl = kl + draw.normal(0, 0.2)
    ok = status == "ok"
    support = support or ("binary" if has_bound else "real")
    metrics = {
        "elbo_nats": value if has_bound else None,
        "recon_nats": value + kl if has_bound else -180.0 + draw.normal(0, 1),
        "kl_nats": kl if has_bound else None,
        "mse_per_pixel": 0.011 + draw.normal(0, 0.0003),
        "nll_is500_nats": -value - 4.4 if has_bound else None,
        "inference_gap_nats": 4.4 + draw.normal(0, 0.05) if has_bound else None,
        "active_units": 18 + int(draw.integers(0, 3)),
        "bits_per_dim": (-value - 4.4) / (784 * 0.6931) if has_bound else None,
        "parameters": 652824 + len(variant),
    }
    curve = [
        {
            "epoch": epoch,
            "train_loss": -value + 90 / epoch,
            # Flat at the end, so that verdicts are given.
            "valid_elbo_nats": value - 90 * 0.1**epoch + draw.normal(0, 0.001) if has_bound else None,
            "valid_recon_nats": value + kl,
            "valid_kl_nats": kl,
        }
        for epoch in range(1, epochs + 1)
    ]
    cell = {
        "variant": variant,
        "overrides": overrides or {},
        "dataset": dataset,
        "data_options": {},
        "binarise": binarise,
        "seed": seed,
        "budget": {
            "epochs": epochs,
            "batch_size": 128,
            "lr": 0.002,
            "schedule": "cosine",
            "train_size": None,
        },
        "measure": {"elbo_samples": 10, "nll_samples": 500, "nll_points": 1000},
        "device": device,
        "threads": 1,
        "precision": precision,
    }
    model = Model(
        network=network,
        posterior=posterior,
        prior="standard_normal",
        likelihood="bernoulli" if support == "binary" else "gaussian",
        objective=objective,
        latent=20,
        has_bound=has_bound,
        kl_method="closed_form" if has_bound else None,
        data_dims=784,
        support=support,
    )
    return Record(
        protocol="1.0",
        kind="quality",
        id=identity(cell),
        status=status,
        reason=reason,
        cell=cell,
        model=model if ok else Model(),
        metrics=metrics if ok else {},
        curve=curve if ok else curve[:3],
        timing={"train_s": 61.2 + seed, "measure_s": 9.3},
        provenance=provenance(commit, device),
    )


def thorough(variant: str = "vanilla", seed: int = 0, **settings: Any) -> Record:
    """A quality record with every measurement there is, and the judge's own errors."""
    record = quality(variant, seed, **settings)
    if record.status != "ok":
        return record
    draw = np.random.default_rng([seed, sum(map(ord, variant)), 1])
    metrics: dict[str, Any] = dict(record.metrics)
    has_bound = metrics["elbo_nats"] is not None
    figures = {
        "approximation_gap_nats": 1.2,
        "amortisation_gap_nats": 3.2,
        "approximation_gap_diagonal_nats": 1.2,
        "approximation_gap_full_nats": 0.3,
        "mutual_information_nats": 9.1,
        "marginal_kl_nats": 16.2,
        "probe_accuracy": 0.91,
        "knn_accuracy": 0.93,
        "ssim": 0.88,
        "nll_ais_nats": 94.6,
        "ais_acceptance": 0.66,
        "bdmc_lower_nats": -95.2,
        "bdmc_upper_nats": -94.9,
        "bdmc_gap_nats": 0.3,
    }
    of_any_model = ("probe_accuracy", "knn_accuracy", "ssim")
    metrics |= {
        name: value * draw.normal(1, 0.002) if has_bound or name in of_any_model else None
        for name, value in figures.items()
    }
    metrics["inference_gap_optimised_nats"] = (
        metrics["approximation_gap_nats"] + metrics["amortisation_gap_nats"] if has_bound else None
    )
    record.metrics = metrics
    unstated = {"recon_nats", "kl_nats", "parameters", "active_units", "bits_per_dim", "mse_per_pixel"}
    unstated |= {"ais_acceptance", *of_any_model}
    record.errors = {
        name: {"mc": 0.004 * (1 + seed), "test": 0.25}
        for name, value in metrics.items()
        if value is not None and name not in unstated
    }
    record.cell["measure"] |= {
        "mi_points": 1000,
        "gap_points": 100,
        "gap_steps": 250,
        "probe_points": 10_000,
        "ssim_points": 1000,
        "ais_points": 0,
        "ais_steps": 500,
    }
    return record


def throughput(
    variant: str = "vanilla",
    *,
    device: str = "cpu",
    dataset: str = "mnist",
    binarise: str = "dynamic",
    scale: float = 1,
) -> Record:
    """One throughput record."""
    draw = np.random.default_rng(sum(map(ord, variant)))
    scale *= (30 if device.startswith("cuda") else 1) * (0.25 if "conv" in variant else 1)

    def spread(median: float) -> Timed:
        median *= scale * draw.uniform(0.8, 1.2)
        return Timed(median, 0.95 * median, 1.04 * median, [median] * 5)

    cell = {
        "variant": variant,
        "overrides": {},
        "dataset": dataset,
        "data_options": {},
        "binarise": binarise,
        "device": device,
        "threads": 1,
        "precision": "fp32",
        "batch_size": 128,
    }
    return Record(
        protocol="1.0",
        kind="throughput",
        id=identity(cell) + "_throughput",
        status="ok",
        cell=cell,
        metrics={
            "train_samples_per_s": spread(9_000),
            "train_mflop": 3.9,
            "matrix_peak_gflops": Timed(67.0, 66.0, 68.0, [67.0] * 5),
            "train_mfu": 0.52,
            "eval_samples_per_s": spread(30_000),
            "sample_samples_per_s": spread(60_000),
            "latency_b1_ms": Timed(0.8, 0.75, 0.9, [0.8] * 5),
            "peak_memory_mb": 512.0,
            "parameters": 652824,
        },
        provenance=provenance("0123456789abcdef", device),
    )


def provenance(commit: str, device: str) -> Provenance:
    return Provenance(
        commit=commit,
        dirty=False,
        data_sha256="ab" * 32,
        versions={"python": "3.12.0", "torch": "2.9.0", "vaebench": "0.1.0"},
        device_name="Example CPU" if device == "cpu" else "Example GPU",
        started="2026-01-02T03:04:05Z",
    )


def identity(cell: Cell) -> str:
    overrides = "".join(f"_{key}{value}" for key, value in sorted(cell["overrides"].items()))
    budget = f"_e{cell['budget']['epochs']}" if "budget" in cell else ""
    seed = f"_s{cell['seed']}" if "seed" in cell else ""
    binarise = f"{cell['dataset']}-{cell['binarise']}"
    return f"{binarise}_{cell['variant']}{overrides}{seed}{budget}_{cell['device'].replace(':', '')}{cell['precision']}"


def suite(variants: tuple[str, ...] = NAMES, seeds: int = 5, devices: tuple[str, ...] = ("cpu",)) -> list[Record]:
    """Quality records of every variant and seed on the CPU, throughput records on every device."""
    records = [quality(variant, seed) for variant in variants for seed in range(seeds)]
    return records + [throughput(variant, device=device) for variant in variants for device in devices]


def artefact(record: Record, shape: tuple[int, ...] = (1, 28, 28), points: int = 400) -> dict[str, np.ndarray]:
    """Arrays as a run of this record would leave them: blobs for images, ten clusters for the latent plane."""
    draw = np.random.default_rng(sum(map(ord, record.cell["variant"])))
    posterior = VARIANTS.get(record.cell["variant"], ("diagonal",))[0]

    def pictures(count: int, noise: float, seed: int) -> np.ndarray:
        place = np.random.default_rng(seed)
        if len(shape) != 3:
            return place.integers(0, 256, (count, *shape), dtype=np.uint8)
        rows, columns = np.mgrid[: shape[1], : shape[2]]
        centre = place.uniform(0.3, 0.7, (count, shape[0], 2, 1, 1))
        distance = (rows / shape[1] - centre[:, :, 0]) ** 2 + (columns / shape[2] - centre[:, :, 1]) ** 2
        blob = 255 * np.exp(-distance / 0.03) + draw.normal(0, noise, distance.shape)
        pictures: np.ndarray = np.clip(blob, 0, 255).astype(np.uint8)
        return pictures

    labels = np.arange(points) % 10
    angle = 2 * np.pi * labels / 10
    spread = 1.6 if posterior != "deterministic" else 15.0
    mean = spread * np.stack([np.cos(angle), np.sin(angle)], 1) + draw.normal(0, spread / 4, (points, 2))
    tilt = 0.8 if posterior == "full" else 0.0
    scale = 0.0 if posterior == "deterministic" else 0.01
    covariance = scale * np.array([[2.0, tilt], [tilt, 0.7]]) * draw.uniform(0.5, 2, (points, 1, 1))
    return {
        "inputs": pictures(12, 0, seed=1),
        "reconstructions": pictures(12, 15, seed=1),
        "samples": pictures(32, 25, seed=2),
        "latent_mean": mean.astype(np.float32),
        "latent_cov": covariance.astype(np.float32),
        "latent_axes": np.array([3, 11]),
        "labels": labels,
    }


def write(folder: Path, records: list[Record], *, images: bool = True, points: int = 60) -> Path:
    """Write FOLDER/runs/<id>.json, and an npz for the first seed of every ok quality record."""
    runs = folder / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    for record in records:
        (runs / f"{record.id}.json").write_text(json.dumps(plain(record), indent=1))
        first = record.kind == "quality" and record.status == "ok" and record.cell["seed"] == 0
        if images and first:
            np.savez_compressed(runs / f"{record.id}.npz", allow_pickle=False, **artefact(record, points=points))
    return folder
