"""Wrong bytes are never used, and a download leaves a whole file or none."""

import dataclasses
import functools
import gzip
import hashlib
import http.server
import io
import lzma
import pickle
import shutil
import socket
import struct
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image

import bench.data as data
from bench.data import files, readers, sets
from bench.errors import DataError, MachineError

SIZES = {"train": 6, "valid": 2, "test": 3}
NOWHERE = "http://127.0.0.1:9/"


def put(
    monkeypatch: pytest.MonkeyPatch, name: str, folder: Path, contents: dict[str, bytes], **changes: object
) -> None:
    """Write small stand-ins for the files of a data set, and expect their checksums."""
    folder.mkdir(parents=True, exist_ok=True)
    expected = []
    for file in sets.find(name).files:
        (folder / file.name).write_bytes(contents[file.name])
        md5 = hashlib.md5(contents[file.name]).hexdigest()
        expected.append(dataclasses.replace(file, md5=md5, sha256=None))
    changes = {"splits": SIZES, "files": tuple(expected), "folders": ()} | changes
    monkeypatch.setitem(sets.SETS, name, dataclasses.replace(sets.find(name), **changes))  # type: ignore[arg-type]


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def idx_contents(seed: int = 0) -> dict[str, bytes]:
    rng = np.random.default_rng(seed)
    contents = {}
    for stem, n in (("train", 8), ("t10k", 3)):
        images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        contents[f"{stem}-images-idx3-ubyte.gz"] = gzip.compress(idx(images))
        contents[f"{stem}-labels-idx1-ubyte.gz"] = gzip.compress(idx(np.arange(n, dtype=np.uint8)))
    return contents


def everything(loaded: "data.Data", split: str) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[name-defined]
    x, y = zip(*loaded.eval_batches(split, 4), strict=True)
    return torch.cat(x), torch.cat(y)


def test_the_data_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("VAEBENCH_DATA", str(tmp_path / "chosen"))
    assert files.data_root(tmp_path / "given") == tmp_path / "given"
    assert files.data_root() == tmp_path / "chosen"
    monkeypatch.delenv("VAEBENCH_DATA")
    assert files.data_root() == tmp_path / "cache" / "vaebench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert files.data_root() == Path.home() / ".cache" / "vaebench"


@pytest.fixture
def mnist_copy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    mnist = sets.find("mnist")
    copy = tmp_path / "mnist"
    shutil.copytree(mnist.folders[0], copy)
    monkeypatch.setitem(sets.SETS, "mnist", dataclasses.replace(mnist, folders=(copy,)))
    return copy


def repack(path: Path, flip: int = 0) -> None:
    content = bytearray(lzma.decompress(path.read_bytes()))
    content[len(content) // 2] ^= flip
    path.write_bytes(lzma.compress(bytes(content), preset=0))


def test_files_packed_anew_are_as_good(mnist_copy: Path) -> None:
    repack(mnist_copy / "train-labels-idx1-ubyte.xz")
    assert data.verify("mnist") == "94d51b72971cee860660d41bd4f9c77de633ce3f9150991a301fa75b82e83237"


def test_one_flipped_bit_is_refused(mnist_copy: Path) -> None:
    repack(mnist_copy / "train-labels-idx1-ubyte.xz", flip=1)
    with pytest.raises(DataError, match=r"train-labels.*holds other data"):
        data.load("mnist")


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_archive_is_refused(mnist_copy: Path, damage: str) -> None:
    path = mnist_copy / "train-images-idx3-ubyte.xz"
    content = bytearray(path.read_bytes())
    content[10_000] ^= 1
    path.write_bytes({"cut": path.read_bytes()[:100_000], "flipped": content, "empty": b""}[damage])
    with pytest.raises(DataError, match=r"cannot read .*train-images"):
        data.fetch("mnist")


def test_a_damaged_gzip_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put(monkeypatch, "fashion_mnist", tmp_path / "fashion_mnist", idx_contents())
    known = [dataclasses.replace(file, sha256="0" * 64) for file in sets.find("fashion_mnist").files]
    changed = dataclasses.replace(sets.find("fashion_mnist"), files=tuple(known))
    monkeypatch.setitem(sets.SETS, "fashion_mnist", changed)
    with pytest.raises(DataError, match="holds other data"):
        data.verify("fashion_mnist", tmp_path)
    path = tmp_path / "fashion_mnist" / known[0].name
    content = bytearray(path.read_bytes())
    for place in range(20, 60):
        content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read|holds other data"):
        data.verify("fashion_mnist", tmp_path)


def test_a_file_missing_from_the_package_says_so(mnist_copy: Path, tmp_path: Path) -> None:
    (mnist_copy / "t10k-labels-idx1-ubyte.xz").unlink()
    with pytest.raises(DataError, match="install vaebench again"):
        data.load("mnist", root=tmp_path / "root")


def test_verify_fetches_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is not in"):
        data.verify("kmnist", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["kmnist", "omniglot", "cifar10", "svhn", "celeba"])
def test_what_is_not_the_published_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    for file in sets.find(name).files:
        (tmp_path / name / file.name).write_bytes(b"other bytes")
    with pytest.raises(DataError, match="is not the published file"):
        data.verify(name, tmp_path)


def test_a_file_of_google_drive_comes_through_its_downloader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = sets.find("celeba").files[1]
    small = dataclasses.replace(file, md5=hashlib.md5(b"whole").hexdigest())
    asked = []

    def download_url(url: str, folder: str, name: str) -> None:
        asked.append((url, socket.getdefaulttimeout()))
        (Path(folder) / name).write_bytes(b"whole")

    monkeypatch.setattr(files, "require", lambda *_: SimpleNamespace(download_url=download_url))
    files.fetch(dataclasses.replace(sets.find("celeba"), files=(small,)), tmp_path)
    assert (tmp_path / file.name).read_bytes() == b"whole"
    assert asked == [(file.url, files.TIMEOUT_S)]
    assert socket.getdefaulttimeout() is None

    def require(module: str, package: str, _: str) -> Any:
        raise MachineError(f"{package} is needed for {module}")

    monkeypatch.setattr(files, "require", require)
    (tmp_path / file.name).unlink()
    with pytest.raises(MachineError, match="gdown is needed"):
        files.fetch(dataclasses.replace(sets.find("celeba"), files=(small,)), tmp_path)


def test_an_error_is_told_on_one_line() -> None:
    assert files.one_line(ValueError("a\n  b")) == "a b"
    assert files.one_line(ValueError()) == "ValueError"
    assert len(files.one_line(ValueError("word " * 100))) == 200


def redirect(monkeypatch: pytest.MonkeyPatch, name: str, base: str) -> None:
    dataset = sets.find(name)
    here = [dataclasses.replace(file, url=base + file.name) for file in dataset.files]
    monkeypatch.setitem(sets.SETS, name, dataclasses.replace(dataset, files=tuple(here)))


@pytest.mark.parametrize("name", ["kmnist", "omniglot", "cifar10", "svhn", "celeba"])
def test_without_a_network_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    redirect(monkeypatch, name, NOWHERE)
    start = time.monotonic()
    with pytest.raises(DataError) as refusal:
        data.load(name, root=tmp_path)
    # The first of these tests also imports torchvision.
    assert time.monotonic() - start < 15
    said, first = str(refusal.value), sets.find(name).files[0].name
    assert "\n" not in said
    assert f"could not fetch {NOWHERE}{first}" in said
    assert f"put {first} in {tmp_path / name}" in said
    assert "VAEBENCH_DATA" in said
    assert not list((tmp_path / name).iterdir())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server of the files in a folder, on this machine only."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(shelf))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}/", shelf
        httpd.shutdown()
        thread.join()


def test_a_download_is_checked_and_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: tuple[str, Path]
) -> None:
    base, shelf = server
    put(monkeypatch, "kmnist", shelf, idx_contents())
    redirect(monkeypatch, "kmnist", base)
    data.fetch("kmnist", tmp_path)
    assert sorted(p.name for p in (tmp_path / "kmnist").iterdir()) == sorted(idx_contents())
    redirect(monkeypatch, "kmnist", NOWHERE)
    loaded = data.load("kmnist", root=tmp_path, binarise="none")
    assert loaded.splits == SIZES
    assert loaded.checksum == data.verify("kmnist", tmp_path)


def test_a_wrong_download_leaves_nothing_that_is_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: tuple[str, Path]
) -> None:
    base, shelf = server
    put(monkeypatch, "kmnist", shelf, idx_contents())
    redirect(monkeypatch, "kmnist", base)
    (shelf / "t10k-images-idx3-ubyte.gz").write_bytes(b"an error page")
    with pytest.raises(DataError, match=r"could not fetch .*t10k-images"):
        data.fetch("kmnist", tmp_path)
    assert sorted(p.name for p in (tmp_path / "kmnist").iterdir()) == [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    ]


def test_a_root_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="set VAEBENCH_DATA"):
        data.load("kmnist", root=tmp_path / "file")


def test_a_missing_package_says_so() -> None:
    with pytest.raises(MachineError, match="no-such-package is needed for a test: pip install no-such-package"):
        files.require("no_such_module", "no-such-package", "for a test")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\x08",
        b"\0\0\x08\x03\0\0",
        b"\0\0\x0d\x01\0\0\0\x01\0",
        idx(np.zeros(3, dtype=np.uint8))[:-1],
        b"junk" * 9,
    ],
)
def test_what_is_not_idx_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match=r"x\.gz"):
        readers.parse_idx(content, Path("x.gz"))


def test_idx_keeps_axes_and_order() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert np.array_equal(readers.parse_idx(idx(array), Path("x")), array)


def test_altered_digits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "DIGITS_SHA256", "0" * 64)
    with pytest.raises(DataError, match="altered"):
        data.verify("digits")


def test_splits_other_than_stated_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put(monkeypatch, "kmnist", tmp_path / "kmnist", idx_contents(), splits={"train": 7, "valid": 2, "test": 3})
    with pytest.raises(DataError, match="there must be 12"):
        data.verify("kmnist", tmp_path)


# The readers of sets too large to ship, on small files of the same form.


def test_omniglot_splits_by_drawer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    contents = {}
    for i, part in enumerate(("images_background", "images_evaluation")):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for drawer in range(20, 0, -1):
                page = Image.new("1", (105, 105), 1)
                page.paste(0, (0, 0, 15, 15 * (drawer % 7)))
                if drawer == 16:
                    page.putpixel((104, 104), 0)
                png = io.BytesIO()
                page.save(png, "png")
                archive.writestr(f"{part}/Greek/character01/{i:04d}_{drawer:02d}.png", png.getvalue())
        contents[f"{part}.zip"] = buffer.getvalue()
    sizes = {"train": 28, "valid": 2, "test": 10}
    put(monkeypatch, "omniglot", tmp_path / "omniglot", contents, splits=sizes)
    loaded = data.load("omniglot", root=tmp_path, binarise="none")
    assert loaded.splits == sizes
    x, y = everything(loaded, "train")
    assert (x.shape, y.tolist()) == ((28, 1, 28, 28), [0] * 14 + [1] * 14)
    # Ink is white and 15 pixels become 4; the third drawer drew 45 pixels high, the seventh nothing.
    assert (x[2, 0, :12, :4] == 1).all()
    assert x[2].sum() == 48
    assert x[6].sum() == 0
    assert everything(loaded, "valid")[0][0].sum() == 4 * 4
    # A pixel of ink is a fourteenth of one of the small page.
    assert 0.05 < everything(loaded, "test")[0][0, 0, 27, 27] < 0.1


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined,misc]
    """Writes what Python 2 wrote into CIFAR-10: its strings were bytes, and numpy had a `core`."""

    def save_string(self, text: str | bytes) -> None:
        content = text if isinstance(text, bytes) else text.encode("latin1")
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)

    dispatch = pickle._Pickler.dispatch | {str: save_string, bytes: save_string}  # type: ignore[attr-defined]


def python2_pickle(value: object) -> bytes:
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue().replace(b"numpy._core.", b"numpy.core.")


def test_cifar10_is_read_without_running_pickles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 3, 32, 32), dtype=np.uint8)

    def archive(batches: list[bytes]) -> dict[str, bytes]:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for name, batch in zip([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"], batches, strict=True):
                info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
                info.size = len(batch)
                tar.addfile(info, io.BytesIO(batch))
        return {"cifar-10-python.tar.gz": buffer.getvalue()}

    batches = [
        python2_pickle({"data": images[2 * i : 2 * i + 2].reshape(2, -1), "labels": [i, i + 1]}) for i in range(6)
    ]
    assert b"numpy.core.multiarray\n_reconstruct" in batches[0]
    sizes = {"train": 8, "valid": 2, "test": 2}
    put(monkeypatch, "cifar10", tmp_path / "cifar10", archive(batches), splits=sizes)
    loaded = data.load("cifar10", root=tmp_path)
    x, y = everything(loaded, "valid")
    assert torch.equal(x, torch.from_numpy(images[8:10]).float() / 255)
    assert (y.tolist(), loaded.spec.kind) == ([4, 5], "unit")

    batches[0] = pickle.dumps(shutil.rmtree)
    put(monkeypatch, "cifar10", tmp_path / "cifar10", archive(batches), splits=sizes)
    with pytest.raises(DataError, match="not part of an array"):
        data.load("cifar10", root=tmp_path)


def test_svhn_turns_axes_and_ten_into_zero(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    contents, images = {}, {}
    for part, n in (("train", 8), ("test", 3)):
        images[part] = rng.integers(0, 256, (32, 32, 3, n), dtype=np.uint8)
        labels = np.array([10, *range(1, n)], dtype=np.uint8)[:, None]
        buffer = io.BytesIO()
        scipy.io.savemat(buffer, {"X": images[part], "y": labels})
        contents[f"{part}_32x32.mat"] = buffer.getvalue()
    put(monkeypatch, "svhn", tmp_path / "svhn", contents)
    loaded = data.load("svhn", root=tmp_path)
    x, y = everything(loaded, "test")
    assert y.tolist() == [0, 1, 2]
    assert x[1, 2, 5, 7] == torch.tensor(images["test"][5, 7, 2, 1]).float() / 255
    assert everything(loaded, "valid")[1].tolist() == [6, 7]


@pytest.fixture
def celeba(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A small CelebA: photo i is one grey of 20 i, but for a margin that the crop must remove."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for i in range(11):
            photo = Image.new("RGB", (178, 218), (255, 0, 0))
            photo.paste((20 * i,) * 3, (10, 30, 168, 188))
            jpeg = io.BytesIO()
            photo.save(jpeg, "jpeg", quality=95)
            archive.writestr(f"img_align_celeba/{i + 1:06d}.jpg", jpeg.getvalue())
    # Not in the order of the splits, so that a reader that ignores the partition fails.
    parts = [2, 0, 0, 0, 1, 2, 0, 0, 1, 2, 0]
    partition = "".join(f"{i + 1:06d}.jpg {part}\n" for i, part in enumerate(parts))
    contents = {"img_align_celeba.zip": buffer.getvalue(), "list_eval_partition.txt": partition.encode()}
    put(monkeypatch, "celeba", tmp_path / "celeba", contents)
    return tmp_path


def test_a_photograph_is_cut_in_its_middle_and_stands_upright(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (14, 10, 3), dtype=np.uint8)
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for i in range(2):
            png = io.BytesIO()
            Image.fromarray(pixels[:, :: 1 - 2 * i]).save(png, "png")
            archive.writestr(f"{i}.png", png.getvalue())
    photos = readers.Photos(tmp_path / "photos.zip", ["1.png", "0.png"], crop=6, size=6)
    assert len(photos) == 2
    middle = pixels[4:10, 2:8].transpose(2, 0, 1)
    assert np.array_equal(photos[1], middle)
    assert np.array_equal(photos[0], middle[:, :, ::-1])
    # Another process opens the archive anew: a position in a file is shared with whoever forked it.
    again = pickle.loads(pickle.dumps(photos))
    again._open = (-1, None)
    assert np.array_equal(again[1], middle)


def test_a_photograph_is_made_smaller_by_means_of_its_pixels(tmp_path: Path) -> None:
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (12, 6))
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        png = io.BytesIO()
        Image.fromarray(stripes).save(png, "png")
        archive.writestr("0.png", png.getvalue())
    small = readers.Photos(tmp_path / "photos.zip", ["0.png"], crop=12, size=6)[0]
    assert small.shape == (3, 6, 6)
    assert 80 < small.min() <= small.max() < 175


def test_celeba_streams_by_the_partition(celeba: Path) -> None:
    loaded = data.load("celeba", root=celeba)
    assert loaded.streamed
    assert loaded.splits == SIZES
    photos: Any = loaded.raw.images["test"]
    assert (photos.crop, photos.size) == (148, 64)
    x, y = everything(loaded, "test")
    assert (x.shape, x.dtype, y.tolist()) == ((3, 3, 64, 64), torch.float32, [0, 0, 0])
    greys = torch.tensor([0, 100, 180]) / 255
    torch.testing.assert_close(x[..., 2:-2, 2:-2], greys[:, None, None, None].expand(-1, 3, 60, 60), atol=0.02, rtol=0)
    assert torch.equal(torch.cat([x for x, _ in loaded.eval_batches("test", 2, limit=2)]), x[:2])
    assert loaded.checksum == data.verify("celeba", celeba)


def test_a_partition_of_other_sizes_is_refused(celeba: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = dataclasses.replace(sets.find("celeba"), splits=SIZES | {"test": 4})
    monkeypatch.setitem(sets.SETS, "celeba", changed)
    with pytest.raises(DataError, match=r"read splits of .* where there must be"):
        data.verify("celeba", celeba)


def test_streaming_drops_nothing_and_obeys_the_generators(celeba: Path) -> None:
    loaded = data.load("celeba", root=celeba, train_size=5)

    def one_pass(seed: int) -> list[torch.Tensor]:
        order = torch.Generator().manual_seed(seed)
        return list(loaded.train_batches(2, order=order, noise=torch.Generator()))

    state = torch.get_rng_state()
    first = one_pass(0)
    assert torch.equal(state, torch.get_rng_state())
    assert [len(x) for x in first] == [2, 2, 1]
    assert all(torch.equal(a, b) for a, b in zip(first, one_pass(0), strict=True))
    middles = sorted((torch.cat(first)[:, 0, 32, 32] * 255).round().int().tolist())
    assert middles == pytest.approx([20, 40, 60, 120, 140], abs=3)


def test_streamed_images_are_binarised_like_resident_ones(celeba: Path) -> None:
    fixed, dynamic = (data.load("celeba", root=celeba, binarise=how) for how in ("fixed", "dynamic"))
    x = everything(fixed, "train")[0]
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(x, torch.cat([x for x, _ in dynamic.eval_batches("train", 1)]))
    places = [0, 3]
    assert torch.equal(next(fixed.eval_batches("train", 6, limit=2))[0], x[places])
    drawn = next(iter(dynamic.train_batches(6, order=torch.Generator(), noise=torch.Generator())))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
