"""Tables of configurations and implementations, and the command that writes them, with made-up times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from ganframe_kernels import ops, tune, tuning
from ganframe_kernels.bench.cases import CASES
from ganframe_kernels.dispatch import use_triton
from ganframe_kernels.testing import default_device, implementation
from ganframe_kernels.tuning import REFERENCE, Tables, key, load, recording, tuned, using

DEVICE = torch.device(default_device())


@pytest.fixture(autouse=True)
def on_a_named_device(monkeypatch):
    monkeypatch.setattr(tuning, "device_name", lambda kind, index: "sm90 triton3.7")
    monkeypatch.setenv("GANFRAME_KERNELS", "auto")


def test_what_the_package_ships_is_empty_until_a_gpu_has_measured():
    assert load({}) == Tables()


def test_a_key_says_what_a_time_depends_on():
    x = torch.ones(5, 3, 4, 4, dtype=torch.bfloat16)
    assert key("op", x, (5, 1, 0, 64, 65)) == "op sm90 triton3.7 bfloat16 contiguous 3x0x0x6x7"
    last = x.contiguous(memory_format=torch.channels_last)
    assert key("op", last, (8,)) == "op sm90 triton3.7 bfloat16 nhwc 3"
    assert key("op", x.double(), (9,)) == "op sm90 triton3.7 float64 contiguous 4"


def test_the_name_of_the_device_has_capability_and_version(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (9, 0))
    monkeypatch.setattr(tuning, "version", lambda package: "3.7.1")
    assert tuning.device_name("cuda", 0) == "sm90 triton3.7"
    assert tuning.device_name("cpu", 0) == "cpu triton3.7"


def test_a_configuration_takes_the_place_of_the_heuristic():
    x = torch.ones(2)
    with using(Tables({key("bias_act", x, (1024, 100)): {"BLOCK_M": 8}})):
        assert tuned("bias_act", x, (1024, 100), BLOCK_M=1, num_warps=4) == {"BLOCK_M": 8, "num_warps": 4}
        assert tuned("bias_act", x, (600, 65), BLOCK_M=1) == {"BLOCK_M": 8}
        assert tuned("bias_act", x, (1025, 100), BLOCK_M=1) == {"BLOCK_M": 1}
        assert tuned("bias_act", x.to("meta"), (1024, 100), BLOCK_M=1) == {"BLOCK_M": 1}


def test_auto_takes_the_reference_where_it_was_faster():
    x = torch.ones(4, 3, 5, 5, device=DEVICE)
    with recording() as asked:
        assert use_triton(x, "some_op", 2)
    assert asked.implementations == ["some_op, eager sm90 triton3.7 float32 contiguous 2x2x3x3x1"]
    with using(Tables({}, dict.fromkeys(asked.implementations, REFERENCE))):
        assert not use_triton(x, "some_op", 2)
        assert not use_triton(x[:3], "some_op", 2)
        assert use_triton(x[:2], "some_op", 2)
        assert use_triton(x, "some_op", 4)
        assert use_triton(x, "another_op", 2)
        with implementation("triton"):
            assert use_triton(x, "some_op", 2)
    assert use_triton(x, "some_op", 2)


def test_every_operation_asks_once_under_its_own_name():
    for case in CASES:
        names = {"instance_norm_act": "instance_norm", "adain": "instance_norm", "spectral_norm_sigma": "spectral_norm"}
        with recording() as asked, implementation("auto"):
            case.call(*case.make(case.small, torch.float32, "NCHW", DEVICE))
        if case.op not in ("filtered_lrelu", "modulated_conv2d", "conv2d_resample", "demodulation"):
            name = names.get(case.op, case.op.removesuffix("_bias_act"))
            assert [key.partition(",")[0] for key in asked.implementations] == [name]


def test_what_is_compiled_has_entries_of_its_own_and_keeps_one_graph(monkeypatch):
    torch.compiler.reset()
    graphs = list[bool]()

    def backend(graph, examples):
        graphs.append(any("ganframe_kernels" in str(node.target) for node in graph.graph.nodes))
        return graph

    x = torch.randn(4, 6, 8, 8, device=DEVICE)
    with recording() as asked:
        ops.bias_act(x)
    (eager,) = asked.implementations
    compiled = torch.compile(ops.bias_act, backend=backend, fullgraph=True)
    with using(Tables({}, {eager.replace("eager", "compiled"): REFERENCE})):
        assert use_triton(x, "bias_act")
        compiled(x)
        compiled(x[:3])
        compiled(torch.cat([x, x]))
    assert graphs == [False, False, True]


def test_a_file_of_ones_own_comes_first(tmp_path):
    file = tmp_path / "mine.json"
    tables = Tables({"one": {"BLOCK": 2}}, {"two": REFERENCE})
    tables.write(file)
    assert load({"GANFRAME_KERNELS_TUNED": str(file)}) == tables
    assert Tables({"one": {"BLOCK": 1}, "three": {"BLOCK": 4}}) | tables == Tables(
        {"one": {"BLOCK": 2}, "three": {"BLOCK": 4}}, {"two": REFERENCE}
    )


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"configurations": {}}',
        '{"configurations": {"a": {"BLOCK": "1"}}, "implementations": {}}',
        '{"configurations": {}, "implementations": {"a": "cudnn"}}',
    ],
)
def test_a_file_that_is_no_table_is_refused(text, tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"GANFRAME_KERNELS_TUNED=.*mine.json: expected JSON objects .*; given"):
        load({"GANFRAME_KERNELS_TUNED": str(file)})
    with pytest.raises(ValueError, match=r"given .*absent.json"):
        load({"GANFRAME_KERNELS_TUNED": str(tmp_path / "absent.json")})


def distance(call, preferred):
    """1 + how many doublings the configurations of a call are from the preferred ones."""
    seen = []
    real = tuning.tuned

    def spy(op, x, sizes, **heuristic):
        configuration = real(op, x, sizes, **heuristic)
        seen.append(configuration)
        return configuration

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ganframe_kernels.gradient_norm.kernels.tuned", spy)
        call(0)
    return 1 + sum(
        abs(configuration[name].bit_length() - value.bit_length())
        for configuration in seen
        for name, value in preferred.items()
    )


@pytest.fixture
def case():
    (found,) = (case for case in CASES if case.op == "gradient_norm")
    return replace(found, shape=found.small)


@pytest.mark.parametrize("reference", [0.5, 5.0])
@pytest.mark.filterwarnings("default")
def test_tuning_finds_the_fastest_configuration_and_implementation(case, reference):
    def clock(calls):
        return {name: reference if name == "reference" else distance(call, preferred) for name, call in calls.items()}

    preferred = {"BLOCK": 512, "num_warps": 8}
    found = tune.tune(case, torch.float32, "NCHW", DEVICE, clock)
    assert list(found.configurations.values()) == [preferred, preferred]
    names = [name.partition(" sm90")[0] for name in found.implementations]
    assert names == (["gradient_norm, eager", "gradient_norm, compiled"] if reference < 1 else [])
    with using(found):
        assert use_triton(case.make(case.shape, torch.float32, "NCHW", DEVICE)[0], "gradient_norm") == (reference > 1)


@pytest.mark.filterwarnings("default")
def test_tuning_leaves_out_what_cannot_run_or_is_wrong(case, monkeypatch):
    from ganframe_kernels.gradient_norm import kernels  # needs Triton

    real = kernels.inner

    def inner(x, y):
        BLOCK = tuned("gradient_norm", x, (x.shape[0], x.shape[1:].numel()), BLOCK=4096, num_warps=8)["BLOCK"]
        if BLOCK > 4096:
            raise RuntimeError("out of shared memory")
        return real(x, y) * (1.5 if BLOCK < 4096 else 1.0)

    monkeypatch.setattr(kernels, "inner", inner)

    def clock(calls):
        return {name: distance(call, {"BLOCK": 64}) for name, call in calls.items()}

    found = tune.tune(case, torch.float32, "NCHW", DEVICE, clock)
    assert not any(name.startswith("gradient_norm sm90") for name in found.configurations)


def test_findings_join_what_the_file_holds(tmp_path):
    file = tmp_path / "deep" / "tuned.json"
    tune.join(file, Tables({"a": {"BLOCK": 1}, "b": {"BLOCK": 2}}))
    tune.join(file, Tables({"a": {"BLOCK": 4}}, {"c": REFERENCE}))
    expected = {"configurations": {"a": {"BLOCK": 4}, "b": {"BLOCK": 2}}, "implementations": {"c": REFERENCE}}
    assert json.loads(file.read_text()) == expected
    file.write_text("{}")
    with pytest.raises(ValueError, match=r"tuned.json: expected JSON objects"):
        tune.join(file, Tables())
    assert file.read_text() == "{}"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_tuned(tmp_path):
    command = [sys.executable, "-m", "ganframe_kernels.tune", "--json", str(tmp_path / "tuned.json")]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert (found.returncode, found.stderr) == (2, "no CUDA device: there is nothing to tune\n")
    assert not list(tmp_path.iterdir())
