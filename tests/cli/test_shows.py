"""`list` and `show`: all variants by what they change, and all of one."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cells import anatomy as module
from bench.cells.anatomy import anatomy
from tests.helpers import ROOT, call, forget_plugins, install_misbehaving
from variants import DataSpec, RegistryError, build, get, names, registry

BUILT_IN = [name for name in names() if get(name).built_in]


def test_list_groups_by_what_is_changed_and_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "list")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    groups: dict[str, list[str]] = {}
    for line in out.splitlines()[:-1]:
        if line and not line.startswith(" "):
            group = groups.setdefault(line, [])
        elif line.startswith("  ") and line[2] != " ":
            group.append(line.split()[0])
    assert list(groups) == [group for group in registry.GROUPS if group in groups]
    assert set(groups) >= {"network", "posterior", "prior", "likelihood", "objective"}
    for name in BUILT_IN:
        changes = get(name).describe()["changes"]
        group = "no base" if not changes else "several parts" if len(changes) > 1 else changes[0]
        assert name in groups[group]
    assert "[iwae] IWAE with doubly reparameterised" in " ".join(out.split())


def test_list_takes_a_pattern(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(capsys, "list", "*flow*", "--json")
    found = [row["name"] for row in json.loads(out)]
    assert found == [name for name in names() if "flow" in name]
    assert {"flow_prior", "planar_flow", "spline_flow"} <= set(found)
    _, out, _ = call(capsys, "list", "van*")
    assert out.split()[:3] == ["no", "base", "vanilla"]
    assert "beta" not in out
    for pattern, hint in (("flow", "a part of a name needs stars: '*flow*'"), ("*xyz*", "`vaebench list` shows all")):
        code, out, err = call(capsys, "list", pattern)
        assert (code, out) == (2, "")
        assert err == f"vaebench: no variant is called {pattern!r}: {hint}\n"


def test_the_registry_matches_and_groups() -> None:
    assert registry.matching("iwae*") == ["iwae", "iwae_dreg"]
    with pytest.raises(RegistryError, match="no variant is called 'xyz'"):
        registry.matching("xyz")
    rows = [{"available": True, "changes": changes} for changes in ((), ("prior",), ("prior", "posterior"))]
    rows.append({"available": False, "changes": ()})
    grouped = registry.grouped(rows)
    assert grouped == {"no base": [rows[0]], "prior": [rows[1]], "several parts": [rows[2]], "unavailable": [rows[3]]}


def test_list_waits_for_no_large_library() -> None:
    code = "import sys; from bench.cli import main\ntry: main(['list'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    imported = set(done.stdout.splitlines()[-1].split())
    assert "bench.cli" in imported
    large = {"torch", "torchvision", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "seaborn", "PIL", "rich"}
    assert not imported & large


def test_show_says_all_of_a_variant(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "show", "sylvester_flow")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    words = " ".join(out.split())
    for said in (
        "z + Q R tanh(S Q^T z + b)",
        "Use it in place of `planar_flow`",
        "Not where the density at other points",
        "base vanilla, with another posterior",
        "arXiv:1803.05649",
        "posterior sylvester: q(z|x): a diagonal Gaussian through Sylvester flows",
        "latent latent=20, init=torch",
        "posterior flows=4, columns=None, pace=30.0",
        "ELBO yes, with the KL by Monte Carlo",
        "its own gaps no: q(z|x) is no Gaussian",
        "a training step 1 draw of z for each example",
    ):
        assert said in words, said


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_variant_says_when_to_use_it_and_when_not(name: str) -> None:
    first, advice = (inspect.getdoc(get(name).load()) or "").split("\n\n")
    assert "\n" not in first
    assert advice.startswith("Use it ")
    assert " Not " in " ".join(advice.split())


@pytest.mark.parametrize(
    ("name", "evidence"),
    [
        (
            "vanilla",
            {"ELBO": "yes, with the KL in closed form", "NLL, exact": "no", "its own gaps": "yes", "AIS": "yes"},
        ),
        ("autoencoder", {"ELBO": "no: without a density", "AIS": "no: without a density"}),
        ("spline_flow", {"ELBO": "yes, with the KL by Monte Carlo", "gaps of Gaussian posteriors": "yes"}),
        ("bernoulli_vimco", {"ELBO": "yes", "NLL, exact": "no: 1,048,576 states", "AIS": "no: p(z) lives on"}),
    ],
)
def test_evidence(name: str, evidence: dict[str, str]) -> None:
    found = anatomy(name)["evidence"]
    assert all(found[key].startswith(answer) for key, answer in evidence.items()), found


def test_keywords_are_those_that_the_parts_were_built_with_and_parameters_are_counted() -> None:
    facts = anatomy("gated")
    assert facts["keywords"]["network"]["activation"] == "gated"
    assert facts["keywords"]["latent"] == {"latent": 20, "init": "torch"}
    assert "data_size" not in anatomy("beta_tc")["keywords"]["objective"]
    model = build("gated", DataSpec((1, 28, 28), "binary", 50_000))
    assert sum(facts["parameters"].values()) == sum(p.numel() for p in model.parameters())
    for role, keywords in facts["keywords"].items():
        for keyword, value in keywords.items():
            assert build("gated", DataSpec((1, 28, 28), "binary", 50_000), **{keyword: value}).options[role] == keywords


def test_show_of_a_plugin_and_of_what_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install_misbehaving(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    forget_plugins(tmp_path)
    try:
        code, out, _ = call(capsys, "show", "good", "--json")
        assert (code, json.loads(out)["text"]) == (0, "A plugin's variant.")
        code, out, err = call(capsys, "show", "exits")
        assert (code, out) == (2, "")
        assert err == "vaebench: variant 'exits' cannot be shown: its process exited with code 1\n"
    finally:
        forget_plugins(tmp_path)
    code, out, err = call(capsys, "show", "vanila")
    assert (code, out, err) == (2, "", "vaebench: unknown variant 'vanila': did you mean 'vanilla'?\n")


def test_a_critic_is_told_beside_the_parameters_of_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "show", "factor")
    told, plain = " ".join(out.split()), " ".join(call(capsys, "show", "vanilla")[1].split())
    assert code == 0
    total = plain.split("parameters ")[-1].split(":")[0]
    assert f"parameters {total}: encoder" in told
    assert "of the objective's critic" in told


def test_what_is_told_of_a_variant_is_its_own() -> None:
    iwae = anatomy("iwae")
    assert iwae["samples"] == build("iwae", DataSpec((1, 28, 28), "binary", 50_000)).objective.samples > 1
    assert iwae["data"] == "binary 1 x 28 x 28"
    assert anatomy("conditional")["data"] == "binary 1 x 28 x 28, labels, pairs"
    # The formula of a part, without where it is from.
    assert all(says and "Source:" not in says for _, says in iwae["parts"].values())


def test_sampling_and_counting_are_possible_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    sampled = "NLL by importance sampling"
    assert anatomy("vanilla")["evidence"][sampled] == "yes"
    assert anatomy("vq")["evidence"][sampled].startswith("no: q(z|x) is one point")
    monkeypatch.setattr(module, "MOST_STATES", 2**20)
    assert anatomy("bernoulli_vimco")["evidence"]["NLL, exact"] == "yes"


def test_a_variant_that_no_data_suit_says_what_each_of_them_lacked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_name: str, spec: DataSpec, _seed: int) -> None:
        raise ValueError(f"no {spec.kind}")

    monkeypatch.setattr(registry, "seeded", refuses)
    said = "no binary; no unit; no real; no levels; no counts; no binary"
    with pytest.raises(ValueError, match=f"vanilla accepts none of the data that it was tried on: {said}"):
        anatomy("vanilla")
