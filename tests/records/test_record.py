"""Records on disk: names, replacement in one step, and files that are none."""

import contextlib
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from msgspec.structs import replace

from bench.disk import files
from bench.errors import MachineError, UsageError
from bench.records import names, notes, provenance, record, schema, store
from bench.settings import Budget, Measure
from bench.suites.suite import DataChoice, Suite, Variant
from tests import fake_records as fake
from tests.helpers import ROOT, Killed, cell, killed_after, throughput_cell


def test_a_name_is_readable_and_is_the_whole_configuration() -> None:
    name = record.record_id("quality", cell("vanilla", seed=3))
    assert name.startswith("digits-dynamic_vanilla_s3_")
    assert record.record_id("throughput", throughput_cell("beta")).startswith("digits-dynamic_beta_throughput-cpu_")
    assert record.record_id("quality", cell(dataset="/a/b c/ü.npz")).startswith("ü-dynamic_")
    changes: list[dict[str, Any]] = [
        {},
        {"seed": 1},
        {"overrides": {"latent": 3}},
        {"budget": {"lr": 0.1}},
        {"budget": {"train_size": None}},
        {"measure": {"nll_points": None}},
        {"device": "cuda"},
        {"precision": "bf16"},
        {"data_options": {"d": 3}},
    ]
    assert len({record.record_id("quality", cell(**change)) for change in changes}) == len(changes)


def test_a_name_does_not_depend_on_the_order_of_keys_but_on_the_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    made = cell()
    name = record.record_id("quality", made)
    assert record.record_id("quality", dict(reversed(made.items()))) == name
    monkeypatch.setattr(record, "PROTOCOL", "9.9")
    assert record.record_id("quality", made) != name


def finished(out: Path, **changes: Any) -> record.Record:
    made = replace(record.new("quality", cell(), {"commit": None}, "ok"), **changes)
    store.write(out, made)
    return made


def test_write_read_and_replace(tmp_path: Path) -> None:
    made = finished(tmp_path, reason="é ∞")
    path = tmp_path / "runs" / f"{made.id}.json"
    assert schema.read(path) == made
    finished(tmp_path, reason=None)
    assert schema.read(path).reason is None
    assert store.read_all(tmp_path) == ([schema.read(path)], [])
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_record_of_every_setting_is_read_back(tmp_path: Path) -> None:
    """Of every budget and measurement that a suite may ask for, each key away from its default."""
    budget = Budget(
        9, 8, 0.1, "burda2015", 700, 1e-4, True, grad_clip=2.0, weight_decay=1e-2, patience=3, grad_skip=9.0
    )
    how = Measure(*range(9, 14), gap_steps=6, gap_split="train", probe_points=5, ssim_points=4)
    how = structs.replace(how, ais_points=3, ais_steps=2, ais_chains=1, factor_points=2, sample_points=1)
    for chosen in (budget, how):
        assert not {f.name for f in structs.fields(chosen) if getattr(chosen, f.name) == f.default}
    (made,) = Suite(
        name="s",
        variants=(Variant("vanilla"),),
        datasets=(DataChoice("digits", "none"),),
        seeds=1,
        budget=budget,
        measure=how,
    ).cells("cpu")
    store.write(tmp_path, replace(record.new("quality", made, {}), status="ok"))
    (found,), warnings = store.read_all(tmp_path)
    assert (found.cell, warnings) == (made, [])
    assert {"patience", "gap_split"} <= made["budget"].keys() | made["measure"].keys()
    # No number may be a text: tables reckon with them.
    store.write(tmp_path, replace(found, cell=made | {"measure": made["measure"] | {"nll_samples": "9"}}))
    assert store.read_all(tmp_path)[0] == []


def test_pictures_of_another_run_do_not_stay(tmp_path: Path) -> None:
    made = finished(tmp_path)
    pictures = tmp_path / "runs" / f"{made.id}.npz"
    store.write(tmp_path, made, b"pictures")
    assert pictures.read_bytes() == b"pictures"
    finished(tmp_path, status="error", reason="run again, it fails")
    assert not pictures.exists()


@pytest.mark.parametrize("replaced", [True, False])
@pytest.mark.parametrize("old", [b"old pictures", None])
@pytest.mark.parametrize("new", [b"new pictures", None])
def test_killed_between_a_record_and_its_pictures(
    tmp_path: Path, old: bytes | None, new: bytes | None, replaced: bool
) -> None:
    """Figures are never lost, pictures never stand beside another run's record, a first record has its own."""
    for steps in range(9):
        out = tmp_path / str(steps)
        made = finished(out, reason="old")
        path, pictures = (out / "runs" / f"{made.id}{ending}" for ending in (".json", ".npz"))
        store.write(out, made, old)
        if not replaced:
            path.unlink()  # the pictures of a run that was killed before its record
        try:
            with killed_after(steps):
                store.write(out, replace(made, reason="new"), new)
            break
        except Killed:
            pass
        beside = pictures.read_bytes() if pictures.exists() else None
        assert path.exists() or not replaced
        if path.exists():
            assert beside in (({"old": old, "new": new}[schema.read(path).reason], None) if replaced else (new,))
    assert steps
    assert schema.read(path).reason == "new"
    assert (pictures.read_bytes() if pictures.exists() else None) == new


def test_no_nan_is_ever_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        finished(tmp_path, metrics={"elbo_nats": float("nan")})
    assert not list(tmp_path.rglob("*.json"))


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "runs" / "a.json"
    files.write_bytes(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(MachineError, match="No space left on device; choose another folder"):
        files.write_bytes(path, b"new")
    assert [(p.name, p.read_bytes()) for p in path.parent.iterdir()] == [("a.json", b"old")]


def test_a_file_in_the_way_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(MachineError, match=r"cannot write .*out"):
        finished(tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "is unreadable"),
        (b"\xff\xfe", "is unreadable"),
        (b"[1]", "is not a record"),
        (b"{}", "is not a record"),
        (
            json.dumps(dict.fromkeys(("schema", "kind", "id", "status", "cell", "metrics"), 2)).encode(),
            "has schema 2, this version reads 1",
        ),
    ],
)
def test_what_is_no_record_is_a_warning(tmp_path: Path, content: bytes, words: str) -> None:
    made = finished(tmp_path)
    (tmp_path / "runs" / "odd.json").write_bytes(content)
    records, warnings = store.read_all(tmp_path)
    assert records == [made]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"odd.json {words}")
    with pytest.raises(UsageError, match="update vaebench") if "has schema" in words else contextlib.nullcontext():
        assert not store.finished(tmp_path, "odd")


def test_cells_that_failed_are_not_finished(tmp_path: Path) -> None:
    for status in record.STATUSES:
        made = finished(tmp_path, status=status)
        assert (store.finished(tmp_path, made.id) is not None) == (status in ("ok", "diverged"))
    assert not store.finished(tmp_path, "none")


def test_provenance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = provenance.provenance()
    assert {"python", "vaebench", "torch", "torchvision", "numpy"} == set(facts["versions"])
    json.dumps(facts, allow_nan=False)
    if (ROOT / ".git").exists():
        assert len(facts["commit"]) == 40
    # Outside a checkout, or inside somebody else's: the commit is unknown, and not theirs.
    for folder in (tmp_path, ROOT / "bench" / "data"):
        monkeypatch.setattr(provenance, "__file__", str(folder / "records" / "provenance.py"))
        assert provenance.provenance()["commit"] is None
    monkeypatch.setenv("PATH", "")
    assert provenance.provenance()["dirty"] is None


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"cell": {}}, "cell.variant must be a text, and is missing"),
        ({"kind": "poem"}, "kind must be 'quality' or 'throughput' or 'trial' or 'oracle', got 'poem'"),
        ({"statsu": "ok"}, "unknown key statsu: did you mean 'status'?"),
        ({"curve": None}, "curve must be a list, got None"),
        ({"curve": [{"epoch": 1}, {"epoch": "2"}]}, "curve[1].epoch must be a number"),
        ({"metrics": {"elbo_nats": -1.0, "kl_nats": 10**400}}, "metrics.kl_nats must be a number"),
        ({"metrics": {"kl_nats": True}}, "metrics.kl_nats must be a number"),
        ({"provenance": {"comit": "a"}}, "unknown key provenance.comit: did you mean 'commit'?"),
        ({"id": "../a"}, "id must be a text that can name a file, got '../a'"),
        ({"id": "é" * 116}, "id must be a text of at most 230 bytes"),
    ],
)
def test_a_wrong_record_is_one_line_that_names_the_field(tmp_path: Path, broken: dict[str, Any], words: str) -> None:
    whole = fake.quality("vanilla", 0)
    for name, content in ((whole.id, record.plain(whole)), ("broken", record.plain(whole) | broken)):
        files.write_bytes(tmp_path / "runs" / f"{name}.json", json.dumps(content).encode())
    records, (warning,) = store.read_all(tmp_path)
    assert [r.id for r in records] == [whole.id]
    assert warning.startswith(f"broken.json is not a record: {words}")
    assert len(warning) < 300


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cf"]), max_size=5)
FLOATS = st.floats(-1e100, 1e100)
NUMBERS = st.none() | st.integers(-(2**53), 2**53) | FLOATS
RECORDS = st.builds(
    record.Record,
    protocol=st.none() | TEXTS,
    kind=st.sampled_from(["quality", "throughput"]),
    id=st.from_regex(r"[\w-]{1,20}", fullmatch=True),
    status=st.sampled_from(record.STATUSES),
    reason=st.none() | TEXTS,
    cell=st.builds(lambda extra, made: extra | made, st.dictionaries(TEXTS, NUMBERS | TEXTS), st.just(cell())),
    model=st.builds(record.Model, network=st.none() | TEXTS, has_bound=st.none() | st.booleans(), latent=st.none()),
    metrics=st.dictionaries(TEXTS, NUMBERS | st.builds(record.Timed, NUMBERS, NUMBERS, NUMBERS, st.lists(NUMBERS))),
    errors=st.dictionaries(TEXTS, st.dictionaries(TEXTS, NUMBERS, max_size=2), max_size=2),
    latent=st.dictionaries(TEXTS, NUMBERS | st.lists(FLOATS), max_size=2),
    curve=st.lists(st.dictionaries(TEXTS, NUMBERS), max_size=3),
    timing=st.dictionaries(TEXTS, NUMBERS),
    provenance=st.builds(
        record.Provenance,
        commit=st.none() | TEXTS,
        versions=st.dictionaries(TEXTS, st.none() | TEXTS),
        processor_share=NUMBERS,
        trained=st.none() | st.builds(record.Origin, resumed=st.integers(0, 9), dirty=st.none() | st.booleans()),
    ),
    rate_distortion=st.dictionaries(TEXTS, st.lists(st.lists(FLOATS, max_size=3), max_size=3), max_size=2),
    traceback=st.none() | TEXTS.filter(bool),
    checks=st.just([]),
    no_pictures=st.none(),
    no_weights=st.none(),
)


@settings(deadline=None, max_examples=150)
@given(RECORDS)
def test_what_is_written_is_what_is_read(made: record.Record) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store.write(Path(folder), made)
        found = schema.read(Path(folder, "runs", f"{made.id}.json"))
    assert found == made
    assert names.canonical(found) == names.canonical(made)


def test_every_committed_record_is_read_whole_and_fits_the_committed_schema() -> None:
    """Nothing is lost in reading but keys that say null, and its name is the one that its configuration has."""
    validator = jsonschema.Draft202012Validator(json.loads((ROOT / "docs" / "record.schema.json").read_text()))
    paths = sorted((ROOT / "results").rglob("runs/*.json"))
    assert len(paths) > 200

    def stated(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: stated(each) for key, each in value.items() if each not in (None, [], {})}
        return value

    for path in paths:
        content = json.loads(path.read_text())
        found = schema.read(path)
        assert stated(record.plain(found)) == stated(content)
        assert found.cell == content["cell"]
        validator.validate(content)
        text = json.dumps([found.protocol, found.kind, found.cell], sort_keys=True, separators=(",", ":"))
        assert found.id.endswith(hashlib.sha256(text.encode()).hexdigest()[:10])


def test_what_the_committed_schema_refuses() -> None:
    validator = jsonschema.Draft202012Validator(json.loads((ROOT / "docs" / "record.schema.json").read_text()))
    whole = record.plain(fake.quality("vanilla", 0))
    validator.validate(whole)
    for broken in ({"kind": "poem"}, {"cell": {}}, {"metrics": {"kl_nats": "1"}}, {"id": "../a"}, {"more": 1}):
        assert list(validator.iter_errors(whole | broken))


def test_equal_settings_have_one_text_in_whatever_order_they_stand() -> None:
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return [turned(each) for each in value] if isinstance(value, list) else value

    settings = record.plain(fake.quality("vanilla", 0))
    assert list(turned(settings)) != list(settings)
    assert names.canonical(turned(settings)) == names.canonical(settings)
    assert names.digest(turned(settings)) == names.digest(settings)
    assert names.canonical([1, 2]) != names.canonical([2, 1])


def test_names_of_records_are_those_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """With another name a run that is finished would be run again."""
    monkeypatch.setattr(record, "PROTOCOL", "1.2")
    made = {"dataset": "digits", "binarise": "dynamic", "variant": "vanilla", "seed": 3, "device": "cpu"}
    assert [
        record.record_id(kind, made | {"tuning": {"trial": 7}} if kind == "trial" else made) for kind in record.KINDS
    ] == [
        "digits-dynamic_vanilla_s3_04bee35ac1",
        "digits-dynamic_vanilla_throughput-cpu_d8f70be1eb",
        "digits-dynamic_vanilla_trial7_b2a7353a6b",
        "digits-dynamic_vanilla_oracle_035ce91d6c",
    ]


def test_a_new_record_says_when_it_began_and_nothing_that_it_does_not_know() -> None:
    made = record.new("quality", cell(), {"commit": "a"})
    assert datetime.fromisoformat(made.provenance.started or "").utcoffset() == timedelta(0)
    assert (made.status, made.protocol, made.provenance.commit) == ("error", record.PROTOCOL, "a")
    of_some = {"rate_distortion", "checks", "traceback", "no_pictures", "no_weights", "weights"}
    assert record.plain(made).keys() == set(record.Record.__struct_fields__) - of_some
    assert "traceback" in record.plain(replace(made, traceback="words"))


def test_the_name_of_data_says_all_of_them_and_fits_any_disk() -> None:
    about = {"dataset": "/x/y.npz", "binarise": "none", "data_options": {"b": 2, "a": 1}}
    assert names.dataset_slug(about | {"dataset": "y"}) == "y-none-a=1-b=2"
    # What a path or a slug leaves out keeps names apart.
    apart = {
        names.dataset_slug(about | {"dataset": name}) for name in ("y", "/x/y.npz", "/z/y.npz", "y.csv", "a b", "a_b")
    }
    assert len(apart) == 6
    assert all(re.fullmatch(r"(y|a_b)-none-a=1-b=2(-[0-9a-f]{8})?", name) for name in apart)
    assert max(len(names.dataset_slug(about | {"dataset": "é" * 200 + end}).encode()) for end in "ab") <= 80
    long = [names.slug("é" * 200 + end) for end in "ab"]
    assert long[0] != long[1]
    assert max(len(name.encode()) for name in long) <= 80
    assert names.slug(".hidden/../x y") == "_hidden_.._x_y"
    assert [len(names.digest(value)) for value in ({}, "a")] == [8, 8]


def test_a_note_tells_files_of_a_user_by_all_of_their_content_and_finds_them_where_they_lay(tmp_path: Path) -> None:
    texts = (["a", "b"], ["a", "c"], ["ab", ""], ["b", "a"], ["a"])
    origins = [notes.origin_of("table", tmp_path / "mine.toml", ROOT, each) for each in texts]
    assert len({origin["sha256"] for origin in origins}) == len(texts)
    assert notes.origin_of("suite", ROOT / "quick.toml", ROOT, "a") == {"suite": "quick"}
    paths = [tmp_path / name / "mine.toml" for name in ("home", "out")]
    for path in paths:
        path.parent.mkdir()
        path.write_text("")
    note = {"suite": "mine.toml", "table": "mine.toml", "path": str(paths[0])}
    for path in paths:
        assert notes.find(note, "suite", tmp_path / "out") == str(path)
        path.unlink()
    for kind, words in (
        ("suite", "are of mine.toml, not found"),
        ("table", "are of mine.toml and mine.csv, not found"),
    ):
        with pytest.raises(UsageError, match=words):
            notes.find(note, kind, tmp_path / "out")


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git here")
def test_a_checkout_is_dirty_where_what_makes_numbers_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> str:
        settings = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        command = ["git", *settings, *words]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    counts = {"bench/records/a.py": True, "variants/b.py": True, "pyproject.toml": True, "docs/c.md": False}
    for name in counts:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "all")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "bench" / "records" / "provenance.py"))
    clean = {"commit": git("rev-parse", "HEAD"), "dirty": False}
    assert provenance._git() == clean
    for name, dirty in counts.items():
        (tmp_path / name).write_text("2")
        assert provenance._git() == clean | {"dirty": dirty}
        (tmp_path / name).write_text("1")


def test_a_cell_of_each_kind_has_what_its_kind_needs() -> None:
    whole = record.plain(fake.quality("vanilla", 0))
    with pytest.raises(UsageError, match=r"cell\.tuning"):
        schema.of(whole | {"kind": "trial"})
    linear = {"d": 4, "k": 2, "noise": 0.5, "orthogonal": True}
    problems = [linear, {"d": 4, "bits": 2}]
    for options in problems:
        schema.of(whole | {"kind": "oracle", "status": "error", "cell": whole["cell"] | {"data_options": options}})
    for key in ("k", "noise", "orthogonal"):
        options = {name: value for name, value in linear.items() if name != key}
        with pytest.raises(UsageError, match="a problem has bits, or else k, noise and orthogonal"):
            schema.of(whole | {"kind": "oracle", "cell": whole["cell"] | {"data_options": options}})
    # The exact rate and distortion, without which a linear model is not checked.
    check = dict.fromkeys(("truth", "estimate", "error", "standard_error", "low", "high"))
    check |= {"part": "a", "quantity": "b", "rule": "c", "passed": True}
    oracle = whole | {"kind": "oracle", "checks": [check]}
    with pytest.raises(UsageError, match="checks and rate_distortion must be there"):
        schema.of(oracle | {"cell": whole["cell"] | {"data_options": problems[0]}})
    schema.of(oracle | {"cell": whole["cell"] | {"data_options": problems[1]}})


def test_a_record_of_an_older_schema_is_run_again_and_one_that_steers_is_read_as_text(tmp_path: Path) -> None:
    made = finished(tmp_path, reason="a\x7fb")
    path = tmp_path / "runs" / f"{made.id}.json"
    path.write_bytes(path.read_bytes().replace(b"\\u007f", b"\x7f"))
    assert b"\x7f" in path.read_bytes()
    assert schema.read(path).reason == "a\N{REPLACEMENT CHARACTER}b"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 0', 1))
    assert store.finished(tmp_path, made.id) is None


def test_records_stand_in_the_order_of_their_files(tmp_path: Path) -> None:
    made = [fake.quality(variant, seed) for variant in ("vanilla", "beta", "iwae") for seed in (2, 0, 1)]
    found, _ = store.read_all(fake.write(tmp_path, made, images=False))
    assert [each.id for each in found] == sorted(each.id for each in made)
