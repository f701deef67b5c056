"""What a device is called, which of them is used, and what a process may use of a processor."""

import os
from pathlib import Path

import pytest

from bench import device
from bench.errors import MachineError, UsageError


@pytest.mark.parametrize(
    ("present", "asked", "found"),
    [
        (None, "auto", "cpu"),
        (None, "cpu", "cpu"),
        ("cuda", "auto", "cuda"),
        ("cuda", "cpu", "cpu"),
        ("cuda", "cuda", "cuda"),
        ("npu", "npu", "npu"),
    ],
)
def test_auto_is_the_accelerator_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, present: str | None, asked: str, found: str
) -> None:
    monkeypatch.setattr(device, "accelerator", lambda: present)
    assert device.resolve(asked) == found


def test_a_device_that_is_not_there_is_replaced_by_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for present, words in ((None, "cpu only"), ("cuda", "cuda")):
        monkeypatch.setattr(device, "accelerator", lambda present=present: present)
        with pytest.raises(MachineError, match=rf"'mps' is not available here \(found: {words}\): use --device auto"):
            device.resolve("mps")
        with pytest.raises(UsageError, match="unknown device 'npu': choose one of auto, cpu, cuda, mps, xpu"):
            device.resolve("npu")


def test_a_process_uses_no_more_cores_than_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    assert (device.cores(), device.default_jobs("cpu"), device.default_jobs("cuda")) == (3, 3, 1)
    monkeypatch.delattr(os, "sched_getaffinity")
    assert device.cores() == 64


def test_a_compiler_is_asked_for_the_cpu_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    device.require_compiler("cuda")
    for system, name in (("linux", r"g\+\+"), ("darwin", r"clang\+\+")):
        monkeypatch.setattr(device.sys, "platform", system)
        with pytest.raises(MachineError, match=f"needs the C\\+\\+ compiler {name}, which is not here"):
            device.require_compiler("cpu")


def test_a_processor_has_the_name_of_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = "processor\t: 0\nvendor_id\t: Some\nmodel name\t: Some CPU: 3 GHz \nflags\t: a b\nmodel name\t: Other\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: facts)
    assert device.describe("cpu") == "Some CPU: 3 GHz"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "")
    assert device.describe("cpu") == device.platform.machine()
