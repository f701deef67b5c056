"""Tables for a paper: they compile, they fit, they say little and name their sources."""

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from bench.cli import main
from bench.errors import UsageError
from bench.pages import citations, grids, latex, paper
from bench.stats.groups import groups
from bench.stats.intervals import Summary
from bench.stats.speeds import throughput
from bench.text import DASH
from tests import fake_records as fake
from variants import registry

BIG = ("elbo", "nll", "kl", "mse", "train_samples_per_s")


def records() -> list[fake.Record]:
    names = ("vanilla", "conv_full_covariance", "iwae", "autoencoder", "beta")
    made = [fake.quality(name, seed) for name in names for seed in range(3)]
    return [*made, fake.quality("vanilla", 0, dataset="fashion_mnist"), *map(fake.throughput, names)]


def summary(mean: float, half: float | None) -> Summary:
    low, high = (None, None) if half is None else (mean - half, mean + half)
    return Summary(n=3, mean=mean, std=0.1, low=low, high=high)


@pytest.mark.parametrize(
    ("mean", "half", "digits", "text"),
    [
        (-93.41, 0.59, 2, "-93.41(59)"),
        (-133.248, 1.19, 2, "-133.2(12)"),
        (-134.08, 8.13, 2, "-134.1(81)"),
        (100.0, 25.3, 2, "100(25)"),
        (0.0418, 0.0006, 4, "0.0418(6)"),
        (1.0, 9.96, 2, "1(10)"),
        (1.0, 0.0, 2, "1.00"),
        (1.0, None, 2, "1.00"),
    ],
)
def test_an_uncertainty_has_two_digits_in_units_of_the_last(
    mean: float, half: float | None, digits: int, text: str
) -> None:
    assert paper._compact(summary(mean, half), digits) == text


def test_speeds_are_those_of_the_condition_that_times_most_rows() -> None:
    names = ("vanilla", "conv", "iwae", "beta")
    (group,) = groups([fake.quality(name, 0) for name in names])
    timed = [fake.throughput(name) for name in ("vanilla", "conv", "iwae")]
    elsewhere = [fake.throughput(name) for name in ("vanilla", "beta")]
    for record in elsewhere:
        record.provenance.device_name = "another"
    for records in (timed + elsewhere, elsewhere + timed):
        speeds = paper._speeds(group, throughput(records, group.dataset))["train_samples_per_s"]
        assert {row.label for row in speeds} == {"vanilla", "conv", "iwae"}


def test_a_word_means_the_most_samples_that_a_group_has() -> None:
    records = [fake.quality(name, 0) for name in ("vanilla", "conv")]
    for record in records:
        record.metrics |= {"nll_is50_nats": 97.0}
    few = [fake.quality(name, 0, epochs=20) for name in ("vanilla", "conv")]
    for record in few:
        record.metrics = {k: v for k, v in record.metrics.items() if "nll" not in k} | {"nll_is50_nats": 97.0}
    tables = paper.made([*records, *few], ["nll"])
    assert sorted(table.metrics for table in tables) == [("nll_is500_nats",), ("nll_is50_nats",)]
    # A word with a number means that number.
    many = [fake.quality(name, 0, epochs=30) for name in ("vanilla", "conv")]
    assert [table.metrics for table in paper.made([*records, *few, *many], ["nll_is50"])] == [("nll_is50_nats",)] * 2


def test_a_label_has_what_typst_and_latex_allow() -> None:
    (table,) = paper.made([fake.quality("vanilla", 0, dataset="mine-none_size=64")])
    assert re.search(r"<tab:vaebench-mine-none_size-64-dynamic-binary>", paper.write([table], "typst"))
    (alone,) = paper.made([fake.quality("vanilla", 0)])
    assert alone.notes("±")[0] == "Mean over 1 seed."


def test_a_table_says_little_and_names_its_sources() -> None:
    tables = paper.made(records())
    assert [(t.group.dataset, len(t.metrics)) for t in tables] == [
        ("fashion_mnist-dynamic", 4),
        ("mnist-dynamic", 4),
        ("mnist-dynamic", 1),
    ]
    assert all(len(table.caption.split()) <= 40 for table in tables)
    assert len({table.label for table in tables}) == 3
    text = paper.write(tables, "latex")
    cited = set(",".join(re.findall(r"\\cite\{([^}]*)\}", text)).split(","))
    entries = re.findall(r"@misc\{(\w+),", paper.write(tables, "bibtex"))
    assert cited == set(entries)
    assert len(entries) == len(set(entries))
    assert r"Conv + full covariance~\cite{kingma2019introduction}" in text
    assert "resizebox" not in text
    # A metric that only the other group has is no column of dashes.
    assert tables[-1].metrics == ("mse_per_pixel",)


def test_columns_are_found_by_name_label_and_beginning() -> None:
    (table, *_) = paper.made(records(), ["gap", "nll_is500_nats", "train_samples", "active"], dataset="mnist")
    assert table.metrics == ("inference_gap_nats", "nll_is500_nats", "train_samples_per_s", "active_units")
    speeds = {row.label: speed for row, speed in table.speeds["train_samples_per_s"].items()}
    assert speeds["vanilla"] == fake.throughput("vanilla").metrics["train_samples_per_s"].median  # type: ignore[union-attr]
    two_layers = [replace(each, metrics={"kl_layer1_nats": 1.0, "kl_layer2_nats": 2.0}) for each in levels()]
    (layers,) = paper.made(two_layers, ["kl_layer1", "KL, layer 2"])
    assert layers.metrics == ("kl_layer1_nats", "kl_layer2_nats")
    with pytest.raises(UsageError, match=r"no metric 'elbow' in these records: did you mean 'elbo'\?"):
        paper.made(records(), ["elbow"])
    with pytest.raises(UsageError, match="no row here has a value of train_s: choose other columns"):
        paper.made([replace(each, timing={}) for each in levels()], ["train_s"])
    with pytest.raises(UsageError, match="no data set 'minst' here"):
        paper.made(records(), dataset="minst")


def test_every_form_has_every_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = fake.write(tmp_path, records(), images=False)
    texts = {}
    for form in paper.FORMATS:
        with pytest.raises(SystemExit) as left:
            main(["table", str(out), "--dataset", "mnist", "--format", form])
        assert left.value.code == 0
        texts[form] = capsys.readouterr().out
    for form in ("latex", "markdown", "typst"):
        assert texts[form].count("Conv + full covariance") >= 1 or texts[form].count(r"Conv \+ full covariance") == 1
    lines = list(csv.DictReader(io.StringIO(texts["csv"])))
    assert {line["variant"] for line in lines} == {"vanilla", "conv_full_covariance", "iwae", "autoencoder", "beta"}
    (exact,) = (line for line in lines if line["variant"] == "iwae")
    elbos = [r.metrics["elbo_nats"] for r in records() if r.cell["variant"] == "iwae" and r.kind == "quality"]
    assert float(exact["elbo_nats_mean"]) == pytest.approx(sum(elbos) / 3, abs=1e-12)  # type: ignore[arg-type]


def test_wide_tables_are_continued_and_long_texts_broken() -> None:
    headers = ["row", *(f"metric number {i} (nats)" for i in range(12))]
    grid = grids.grid(headers, [["a_b", *["-1234.56 ± 12.34"] * 12], ["c", "a sentence " * 12, *["1"] * 11]])
    text = latex.latex_table(grid, "Wide", ["5 % of it"], "tab:wide")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") > 2
    assert r"p{120pt}" in text
    assert text.count(r"a\_b &") == text.count(r"\begin{tabular}")
    assert text.count(r"\label{tab:wide-2}") == 1
    assert text.count(r"\item 5 \% of it") == 1


def test_latex_escapes_what_it_would_read_as_markup() -> None:
    assert latex.latex_text("a_b & 5 % {c} #1 $x ~ ^ \\") == (
        r"a\_b \& 5 \% \{c\} \#1 \$x \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )
    assert latex.latex_text("-1.5 ± 0.2, IS-500") == r"$-$1.5 $\pm$ 0.2, IS-500"
    evil = [fake.quality("vanilla", seed, overrides={"network": "\\input{x}_%"}) for seed in range(3)]
    assert r"\input" not in paper.write(paper.made(evil), "latex")


def test_every_source_of_a_built_in_variant_has_a_year_and_its_own_key() -> None:
    papers = [str(r.describe()["paper"]) for r in registry.recipes().values() if r.built_in]
    sources = {" ".join(source.split()) for text in papers for source in text.split(";")}
    keys = {source: citations.keys(source) for source in sources}
    assert all(len(found) == 1 for found in keys.values())
    titles = {citations._identifier(citations._parts(source)[2]) for source in sources}  # type: ignore[index]
    assert set(citations.TITLES) <= titles | {"1906.02691, section 2.5.1"}
    assert len({key for found in keys.values() for key in found}) == len(titles)


def compiled(folder: Path, body: str) -> str:
    """The log of pdflatex, with the widths of the tables."""
    boxes = [
        rf"\sbox0{{\footnotesize\setlength{{\tabcolsep}}{{3pt}}{found}}}\typeout{{WIDTH \the\wd0}}"
        for found in re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", body, re.DOTALL)
    ]
    head = r"\documentclass{article}\usepackage{booktabs,threeparttable}\begin{document}"
    tail = r"\bibliographystyle{plain}\bibliography{papers}\end{document}"
    (folder / "t.tex").write_text("\n".join([head, *boxes, body, tail]), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_the_tables_compile_and_are_no_wider_than_a_page(tmp_path: Path) -> None:
    tables = paper.made(records(), BIG)
    body = (
        paper.write(tables, "latex")
        + "\n\n"
        + latex.latex_table(
            grids.grid(
                ["row", *(f"figure {i} (nats)" for i in range(9))], [["x", "word " * 40, *["-1.25 ± 0.10"] * 8]]
            ),
            "Wide",
        )
    )
    (tmp_path / "papers.bib").write_text(paper.write(tables, "bibtex"), encoding="utf-8")
    log = compiled(tmp_path, body)
    widths = [float(width) for width in re.findall(r"WIDTH ([\d.]+)pt", log)]
    assert len(widths) == body.count(r"\begin{tabular}") >= 4
    assert max(widths) <= latex.PAGE_PT
    assert "Overfull" not in log
    if shutil.which("bibtex"):
        done = subprocess.run(["bibtex", "t"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, "Warning" in done.stdout) == (0, False), done.stdout


def test_the_five_usual_metrics_fit_in_one_table() -> None:
    text = paper.write(paper.made(records(), BIG, dataset="mnist"), "latex")
    assert text.count(r"\begin{tabular}") == 2  # one for each comparison group


def levels(seeds: int = 3) -> list[fake.Record]:
    """Two rows, of which one is better in every seed."""
    of_rows = {"conv": -97.0, "vanilla": -100.0}
    return [fake.quality(name, s, elbo=at + s / 10) for name, at in of_rows.items() for s in range(seeds)]


def test_notes_say_over_how_many_seeds_and_what_is_bold() -> None:
    (table,) = paper.made(levels())
    assert table.caption == (
        "Test scores on mnist-dynamic (binary likelihoods) after 10 epochs of the whole training split."
    )
    mean, bold, settings = table.notes("±")
    assert mean == "Mean over 3 seeds; ± half of the 95 % interval."
    assert bold.startswith("Bold: the best")
    assert settings == f"Settings: {table.group.title}."
    headers, lines = table.grid()
    assert headers[:2] == ["Variant", "ELBO ↑ (nats)"]
    assert [line[1].best for line in lines] == [True, False]
    assert [line[1].text for line in lines] == [grids.spread(row.summary("elbo_nats"), 2) for row in table.group.rows]
    # Of two seeds there is no interval, and nothing is bold.
    (few,) = paper.made(levels(seeds=2))
    assert few.notes("±")[0] == "Mean over 2 seeds."
    assert few.grid()[1][0][1].text == "-96.95"
    assert len(few.notes("±")) == 2


def test_a_failed_run_has_a_column_of_counts() -> None:
    records = [*levels(), fake.quality("conv", 3, status="diverged", reason="nan")]
    (table,) = paper.made(records)
    assert table.notes("±")[0].startswith("Mean over 3 seeds;")
    headers, lines = table.grid()
    assert headers[:2] == ["Variant", "Runs"]
    assert [line[1].text for line in lines] == ["3/4", "3/3"]
    counts = csv.DictReader(io.StringIO(paper.write([table], "csv")))
    assert [(line["ok"], line["total"]) for line in counts] == [("3", "4"), ("3", "3")]
    (table,) = paper.made([*levels(), fake.quality("conv", 3)])
    assert table.notes("±")[0].startswith("Mean over the seeds that finished;")


def test_a_csv_has_means_and_halves_of_intervals_and_typst_its_best_in_bold() -> None:
    timed = fake.throughput("conv")
    tables = paper.made([*levels(), timed], ["elbo", "train_samples_per_s"])
    conv, vanilla = csv.DictReader(io.StringIO(paper.write(tables, "csv")))
    summary = tables[0].group.rows[0].summary("elbo_nats")
    assert summary is not None
    assert summary.half_width is not None
    assert float(conv["elbo_nats_mean"]) == summary.mean
    assert float(conv["elbo_nats_half_width"]) == summary.half_width
    assert (conv["ok"], conv["total"], conv["name"]) == ("3", "3", "Conv")
    median = timed.metrics["train_samples_per_s"].median  # type: ignore[union-attr]
    assert float(conv["train_samples_per_s_mean"]) == median
    assert vanilla["train_samples_per_s_mean"] == ""
    text = paper.write(tables, "typst")
    assert f"[*{paper._typst_text(grids.spread(summary, 2))}*]" in text
    assert f"[{median:,.0f}]" in text
    assert text.count("[*") == 3 + 1


def test_an_entry_has_all_authors_the_title_and_where_it_is_to_be_found() -> None:
    sources = [
        "Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519; Kingma et al. 2016, arXiv:1606.04934",
        "Takahashi et al. 2018, IJCAI, doi:10.24963/ijcai.2018/374",
        "Hinton and Salakhutdinov 2006, Science 313:504",
    ]
    found = {text.split("{")[1].split(",")[0]: text for text in citations.bibtex(sources).split("\n\n")}
    assert list(found) == sorted(found)
    burda = found["burda2016importance"]
    for line in (
        "author = {Burda and Grosse and Salakhutdinov},",
        "title = {{Importance Weighted Autoencoders}},",
        "year = {2016},",
        "eprint = {1509.00519},",
    ):
        assert f"  {line}\n" in burda
    assert "author = {Kingma and others}," in found["kingma2016improving"]
    assert "doi = {10.24963/ijcai.2018/374}," in found["takahashi2018student"]
    assert "howpublished = {Science 313:504}," in found["hinton2006reducing"]


def test_a_table_in_parts_is_numbered_and_has_its_notes_at_the_end_and_no_part_is_too_wide() -> None:
    grid = grids.grid(["row", *(f"m{i}" for i in range(14))], [["x" * 20, *["-1234.56"] * 14]])
    parts = latex.latex_table(grid, "Wide", ["A note."]).split("\n\n")
    assert [re.findall(r"\\caption\{(.*)\}", part) for part in parts] == [
        [f"Wide (part {place} of {len(parts)})"] for place in range(1, len(parts) + 1)
    ]
    assert [r"\item A note." in part for part in parts] == [False] * (len(parts) - 1) + [True]
    assert "(part" not in latex.latex_table(grids.grid(["a"], [["b"]]), "Narrow")
    fitted = latex._fitted(grid)
    assert [headers[0] for headers, _ in fitted] == ["row"] * len(parts)
    assert [header for headers, _ in fitted for header in headers[1:]] == grid[0][1:]
    for part, (headers, _) in zip(parts, fitted, strict=True):
        assert rf"\begin{{tabular}}{{@{{}}l{'r' * (len(headers) - 1)}@{{}}}}" in part
    between = latex.BETWEEN_PT * (len(fitted[0][0]) - 1)
    width = sum(width for _, width in latex._columns(fitted[0])) + between
    column = latex._columns(grid)[1][1] + latex.BETWEEN_PT
    assert width <= latex.PAGE_PT < width + column


def test_a_header_keeps_its_arrow_and_every_sign_has_a_command_of_its_own() -> None:
    grid = grids.grid(["x", "ELBO ↑ (nats)", "a longer header ↓"], [["a", "1", "2"]])
    heads = [head for head, _ in latex._columns(grid)]
    assert heads[1:] == [["ELBO ↑", "(nats)"], ["a", "longer", "header ↓"]]
    assert latex.latex_text(f"±↑↓†βδσ<>|{DASH}") == (
        r"$\pm$$\uparrow$$\downarrow$$^\dagger$$\beta$$\delta$$\sigma$\textless{}\textgreater{}\textbar{}--"
    )
    label = latex.latex_table(grid, "", label="tab:a_b#c-1.5")
    assert r"\label{tab:a-b-c-1.5}" in label


def test_typst_escapes_what_it_would_read_as_markup() -> None:
    marks = r"\*_#$@<>[]`~=-+/"
    assert paper._typst_text(f"a{marks}β") == "a" + "".join(f"\\{mark}" for mark in marks) + "β"


def test_tables_of_two_budgets_have_labels_of_their_own() -> None:
    short, long, alone = (
        [fake.quality("vanilla", 0, epochs=e, dataset=d)] for e, d in ((2, "mnist"), (4, "mnist"), (4, "digits"))
    )
    labels = {table.label for table in paper.made([*short, *long, *alone])}
    assert len(labels) == 3
    assert "tab:vaebench-digits-dynamic-binary" in labels


def test_of_columns_that_nobody_asked_for_those_are_shown_that_there_are() -> None:
    (table,) = paper.made([replace(record, metrics={"elbo_nats": -1.0, "kl_nats": 2.0}) for record in levels()])
    assert table.metrics == ("elbo_nats", "kl_nats")


def test_a_dagger_stands_at_rows_that_still_learn_and_is_explained() -> None:
    records = levels()
    for record in records:
        record.curve[-1]["valid_elbo_nats"] = 50.0 + len(record.cell["variant"])
    (table,) = paper.made(records)
    assert table.group.marks["elbo_nats"].learning == {"conv", "vanilla"}
    assert [line[1].text[-2:] for line in table.grid()[1]] == [" †"] * 2
    assert [line[1].text[-2:] for line in table.grid(compact=True)[1]] == [")†"] * 2
    assert not any("Bold" in note for note in table.notes("±"))
    assert "† Still learning: longer training may reverse the order of these rows." in table.notes("±")
    (table,) = paper.made(levels())
    assert not any("†" in note for note in table.notes("±"))


def test_a_speed_is_that_of_its_row_on_its_own_device() -> None:
    of_both = [fake.quality("conv", seed, device=device) for seed in range(3) for device in ("cpu", "cuda:0")]
    timed = fake.throughput("conv")
    (table,) = paper.made([*of_both, timed], ["train_samples_per_s"])
    assert [row.label for row in table.group.rows] == ["conv [cpu]", "conv [cuda]"]
    median = timed.metrics["train_samples_per_s"].median  # type: ignore[union-attr]
    assert [table.speed(row, "train_samples_per_s") for row in table.group.rows] == [median, None]


def test_a_variant_without_a_name_of_its_own_has_a_capital_and_spaces() -> None:
    assert [citations.display_name(name) for name in ("planar_flow", "my_VAE", "beta")] == [
        "Planar flow",
        "My VAE",
        "β-VAE",
    ]
    assert citations.bibtex(["Somebody 1999", "no year"]) == (
        "@misc{somebody1999,\n  author = {Somebody},\n  year = {1999},\n}\n"
    )
