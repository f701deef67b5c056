"""The data sets by name: one entry each, and everything that can be said of them without loading one."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.data.entry import DataSet, File
from bench.data.generated import GENERATED
from bench.errors import UsageError
from bench.text import did_you_mean, hint

# "levels" and "dequantise" do not binarise: they say what the grey values of eight bits are taken for.
BINARISATIONS = ("dynamic", "fixed", "threshold", "none", "levels", "dequantise")


def _splits(train: int, valid: int, test: int) -> dict[str, int]:
    return {"train": train, "valid": valid, "test": test}


def _idx_files(ending: str, checksums: Iterable[dict[str, str]], mirror: str | None = None) -> tuple[File, ...]:
    """The four files of an MNIST-like set, in the order that the reader expects."""
    stems = (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    )
    return tuple(
        File(stem + ending, url=None if mirror is None else f"{mirror}{stem}{ending}", **checksum)
        for stem, checksum in zip(stems, checksums, strict=True)
    )


def _photographs(side: int) -> DataSet:
    return DataSet(
        name=f"photographs{side}",
        shape=(3, side, side),
        splits=_splits(1_200, 200, 200),
        rule="crops of two photographs at random places, which overlap: to try what training stands",
        binarise="none",
        source="comes with scikit-learn",
        licence="CC BY 2.0 (danielbuechele and vultilion on Flickr)",
        package="sklearn",
    )


_ALL = (
    DataSet(
        name="mnist",
        class_count=10,
        shape=(1, 28, 28),
        splits=_splits(50_000, 10_000, 10_000),
        rule="train file: first 50,000 train, last 10,000 valid; test file: test",
        binarise="dynamic",
        source="comes with this package",
        licence="CC BY-SA 3.0 (Yann LeCun and Corinna Cortes)",
        files=_idx_files(
            ".xz",
            [
                {"sha256": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"},
                {"sha256": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"},
                {"sha256": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"},
                {"sha256": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"},
            ],
        ),
        folders=(Path(__file__).parent / "mnist",),
    ),
    DataSet(
        name="fashion_mnist",
        class_count=10,
        shape=(1, 28, 28),
        splits=_splits(50_000, 10_000, 10_000),
        rule="train file: first 50,000 train, last 10,000 valid; test file: test",
        binarise="dynamic",
        source="Debian's dataset-fashion-mnist, or download",
        licence="MIT (Zalando SE)",
        classes=(
            *("T-shirt", "trouser", "pullover", "dress", "coat"),
            *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
        ),
        files=_idx_files(
            ".gz",
            # Debian packs the files anew: its copies have this sha256 when unpacked, but not the published md5.
            [
                {
                    "sha256": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                    "md5": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                },
                {
                    "sha256": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                    "md5": "25c81989df183df01b3e8a0aad5dffbe",
                },
                {
                    "sha256": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                    "md5": "bef4ecab320f06d8554ea6380940ec79",
                },
                {
                    "sha256": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
                    "md5": "bb300cfdad3c16e7a12a480ee83cd310",
                },
            ],
            mirror="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        folders=(Path("/usr/share/datasets/fashion-mnist"),),
    ),
    DataSet(
        name="kmnist",
        class_count=10,
        shape=(1, 28, 28),
        splits=_splits(50_000, 10_000, 10_000),
        rule="train file: first 50,000 train, last 10,000 valid; test file: test",
        binarise="dynamic",
        source="download",
        licence="CC BY-SA 4.0 (Clanuwat et al. 2018)",
        classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        files=_idx_files(
            ".gz",
            [
                {"md5": "bdb82020997e1d708af4cf47b453dcf7"},
                {"md5": "e144d726b3acfaa3e44228e80efcd344"},
                {"md5": "5c965bf0a639b31b8f53240b1b52f4d7"},
                {"md5": "7320c461ea6c1c855c0b718fb2a4b134"},
            ],
            mirror="http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        ),
    ),
    DataSet(
        name="omniglot",
        shape=(1, 28, 28),
        splits=_splits(22_722, 1_623, 8_115),
        rule="by drawer of each character: 1-14 train, 15 valid, 16-20 test",
        binarise="dynamic",
        source="download",
        licence="MIT (Lake, Salakhutdinov and Tenenbaum 2015)",
        files=(
            File(
                "images_background.zip",
                md5="68d2efa1b9178cc56df9314c21c6e718",
                url="https://raw.githubusercontent.com/brendenlake/omniglot/master/python/images_background.zip",
            ),
            File(
                "images_evaluation.zip",
                md5="6b91aef0f799c5bb55b94e3f2daec811",
                url="https://raw.githubusercontent.com/brendenlake/omniglot/master/python/images_evaluation.zip",
            ),
        ),
    ),
    DataSet(
        name="digits",
        class_count=10,
        shape=(1, 8, 8),
        splits=_splits(1_297, 250, 250),
        rule="first 1,297 train, next 250 valid, last 250 test",
        binarise="dynamic",
        source="comes with scikit-learn",
        licence="CC BY 4.0 (UCI, Alpaydin and Kaynak 1998)",
        package="sklearn",
        levels=17,
    ),
    *(_photographs(side) for side in (32, 64, 128)),
    DataSet(
        name="breast_cancer",
        class_count=2,
        shape=(30,),
        splits=_splits(455, 57, 57),
        rule="in a row; every column less its mean and over its standard deviation, both of train",
        binarise="none",
        source="comes with scikit-learn",
        licence="CC BY 4.0 (UCI, Wolberg, Mangasarian, Street and Street 1993)",
        classes=("malignant", "benign"),
        package="sklearn",
        kind="real",
    ),
    DataSet(
        name="cifar10",
        class_count=10,
        shape=(3, 32, 32),
        splits=_splits(45_000, 5_000, 10_000),
        rule="training batches: first 45,000 train, last 5,000 valid; test batch: test",
        binarise="none",
        source="download",
        licence="none stated (Krizhevsky 2009)",
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        files=(
            File(
                "cifar-10-python.tar.gz",
                md5="c58f30108f718f92721af3b95e74349a",
                url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            ),
        ),
    ),
    DataSet(
        name="svhn",
        class_count=10,
        shape=(3, 32, 32),
        splits=_splits(65_257, 8_000, 26_032),
        rule="train file: first 65,257 train, last 8,000 valid; test file: test; the extra file is not used",
        binarise="none",
        source="download",
        licence="non-commercial use only (Netzer et al. 2011)",
        files=(
            File(
                "train_32x32.mat",
                md5="e26dedcc434d2e4c54c9b2d4a06d8373",
                url="http://ufldl.stanford.edu/housenumbers/train_32x32.mat",
            ),
            File(
                "test_32x32.mat",
                md5="eb5a983be6a315427106f1b164d9cef3",
                url="http://ufldl.stanford.edu/housenumbers/test_32x32.mat",
            ),
        ),
    ),
    DataSet(
        name="celeba",
        shape=(3, 64, 64),
        splits=_splits(162_770, 19_867, 19_962),
        rule="the authors' partition; aligned faces, centre crop 148 x 148, resized to 64 x 64",
        binarise="none",
        source="download (needs gdown)",
        licence="non-commercial research only (Liu et al. 2015)",
        files=(
            File(
                "img_align_celeba.zip",
                md5="00d2c5bc6d35e252742224ab0c1e8fcb",
                url="https://drive.google.com/file/d/0B7EVK8r0v71pZjFTYXZWM3FlRnM/view",
            ),
            File(
                "list_eval_partition.txt",
                md5="d32c9cbf5e040fd4025c592c306e6668",
                url="https://drive.google.com/file/d/0B7EVK8r0v71pY0NSMzRuSXJEVkk/view",
            ),
        ),
    ),
    *GENERATED,
)
SETS = {dataset.name: dataset for dataset in _ALL}


def find(name: str) -> DataSet:
    """The entry of a named data set.

    Raises:
        UsageError: if there is none of that name.
    """
    if name not in SETS:
        raise UsageError(
            f"unknown data set {name!r}, and no path of a file or folder of yours: {hint(str(name), SETS)}"
        )
    return SETS[name]


def classes(name: str) -> tuple[str, ...]:
    """The names of a data set's labels, in their order; none where the numbers say it, and for data of no such name."""
    return SETS[name].classes if name in SETS else ()


def check_binarise(name: str, binarise: str, kind: str | None = None) -> None:
    """Refuse a binarisation that does not exist, or that data of a kind, by default that of the named set, cannot have.

    Raises:
        UsageError: in both cases.
    """
    if binarise not in BINARISATIONS:
        hint = did_you_mean(binarise, BINARISATIONS)
        raise UsageError(f"unknown binarisation {binarise!r}{hint}; choose one of {', '.join(BINARISATIONS)}")
    if (kind := kind or find(name).kind) != "unit" and binarise != "none":
        why = {"binary": "is binary as it is", "counts": "has counts, which are no grey values"}.get(
            kind, "is real-valued and cannot be binarised"
        )
        raise UsageError(f"{name} {why}; use binarise='none', not {binarise!r}")


def check_options(name: str, options: Mapping[str, object]) -> dict[str, bool | int | float]:
    """The options of a data set, completed with its defaults.

    Raises:
        UsageError: on an unknown option, a value of the wrong type or out of range.
    """
    entry = find(name)
    defaults = entry.takes
    resolved = dict(defaults)
    for key, value in options.items():
        if key not in defaults:
            known = f"it takes {', '.join(defaults)}" if defaults else "it takes none"
            raise UsageError(f"{name}: unknown option {key!r}{did_you_mean(key, defaults)}; {known}")
        wanted = type(defaults[key])
        if wanted is float and type(value) is int:
            value = float(value)
        if not isinstance(value, (bool, int, float)) or type(value) is not wanted:
            raise UsageError(f"{name}: option {key} must be of type {wanted.__name__}, got {value!r}")
        resolved[key] = value
    for key, least in {**entry.least, **dict.fromkeys(entry.left_out, 0)}.items():
        if resolved[key] < least:
            raise UsageError(f"{name}: option {key} must be at least {least}, got {resolved[key]}")
    entry.check(name, resolved)
    return {key: value for key, value in resolved.items() if value or key not in entry.left_out}
