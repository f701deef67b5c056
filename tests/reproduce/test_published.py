"""Published tables as data: what is read, what is refused, and that every figure that ships is as it was published."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from msgspec import structs
from torch import Tensor

from bench import data
from bench.disk import files
from bench.errors import UsageError
from bench.oracle.truth import Ppca, mean_log_prob, rate_distortion
from bench.reproduce import published
from bench.reproduce.published import Tolerance
from bench.settings import Budget
from bench.sweeps.configure import configure
from tests.reproduce.tiny import FIGURES, RECIPE, write

PROFILE = """budget = { epochs = 2, batch_size = 100, train_size = 200 }
measure = { elbo_samples = 2, nll_samples = 5 }
tolerance = { elbo_nats = 1, nll_is5_nats = 1 }
"""
# The figures as somebody else transcribed them, in the signs of their sources.
TRANSCRIBED = Path(__file__).parent / "transcribed.csv"


def test_a_table_is_read(tmp_path: Path) -> None:
    table = published.load(str(write(tmp_path)))
    assert (table.name, table.title, table.notes, table.start) == (
        "tiny",
        "A tiny table",
        ("It is small.",),
        ("plain",),
    )
    assert [row.name for row in table.rows] == ["plain", "twin", "other"]
    plain, _, other = table.rows
    short = plain.plans["short"]
    assert (plain.variant, short.overrides) == ("linear", {"latent": 2})
    assert other.plans["full"].overrides == {"latent": 2, "hidden": [8]}
    assert (short.seeds, plain.plans["full"].seeds) == (3, 1)
    assert short.budget == Budget(epochs=2, batch_size=100, train_size=200)
    assert short.tolerance == {"elbo_nats": Tolerance(1000, 1000), "nll_is5_nats": Tolerance(1e-9, 1e-9)}
    first = table.figures[0]
    assert (first.value, first.stderr, first.ours, first.sign, first.verified) == (7.5, 0.1, "elbo_nats", -1, True)
    assert [figure.verified for figure in table.figures] == [True, True, True, True, False]


def test_a_row_changes_its_profile_and_nothing_else(tmp_path: Path) -> None:
    changed = RECIPE.replace(
        "short = { seeds = 3 }",
        "short = { budget = { epochs = 7 }, tolerance = { elbo_nats = [1, 2] }, set = { latent = 3, sigma = 1 } }",
    ).replace("[profiles.short]", "[profiles.short]\nset = { latent = 4, squash = false }")
    plain, twin, _ = published.load(str(write(tmp_path, changed))).rows
    assert plain.plans["short"].budget == Budget(epochs=7, batch_size=100, train_size=200)
    assert plain.plans["short"].tolerance == {"elbo_nats": Tolerance(1, 2), "nll_is5_nats": Tolerance(1e-9, 1e-9)}
    assert twin.plans["short"].budget.epochs == 2
    assert plain.plans["short"].overrides == {"latent": 3, "squash": False, "sigma": 1}
    assert twin.plans["short"].overrides == {"latent": 4, "squash": False}
    assert plain.plans["full"] == twin.plans["full"]


@pytest.mark.parametrize(
    ("profile", "row", "seeds"), [(None, None, 1), (5, None, 5), (None, 2, 2), (5, 2, 2), (2, 5, 5)]
)
def test_the_narrower_place_says_how_many_seeds(
    tmp_path: Path, profile: int | None, row: int | None, seeds: int
) -> None:
    changed = RECIPE.replace("short = { seeds = 3 }", f"short = {{ seeds = {row} }}" if row else "")
    if profile:
        changed = changed.replace("[profiles.short]", f"[profiles.short]\nseeds = {profile}")
    plain, twin, _ = published.load(str(write(tmp_path, changed))).rows
    assert plain.plans["short"].seeds == seeds
    assert twin.plans["short"].seeds == (profile or 1)
    assert plain.plans["full"].seeds == 1


def test_a_profile_whose_budget_says_nothing_of_levels_needs_no_tolerance_and_judges_none(tmp_path: Path) -> None:
    only_effects = RECIPE.replace(
        "tolerance = { elbo_nats = [1000, 1000], nll_is5_nats = 1e-9 }", 'not_comparable = "too few epochs"'
    )
    plain, _, other = published.load(str(write(tmp_path, only_effects))).rows
    assert {plain.plans["short"].why_not(name) for name in ("elbo_nats", "nll_is5_nats")} == {"too few epochs"}
    assert other.plans["short"].why_not("kl_nats") == "it is another KL"
    assert plain.plans["full"].why_not("elbo_nats") == ""
    assert other.plans["full"].why_not("kl_nats") == "it is another KL"


def test_a_table_has_the_profiles_that_it_declares_and_the_cheapest_is_its_default(tmp_path: Path) -> None:
    order = ("full", "medium", "short")  # in the file; the table's is another
    made = "\n".join(f'[profiles.{name}]\nreason = "{name}"\n{PROFILE}' for name in order)
    head, rows = RECIPE[: RECIPE.index("[profiles")], RECIPE[RECIPE.index("[rows") :]
    rows = rows.replace("short = { seeds = 3 }", "medium = { seeds = 3 }\nshort = { seeds = 2 }")
    table = published.load(str(write(tmp_path, head + made + rows)))
    assert list(table.reasons) == ["short", "medium", "full"]
    assert [table.rows[0].plans[name].seeds for name in table.reasons] == [2, 3, 1]
    without = made.replace('[profiles.short]\nreason = "short"\n' + PROFILE, "")
    rows = rows.replace("short = {", "medium = {").replace("medium = { seeds = 2 }\n", "")
    assert published.load(str(write(tmp_path, head + without + rows))).profile(None) == "medium"


def test_the_medium_profile_of_burda2015_is_short_made_longer() -> None:
    table = published.load("burda2015")
    assert table.profile(None) == "short"
    for row in table.rows:
        short, medium = row.plans["short"], row.plans["medium"]
        assert (medium.overrides, medium.measure) == (short.overrides, short.measure)
        assert medium.budget == structs.replace(short.budget, epochs=300)
        assert medium.tolerance["nll_is5000_nats"] == Tolerance(0.5, 3 if "_2L_" in row.name else 2)
        assert medium.seeds == 1


def test_a_run_ends_when_its_table_says_and_nothing_is_timed_beside_it(tmp_path: Path) -> None:
    for folder, text, minutes in (("a", RECIPE, 24 * 60), ("b", f"timeout_min = 7\n{RECIPE}", 7)):
        table = published.load(str(write(tmp_path / folder, text)))
        made = table.suite("short", table.rows)
        assert (made.timeout_min, made.throughput_cells(["cpu"], 1)) == (minutes, [])
    assert published.folder(table, "short") != published.folder(table, "full")


def test_rows_that_are_run_alike_are_run_once(tmp_path: Path) -> None:
    table = published.load(str(write(tmp_path)))
    suite = table.suite("short", table.rows)
    assert [(v.name, v.seeds) for v in suite.variants] == [("linear", 3), ("vanilla", 1)]
    cells = suite.cells("cpu")
    assert [(cell["variant"], cell["seed"]) for cell in cells] == [
        *(("linear", 0), ("vanilla", 0), ("linear", 1), ("linear", 2))
    ]
    assert {cell["budget"]["epochs"] for cell in cells} == {2}
    assert {cell["measure"]["nll_samples"] for cell in cells} == {5}
    backwards = table.suite("short", table.rows[::-1])
    assert [(v.name, v.seeds) for v in backwards.variants] == [("vanilla", 1), ("linear", 3)]
    assert [v.seeds for v in table.suite("short", table.rows, seeds=2).variants] == [2, 2]
    assert [cell["budget"]["epochs"] for cell in table.suite("full", table.rows[:1]).cells("cpu")] == [3]


def test_a_row_that_is_another_rows_run_has_a_title_and_figures_of_its_own(tmp_path: Path) -> None:
    changed = RECIPE.replace('[rows.twin]\ntitle = "The same model"\nvariant = "linear"', "", 1).replace(
        "[rows.plain]", '[rows.twin]\ntitle = "The same model"\nsame_run_as = "plain"\n\n[rows.plain]'
    )
    table = published.load(str(write(tmp_path, changed)))
    twin, plain, _ = table.rows
    assert (twin.name, twin.title) == ("twin", "The same model")
    assert twin == replace(plain, name="twin", title=twin.title)
    assert len(table.suite("short", [twin, plain]).variants) == 1
    assert [figure.value for figure in table.figures if figure.row == "twin"] == [-7]


def test_burda2015_has_vae_and_iwae_with_one_sample_as_one_run() -> None:
    rows = {row.name: row for row in published.load("burda2015").rows}
    for layers in ("1L", "2L"):
        vae, iwae = rows[f"vae_{layers}_k1"], rows[f"iwae_{layers}_k1"]
        assert (iwae.title, vae.plans) == (vae.title.replace("VAE", "IWAE"), iwae.plans)


@pytest.mark.parametrize("ending", [".toml", ".csv"])
@pytest.mark.parametrize(
    ("more", "words"), [(5000 * b"\n", "it is larger than 5,000 bytes"), (b"\xff\xfe\x00", "'utf-8' codec")]
)
def test_a_file_that_is_too_large_or_no_text_is_one_line(
    tmp_path: Path, ending: str, more: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path)
    with path.with_suffix(ending).open("ab") as file:
        file.write(more)
    monkeypatch.setattr(files, "LARGEST", 5000)
    with pytest.raises(UsageError, match=rf"tiny\{ending} cannot be read: {words}"):
        published.load(str(path))


def test_profiles_and_rows_by_name(tmp_path: Path) -> None:
    table = published.load(str(write(tmp_path)))
    assert table.profile(None) == "short"
    assert table.profile("full") == "full"
    assert [row.name for row in table.chosen(["other", "plain"])] == ["plain", "other"]
    assert len(table.chosen([])) == 3
    with pytest.raises(UsageError, match=r"table tiny has no profile 'fall': did you mean 'full'\?"):
        table.profile("fall")
    with pytest.raises(UsageError, match=r"table tiny has no row 'plan': did you mean 'plain'\?"):
        table.chosen(["plan"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('title = "A tiny table"', "", "title must be a text that is not empty, and is missing"),
        ("notes = [", "nets = [", "unknown key nets: did you mean 'notes'?"),
        ('notes = ["It is small."]', 'notes = "It is small."', "notes must be a list, got 'It is small.'"),
        ('start = ["plain"]', 'start = ["plane"]', "start names the row 'plane', which rows lacks: did you mean"),
        ("[profiles.full]", "[profiles.long]", "unknown key profiles.long: choose from full, medium, short"),
        ("epochs = 2", "epochs = 0", "rows.plain.budget.epochs must be a whole number of at least 1, got 0"),
        ("nll_points = 20", "nll_point = 20", "unknown key rows.plain.measure.nll_point: did you mean 'nll_points'?"),
        *(
            ("[1000, 1000]", wrong, "profiles.short.tolerance.elbo_nats must be a number from 0 to 1e+12 or a list")
            for wrong in ("[1000]", "-1", "true", "1" + "0" * 400)
        ),
        ("elbo_nats = [1000, 1000], ", "", "profile short states no tolerance for elbo_nats, which row plain needs"),
        ("[rows.twin]", "[rows.twins]", "the CSV file has the row 'twin', which rows lacks: did you mean 'twins'?"),
        ('variant = "vanilla"', 'variant = "vanila"', "did you mean 'vanilla'?"),
        ("set = { hidden = [8] }", "set = 8", "rows.other.set must be a table, got 8"),
        ("short = { seeds = 3 }", "short = { seeds = 0 }", "rows.plain.short.seeds must be a whole number from 1 to"),
        ("short = { seeds = 3 }", "short = { set = { a = 2026-01-02 } }", "plain.short.set must hold numbers, texts"),
        ("short = { seeds = 3 }", "short = { sedes = 3 }", "unknown key rows.plain.short.sedes: did you mean 'seeds'?"),
        ("[rows.plain]", '[rows."=cmd"]', "the key rows.=cmd must be a text of letters, digits and any of _.+-"),
        ('{ kl_nats = "it is another KL" }', "3", "rows.other.not_comparable must be a text that is not empty or a"),
        ("not_comparable = { kl_nats =", "not_comparable = { k_nats =", "no tolerance for kl_nats, which row other"),
        ('name = "linear_gaussian"', 'name = "linear_gausian"', "did you mean 'linear_gaussian'?"),
        ('options = { n = 1000 }', 'binarise = "dynamic"', "binaris"),
        ("[dataset]", "timeout_min = nan\n[dataset]", "timeout_min must be a number above 0, got nan"),
        ("[dataset]", "timeout_min = 1" + "0" * 5000 + "\n[dataset]", "cannot be read: Exceeds the limit"),
        ("[dataset]", "deep = " + "[" * 9999 + "\n[dataset]", "cannot be read: maximum recursion depth exceeded"),
        ("[dataset]", "a" + ".a" * 9999 + " = 1\n[dataset]", "cannot be read: maximum recursion depth exceeded"),
        ("[dataset]", "a = '\0'\n[dataset]", "cannot be read"),
        *(
            ('variant = "linear"\n\n[rows.other]', f"{entry}\n\n[rows.other]", words)
            for entry, words in (
                ('same_run_as = "plan"', "same_run_as must name a row with a variant of its own: did you mean 'plain'"),
                ('same_run_as = "twin"', "twin.same_run_as must name a row with a variant of its own: choose from"),
                ('same_run_as = "plain"\nvariant = "linear"', "unknown key rows.twin.variant: choose from"),
            )
        ),
    ],
)  # fmt: skip
def test_a_broken_recipe_is_one_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in RECIPE
    with pytest.raises(UsageError, match=re.escape(words)) as error:
        published.load(str(write(tmp_path, RECIPE.replace(old, new, 1))))
    assert "\n" not in str(error.value)
    assert "tiny.toml" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("row,metric", "row,metrics", "the first line must be row,metric,value,stderr,ours,sign,source,read"),
        ("7.5", "7,5", "line 2: it must have 8 columns"),
        ("7.5", "seven", "line 2: value must be a number from -1e+12 to 1e+12, got 'seven'"),
        *(("7.5", wrong, "line 2: value must be a number from -1e+12") for wrong in ("nan", "-1e13", "9" * 5000)),
        *(("0.1", wrong, "line 2: stderr must be a number from 0 to 1e+12") for wrong in ("-0.1", "nan", "-")),
        ("its PDF", "x" * 200_000, "line 1: field larger than field limit"),
        ("elbo_nats,-1", "elbo_nats,2", "line 2: sign must be 1 or -1, got 2"),
        ("elbo_nats,-1", "elbo,-1", "line 2: ours must be one of our figures, see docs/metrics.md, got 'elbo'"),
        ("its PDF\n", "\n", "line 2: read must be a text that is not empty, got ''"),
        ("\nother,nll", "\nnobody,nll", "the CSV file has the row 'nobody', which rows lacks"),
    ],
)
def test_broken_figures_are_one_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in FIGURES
    with pytest.raises(UsageError, match=re.escape(words)) as error:
        published.load(str(write(tmp_path, figures=FIGURES.replace(old, new, 1))))
    assert "\n" not in str(error.value)


def test_rows_without_figures_and_files_that_are_not_there(tmp_path: Path) -> None:
    without = "\n".join(line for line in FIGURES.splitlines() if not line.startswith("twin"))
    with pytest.raises(UsageError, match="the CSV file has no figure of row 'twin'"):
        published.load(str(write(tmp_path, figures=without)))
    with pytest.raises(UsageError, match="it holds no figures"):
        published.load(str(write(tmp_path, figures=FIGURES.splitlines()[0])))
    path = write(tmp_path)
    path.with_suffix(".csv").unlink()
    with pytest.raises(UsageError, match=r"the figures .*tiny.csv cannot be read"):
        published.load(str(path))
    with pytest.raises(UsageError, match=r"unknown table 'burda2105', .* did you mean 'burda2015'\?"):
        published.load("burda2105")
    with pytest.raises(UsageError, match=r"unknown table '.*nowhere.toml'"):
        published.load(str(tmp_path / "nowhere.toml"))
    # A shipped table has a name, and only a file of one's own a path.
    for name in ("../published/burda2015", "./burda2015", str(published.SHIPPED / "burda2015"), ""):
        with pytest.raises(UsageError, match="unknown table"):
            published.load(name)
    assert published.load(str(published.SHIPPED / "burda2015.toml")).origin == {"table": "burda2015"}


def test_texts_are_read_fit_to_be_printed(tmp_path: Path) -> None:
    recipe = RECIPE.replace('"A tiny table"', '"""A\n\u001b[2Jtable"""').replace("It is small.", "It is\\tsmall\u202e.")
    figures = FIGURES.replace("neg_elbo", '"neg\n\x1b[2Jelbo"', 1)
    table = published.load(str(write(tmp_path, recipe.replace("\x1b", "\\u001b"), figures, name="ti\x1bny" * 20)))
    assert (table.title, table.notes) == (
        "A \N{REPLACEMENT CHARACTER}[2Jtable",
        ("It is small\N{REPLACEMENT CHARACTER}.",),
    )
    assert table.figures[0].metric == "neg \N{REPLACEMENT CHARACTER}[2Jelbo"
    assert (len(table.name.encode()) <= 80, "\x1b" in table.name, "\x1b" in table.origin["path"]) == (True, False, True)


@pytest.mark.parametrize("name", published.names())
def test_shipped_tables_can_be_run(name: str) -> None:
    """Every row of every profile builds: its keywords are those of its variant."""
    table = published.load(name)
    for profile in table.reasons:
        configure(table.suite(profile, table.rows), {})
    assert table.start


@pytest.mark.parametrize("name", [name for name in published.names() if name != "ppca"])
def test_shipped_figures_are_the_published_ones(name: str) -> None:
    """Value, standard error and sign: our figure is an ELBO where the source prints its negative, and so on."""
    with TRANSCRIBED.open(encoding="utf-8", newline="") as file:
        known = list(csv.DictReader(file))
    for figure in published.load(name).figures:
        layer = re.fullmatch(r"active_units_layer(\d)", figure.metric)
        metric = "active_units" if layer else figure.metric
        found = [line for line in known if (line["model"], line["metric"]) == (figure.row, metric)]
        values = [line["value"].split("+")[int(layer[1]) - 1 if layer else 0] for line in found]
        assert figure.value in map(float, values), figure
        line = found[list(map(float, values)).index(figure.value)]
        assert figure.stderr == (float(line["stderr"]) if line["stderr"] else None)
        assert figure.verified == ("UNVERIFIED" not in line["source"]), figure
        assert (figure.sign == -1) == figure.metric.startswith(("neg_elbo", "ll_")), figure


@pytest.mark.parametrize("latent", [2, 5, 10, 20])
def test_ppca_is_exact(latent: int, mnist: tuple[Tensor, Tensor]) -> None:
    """The figures are those of the maximum-likelihood model of the training images, on the test images."""
    train, test = mnist
    model = Ppca(train, latent).model
    rate, distortion = rate_distortion(model, test, 1.0)
    exact = {"elbo_nats": mean_log_prob(model, test), "kl_nats": rate.mean().item()}
    exact["recon_nats"] = -distortion.mean().item()
    assert exact["recon_nats"] - exact["kl_nats"] == pytest.approx(exact["elbo_nats"], abs=1e-6)
    found = {f.ours: f.value for f in published.load("ppca").figures if f.row == f"ppca_{latent}"}
    assert found == {name: pytest.approx(value, abs=5e-5) for name, value in exact.items()}


@pytest.fixture(scope="module")
def mnist() -> tuple[Tensor, Tensor]:
    loaded = data.load("mnist", binarise="none")
    train, test = (
        torch.cat([x for x, _ in loaded.eval_batches(split, 1000)]).double().flatten(1) for split in ("train", "test")
    )
    return train, test
