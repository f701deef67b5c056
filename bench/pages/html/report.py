"""The report of a folder of runs: the answer, then everything that it rests on."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from bench.pages import grids, tables, tuning
from bench.pages.doubts import failures
from bench.pages.html import again, facts, pictures
from bench.pages.html.document import LARGEST, as_json, document
from bench.pages.html.render import html, inline, table
from bench.pages.origins import provenance_lines
from bench.records.record import Record
from bench.stats import metrics
from bench.stats.answer import Answer, answers, listed
from bench.stats.groups import Group, after, by_dataset, distinctions, groups
from bench.stats.ranks import ENOUGH, Ranks, ranks
from bench.stats.speeds import throughput
from bench.text import DASH

SCRIPTS = ("core.js", "charts.js", "sections.js", "main.js")
# Rows of a page, and runs of them: fewer where it would be too large.
ROWS_AND_RUNS = ((1000, 4000), (300, 1500), (100, 500), (30, 150), (10, 30))
MOST_GROUPS = 100
SECTIONS = {
    "scores": "Scores",
    "seeds": "Every seed",
    "speed": "Quality against cost",
    "compare": "Compare two",
    "learning": "Still learning?",
    "latent": "Latent space",
    "pictures": "Pictures",
    "ranks": "Over data sets",
    "tuned": "Tuned alike",
    "origin": "Where the numbers come from",
}


def report(
    records: Sequence[Record],
    artefacts: Mapping[str, Mapping[str, np.ndarray]],
    warnings: Sequence[str],
    trials: Sequence[Record] = (),
) -> bytes:
    """The page of quality and throughput records.

    Args:
        records: as read.
        artefacts: id of a record -> name -> what its run has kept.
        warnings: one line each, plain.
        trials: runs by which settings were chosen.
    """
    shown = in_order(groups(records))[:MOST_GROUPS]
    timed = {dataset: throughput(members, dataset) for dataset, members in by_dataset(records).items()}
    ranked = _ranks(shown)
    answered = {group.id: answers(group, timed[group.dataset]) for group in shown}
    body = _body(records, shown, answered, warnings, ranked, html(tuning.blocks(shown, trials)))
    made: dict[str, Any] = {
        "metrics": facts.metric_facts(shown),
        "kinds": {k: t for k, (t, _) in pictures.KINDS.items()},
        "same_inputs": pictures.SAME_INPUTS,
        "ranks": [{"title": _rank_title(found), **facts.rank_facts(found)} for found in ranked],
    }
    page = b""
    for rows, runs in ROWS_AND_RUNS:
        most, each = (
            max(1, rows // max(1, len(shown))),
            max(1, runs // max(1, min(rows, sum(len(g.rows) for g in shown)))),
        )
        made["groups"] = [facts.group_facts(group, timed[group.dataset], artefacts, most, each) for group in shown]
        page = document("Which VAE variant?", body, facts=made, scripts=SCRIPTS)
        if len(page) <= LARGEST:
            break
    made["left_out"] = _add_pictures(made["groups"], shown, artefacts, LARGEST - len(page) - 200)
    return document("Which VAE variant?", body, facts=made, scripts=SCRIPTS)


def in_order(found: Sequence[Group]) -> list[Group]:
    """Groups, those of most rows first, those of one data set and support with what sets them apart."""
    words: dict[str, str] = {}
    alike: dict[tuple[str, str], list[Group]] = {}
    for group in found:
        alike.setdefault((group.dataset, group.settings["support"]), []).append(group)
    for members in alike.values():
        words |= distinctions(members)
    told = [replace(group, distinction=words[group.id]) for group in found]
    return sorted(told, key=lambda group: -len(group.rows))


def _add_pictures(
    made: Sequence[dict[str, Any]],
    shown: Sequence[Group],
    artefacts: Mapping[str, Mapping[str, np.ndarray]],
    room: int,
) -> int:
    """Contact sheets for as long as there is room; returns how many were left out."""
    left_out = 0
    for each, group in zip(made, shown, strict=True):
        each["sheets"] = []
        for sheet in pictures.sheets(group.rows[: len(each["rows"])], artefacts):
            one = {"kind": sheet.kind, "label": sheet.label, "alt": sheet.alt, "uri": sheet.uri, "size": sheet.size}
            room -= len(as_json(one).encode()) + 1
            if room > 0:
                each["sheets"].append(one)
            else:
                left_out += 1
    return left_out


def _body(
    records: Sequence[Record],
    shown: Sequence[Group],
    answered: Mapping[str, Sequence[Answer]],
    warnings: Sequence[str],
    ranked: Sequence[Ranks],
    tuned: str,
) -> str:
    broken = failures(records)
    names = [facts.name(group) for group in shown]
    over = [_overview(shown, answered), *map(_rank_table, ranked, range(len(ranked)))]
    sections = {
        "ranks": _section("ranks", "".join(over)) if len(shown) > 1 else "",
        "tuned": _section("tuned", tuned) if tuned else "",
    }
    links = "".join(
        f'<a href="#{key}">{escape(title)}</a>' for key, title in SECTIONS.items() if sections.get(key, key)
    )
    parts = [
        '<a class="skip" href="#scores">Skip to the scores</a>',
        '<header class="top">',
        "<h1>Which VAE variant?</h1>",
        _head(records, shown, len(broken), len(warnings)),
        "</header>",
        "<main>",
        '<div class="picker"><label>Data and likelihood <select id="group">'
        + "".join(f'<option value="{g.id}">{escape(n)}</option>' for g, n in zip(shown, names, strict=True))
        + "</select></label></div>",
        *(_answer(group, title, answered[group.id]) for group, title in zip(shown, names, strict=True)),
        "<noscript><p class='warnings'>The tables and plots below are drawn by this file's own script, which is "
        "switched off here. README.md in the same folder has the same figures.</p></noscript>",
        f'<nav aria-label="Sections">{links}</nav>',
        _filters(),
        *(_section(key) for key in SECTIONS if key not in (*sections, "origin")),
        *sections.values(),
        _origin(records, shown, broken, warnings),
        "</main>",
        '<dialog id="record" aria-labelledby="record-title"><form method="dialog">'
        "<button>Close</button></form>"
        '<h2 id="record-title"></h2><div id="record-body"></div></dialog>',
        '<div id="tip" role="status" aria-live="polite" hidden></div>',
    ]
    return "\n".join(parts)


def _head(records: Sequence[Record], shown: Sequence[Group], broken: int, doubts: int) -> str:
    quality = sum(record.kind == "quality" for record in records)
    rows = len({row.label for group in shown for row in group.rows})
    datasets = len({group.dataset for group in shown})
    counted = [_many(quality, "run"), _many(rows, "variant"), _many(datasets, "data set")]
    parts = [f'<p class="muted">{", ".join(counted)}, judged by one evaluator.</p>']
    if broken:
        parts.append(f'<p class="banner bad"><a href="#failed">{_many(broken, "run")} failed</a></p>')
    if doubts:
        parts.append(f'<p class="banner"><a href="#warnings">{_many(doubts, "warning")}</a></p>')
    return "\n".join(parts)


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'s' if count != 1 else ''}"


def _answer(group: Group, title: str, answered: Sequence[Answer]) -> str:
    """The box that says what to take."""
    lines = []
    priced = any(answer.cost for answer in answered)
    for answer in answered:
        texts = [_take(answer), escape(answer.sure), *([escape(answer.cost) or DASH] if priced else [])]
        cells = "".join(f"<td>{text}</td>" for text in texts)
        lines.append(f'<tr><th scope="row">{_want(answer)}</th>{cells}</tr>')
    if not any(answer.goal == "the best samples" for answer in answered) and lines:
        lines.append(
            '<tr><th scope="row">the best samples</th><td><span class="muted">no answer</span></td><td>These runs have '
            "no measure of samples. A higher likelihood need not look better."
            f"</td>{f'<td>{DASH}</td>' if priced else ''}</tr>"
        )
    titles = ("If you want", "take", "how sure", *(["what it costs"] if priced else []))
    head = "".join(f'<th scope="col">{text}</th>' for text in titles)
    rows = (
        f'<div class="wide" role="region" tabindex="0" aria-label="Answers, {escape(title)}">'
        f'<table class="answers"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
        if lines
        else "<p>No run of this group gave a figure.</p>"
    )
    units = f" ELBO and NLL: {escape(group.units)}." if group.units else ""
    return (
        f'<section class="answer" data-group="{group.id}" aria-label="Answer, {escape(title)}"><h2>{escape(title)}</h2>'
        f'<p class="muted">Verdicts {escape(after(group.settings))}; {_seeds(group)}.{units}</p>{rows}'
        f'<details class="small"><summary>Every setting of these runs</summary><p>{escape(group.title)}.</p></details>'
        "</section>"
    )


def _want(answer: Answer) -> str:
    return f'{escape(answer.goal)} <span class="muted">{escape(metrics.metric(answer.metric).header)}</span>'


def _take(answer: Answer) -> str:
    if not answer.take:
        return '<span class="muted">no answer yet</span>'
    if answer.learning:
        return f"<strong>{escape(' or '.join(answer.take))}</strong>"
    tied = f'<span class="muted">tied: {escape(listed(answer.take[1:]))}</span>' if answer.take[1:] else ""
    return f"<strong>{escape(answer.take[0])}</strong>{tied}"


def _seeds(group: Group) -> str:
    counts = sorted({len(row.records) for row in group.rows})
    return f"{counts[0]} to {counts[-1]} seeds" if len(counts) > 1 else _many(counts[0], "seed")


def _filters() -> str:
    return (
        '<form class="filters" id="filters" aria-label="What is shown">'
        '<label>Metric <select id="metric"></select></label>'
        '<label>Columns <select id="theme"></select></label>'
        '<label>Variants <input id="rows" type="search" placeholder="all" autocomplete="off"></label>'
        '<button type="button" id="reset">Reset</button>'
        '<output id="shown" class="muted small"></output>'
        "</form>"
    )


def _section(key: str, content: str = '<div class="body"></div>') -> str:
    """A section of the page; without content, one that the script fills."""
    heading = f'<h2 id="{key}-title">{SECTIONS[key]}</h2>'
    return f'<section id="{key}" aria-labelledby="{key}-title">{heading}{content}</section>'


def _ranks(shown: Sequence[Group]) -> list[Ranks]:
    """Ranks of the same rows over data sets: of the first group of each data set that has the metric, for each
    support."""
    parts = []
    for metric in _ranked_everywhere(shown):
        one_each: dict[str, dict[str, Group]] = {}
        for group in shown:
            if any(row.values(metric) for row in group.rows):
                one_each.setdefault(group.settings["support"], {}).setdefault(group.dataset, group)
        parts += [found for members in one_each.values() if (found := ranks(list(members.values()), metric))]
    return parts


def _overview(shown: Sequence[Group], answered: Mapping[str, Sequence[Answer]]) -> str:
    """What to take for each goal, a line for each data set and likelihood."""
    goals = list(dict.fromkeys(answer.goal for group in shown for answer in answered[group.id]))
    lines = []
    for group in shown:
        found = {answer.goal: answer for answer in answered[group.id]}
        cells = "".join(f"<td>{_take(found[goal]) if goal in found else DASH}</td>" for goal in goals)
        lines.append(f'<tr><th scope="row">{escape(facts.name(group))}</th>{cells}</tr>')
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in ("data and likelihood", *goals))
    return (
        '<h3>What to take</h3><div class="wide" role="region" tabindex="0" aria-label="Answers over data sets">'
        f'<table class="overview"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def _ranked_everywhere(shown: Sequence[Group]) -> list[str]:
    counts = Counter(name for group in shown for name in group.metrics if metrics.metric(name).ranked)
    wanted = [name for name in metrics.ordered(counts) if counts[name] > 1]
    return [name for name in wanted if name == "elbo_nats" or name.startswith("nll_")][:2]


def _rank_table(found: Ranks, place: int) -> str:
    header = ["variant", *(group.dataset for group in found.groups), "mean rank ↓", "rows beaten ↑"]
    lines = [
        [label, *(f"{rank:g}" for rank in each), f"{statistics.fmean(each):.2f}", f"{found.borda(label):g}"]
        for label, each in found.ranks.items()
    ]
    count = len(found.groups)
    few = f" {count} data sets are too few to generalise from: {ENOUGH} is a start." if count < ENOUGH else ""
    title = _rank_title(found)
    return (
        f"<h3>{escape(title)}</h3><p>Rank by mean, 1 the best; rows beaten are summed over data sets (Borda). Two mean "
        f"ranks differ at 5 % if they are {found.critical:.2f} or more apart (Nemenyi); a bar at the right joins rows "
        f"of which no two do.{few}</p>"
        f'<div class="plot critical" data-place="{place}"></div>{table(grids.grid(header, lines), f"Ranks: {title}")}'
    )


def _rank_title(found: Ranks) -> str:
    return f"{metrics.metric(found.metric).label}, {found.groups[0].settings['support']} likelihood"


def _origin(records: Sequence[Record], shown: Sequence[Group], broken: Sequence[str], warnings: Sequence[str]) -> str:
    scored = (name for group in shown for name in group.metrics)
    timed = (name for record in records if record.kind == "throughput" for name in record.metrics)
    entries = metrics.legend([*scored, *timed])
    glossary = "".join(f"<dt>{escape(e.header)}</dt><dd>{escape(e.says)}.</dd>" for e in entries)
    legends = [tables.SPREAD_LEGEND, tables.MARK_LEGEND, tables.COMPARISON_LEGEND]
    drawers = [
        _drawer("failed", f"{_many(len(broken), 'run')} failed", _items(map(escape, grids.shortened(broken))))
        if broken
        else "",
        _drawer("warnings", _many(len(warnings), "warning"), _items(map(escape, grids.shortened(warnings))))
        if warnings
        else "",
        _drawer("certain", "How certain, and how much is the variant's", _certain(shown), printed=False),
        _drawer("code", "Code, machines, data", _items(map(inline, provenance_lines(records)))),
        _drawer("runs", "Every run", '<div id="runs-body"></div>', printed=False),
        _drawer("again", "Run it again", _again(records)),
        _drawer("reading", "How to read the figures", _items(map(escape, legends))),
        _drawer("glossary", "What the columns mean", f"<dl>{glossary}</dl>"),
        _drawer("cite", "Cite", _cite()),
    ]
    return _section("origin", "".join(drawers))


def _certain(shown: Sequence[Group]) -> str:
    """The errors of the figures, and the shares of their variance."""
    parts = []
    for group in shown:
        found = {f"Errors, {theme}": grid for theme, grid in tables.certainty_grids(group).items()}
        if shared := tables.share_grid(group):
            found["Share of the variance that is the variant's"] = shared
        for title, grid in found.items():
            lines = grid[1][: grids.MOST_LINES]
            name = f"{facts.name(group)}: {title}"
            parts.append(f"<h3>{escape(name)}</h3>{table((grid[0], lines), name)}")
    return f"<p>{escape(tables.CERTAINTY_LEGEND)}</p>{''.join(parts)}"


def _drawer(key: str, title: str, content: str, *, printed: bool = True) -> str:
    how = " data-printed" if printed else ""
    return f'<details id="{key}"{how}><summary>{escape(title)}</summary>{content}</details>'


def _items(lines: Any) -> str:
    return "<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>"


def _again(records: Sequence[Record]) -> str:
    parts = []
    for number, suite in enumerate(again.suites(records), 1):
        parts.append(
            f"<p>Save as <code>again{number}.toml</code> and run <code>vaebench run again{number}.toml</code>:</p>"
            f'<pre tabindex="0"><code>{escape(suite)}</code></pre>'
        )
    return "".join(parts) or "<p>Only speeds were measured: <code>vaebench throughput</code> measures them again.</p>"


def _cite() -> str:
    try:
        number = version("vaebench")
    except PackageNotFoundError:
        number = ""
    entry = (
        "@software{vaebench,\n  title = {vaebench: a benchmark of variational autoencoders},\n"
        f"  author = {{{{The vaebench authors}}}},\n  version = {{{number}}}\n}}"
    )
    return (
        f"<p>vaebench, and the paper of each variant: <code>vaebench show VARIANT</code> names it.</p>"
        f'<pre tabindex="0"><code>{escape(entry)}</code></pre>'
    )
