"""What is said of the data sets without loading one."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_sample_images

import bench.data as data
from bench.data import entry, readers, sets
from bench.errors import UsageError
from variants.data_spec import DataSpec


@pytest.mark.parametrize("n", [10, 19, 101, 1007])
def test_every_example_is_in_one_split(n: int) -> None:
    sizes = entry.tenths(n)
    assert sum(sizes.values()) == n
    assert sizes["valid"] == sizes["test"] == n // 10


def test_every_data_set_can_be_read_and_is_documented() -> None:
    assert set(readers._READERS) | {row.name for row in sets.SETS.values() if row.maker} == set(data.names())
    for row in data.describe():
        numbers = " | ".join(f"{row['splits'][split]:,}" for split in entry.SPLITS)
        shape = " x ".join(map(str, row["shape"]))
        (line,) = [line for line in (data.__doc__ or "").splitlines() if line.startswith(f"| {row['name']} | ")]
        assert line.startswith(f"| {row['name']} | {shape} | {numbers} | ")
        assert line.endswith(f" | {row['binarise']} |")
        assert data.spec(row["name"], "none").shape == row["shape"]


def test_present_follows_the_files(tmp_path: Path) -> None:
    present = {row["name"]: row["present"] for row in data.describe(root=tmp_path)}
    assert [present[name] for name in ("mnist", "linear_gaussian", "digits", "svhn")] == [True, True, True, False]
    (tmp_path / "svhn").mkdir()
    (tmp_path / "svhn" / "train_32x32.mat").touch()
    assert not {row["name"]: row["present"] for row in data.describe(root=tmp_path)}["svhn"]
    (tmp_path / "svhn" / "test_32x32.mat").touch()
    assert {row["name"]: row["present"] for row in data.describe(root=tmp_path)}["svhn"]


def test_what_comes_with_a_package_is_present_where_the_package_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "sklearn" else pytest)
    absent = {row["name"] for row in data.describe() if not row["present"]}
    assert absent >= {"digits", "breast_cancer", "photographs64"}
    assert not absent & {"mnist", "linear_gaussian"}


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "gaussian_mixture", "sprites", "solids"])
def test_a_set_has_as_many_classes_as_it_says(name: str) -> None:
    raw = data.load(name).raw
    assert np.unique(np.concatenate([*raw.labels.values()])).tolist() == list(range(data.spec(name).classes or 0))
    assert len(sets.classes(name)) in (0, data.spec(name).classes)


def test_published_checksums_are_those_of_torchvision() -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    ours = {name: {file.name: file.md5 for file in sets.find(name).files} for name in data.names()}
    assert ours["fashion_mnist"] == dict(datasets.FashionMNIST.resources)
    assert ours["kmnist"] == dict(datasets.KMNIST.resources)
    assert ours["omniglot"] == {f"{stem}.zip": md5 for stem, md5 in datasets.Omniglot.zips_md5.items()}
    assert ours["cifar10"] == {datasets.CIFAR10.filename: datasets.CIFAR10.tgz_md5}
    assert ours["svhn"] == {file: md5 for _, file, md5 in map(datasets.SVHN.split_list.get, ("train", "test"))}
    celeba = {name: (md5, drive) for drive, md5, name in datasets.CelebA.file_list}
    for file in sets.find("celeba").files:
        md5, drive = celeba[file.name]
        assert (file.md5, drive) == (md5, (file.url or "").split("/")[5])


def test_embedded_checksums_are_those_of_the_list_beside_the_files() -> None:
    mnist = sets.find("mnist")
    lines = (mnist.folders[0] / "SHA256SUMS").read_text().splitlines()
    listed = {name: checksum for checksum, name in map(str.split, lines)}
    assert listed == {file.name.removesuffix(".xz"): file.sha256 for file in mnist.files}


def test_spec_says_shape_kind_and_size() -> None:
    assert data.spec("mnist") == DataSpec((1, 28, 28), "binary", 50_000, classes=10)
    assert data.spec("mnist", "none") == DataSpec((1, 28, 28), "unit", 50_000, classes=10)
    assert data.spec("cifar10") == DataSpec((3, 32, 32), "unit", 45_000, classes=10)
    assert data.spec("gaussian_mixture", classes=3) == DataSpec((16,), "real", 8_000, classes=3)
    assert data.spec("linear_gaussian", d=5, k=2) == DataSpec((5,), "real", 8_000)
    assert data.spec("tiny_sbn", d=5, n=100) == DataSpec((5,), "binary", 80)


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("fashion-mnist", {}, "did you mean 'fashion_mnist'"),
        ("mnist", {"binarise": "dynamik"}, "did you mean 'dynamic'"),
        ("mnist", {"size": 3}, "unknown option 'size'"),
        ("linear_gaussian", {"noize": 0.1}, "did you mean 'noise'"),
        ("linear_gaussian", {"binarise": "fixed"}, "cannot be binarised"),
        ("linear_gaussian", {"d": 4.0}, "must be of type int"),
        ("linear_gaussian", {"d": True}, "must be of type int"),
        ("linear_gaussian", {"orthogonal": 1}, "must be of type bool"),
        ("linear_gaussian", {"noise": "0.1"}, "must be of type float"),
        ("linear_gaussian", {"noise": 0.0}, "above 0"),
        ("linear_gaussian", {"noise": float("nan")}, "above 0"),
        ("linear_gaussian", {"d": 3, "k": 4}, "from 1 to d"),
        ("linear_gaussian", {"d": 0}, "at least 1"),
        ("linear_gaussian", {"n": 9}, "at least 10"),
        ("flow_data", {"d": 1}, "d must be at least 2, got 1"),
        ("flow_data", {"orthogonal": True}, "unknown option 'orthogonal'"),
        ("tiny_sbn", {"bits": 13}, "from 1 to 12"),
        ("tiny_sbn", {"bits": 0}, "from 1 to 12"),
        ("linear_gaussian", {"k": 0}, "from 1 to d"),
        ("linear_gaussian", {"noise": float("inf")}, "above 0"),
        ("teacher", {"noise": float("inf")}, "at least 0.01"),
        ("counts", {"dispersion": 0.0}, "dispersion must be above 0"),
        ("counts", {"dispersion": float("inf")}, "dispersion must be above 0"),
        ("counts", {"clusters": 0}, "clusters must be at least 1"),
        ("gaussian_mixture", {"classes": 0}, "classes must be at least 1"),
        ("tiny_sbn", {"binarise": "dynamic"}, "binary as it is"),
    ],
)
def test_what_cannot_be_asked_for(name: str, arguments: dict[str, object], says: str) -> None:
    for ask in (data.spec, data.load):
        with pytest.raises(UsageError, match=says) as refusal:
            ask(name, **arguments)  # type: ignore[operator]
        assert "\n" not in str(refusal.value)


def test_a_whole_number_is_a_fine_noise() -> None:
    assert data.load("linear_gaussian", noise=1, n=10).options["noise"] == 1.0


@pytest.mark.parametrize("side", [32, 64, 128])
def test_photographs_are_crops_of_their_photograph(side: int) -> None:
    photos = load_sample_images().images
    raw = data.load(f"photographs{side}").raw
    for split in ("train", "valid", "test"):
        for image, label in list(zip(raw.images[split], raw.labels[split], strict=True))[:3]:
            pixels = image.transpose(1, 2, 0)
            corners = np.argwhere((photos[label] == pixels[0, 0]).all(-1))
            cuts = [photos[label][top : top + side, left : left + side] for top, left in corners]
            assert any(cut.shape == pixels.shape and np.array_equal(cut, pixels) for cut in cuts)
    assert data.load(f"photographs{side}").checksum == raw.checksum
    if side == 32:  # the places are the same for everybody
        for i, (top, left) in enumerate([(172, 559), (117, 192), (323, 359)]):
            crop = photos[i % 2][top : top + side, left : left + side]
            assert np.array_equal(raw.images["train"][i].transpose(1, 2, 0), crop)


def test_columns_of_breast_cancer_are_standardised_by_the_training_split() -> None:
    loaded = data.load("breast_cancer")
    train = loaded.raw.images["train"].astype(np.float64)
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(train.std(0), 1, atol=1e-5)
    table = load_breast_cancer().data
    by_train = (table - table[:455].mean(0)) / table[:455].std(0)
    np.testing.assert_allclose(loaded.raw.images["test"], by_train[-57:], rtol=1e-5, atol=1e-5)
    assert loaded.spec.kind == "real"
    with pytest.raises(UsageError, match="breast_cancer is real-valued and cannot be binarised"):
        data.load("breast_cancer", binarise="threshold")
