"""The benchmark: its cases run, its clock is fair, and it writes what it prints."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import ganframe_kernels
import pytest
import torch
from ganframe_kernels import ops
from ganframe_kernels.bench import __main__ as bench
from ganframe_kernels.bench import contenders, nvidia, runner
from ganframe_kernels.bench.cases import CASES
from ganframe_kernels.bench.networks import cyclegan, stylegan2
from ganframe_kernels.bench.report import Result, row_lines, step_lines
from ganframe_kernels.bench.runner import Row, StepRow, able, checked, checked_steps, timed
from ganframe_kernels.bench.steps import SYSTEMS
from ganframe_kernels.bench.targets import lines, targets
from ganframe_kernels.bench.timing import Time, copied, interleaved

PLACES = [(case, layout) for case in CASES for layout in case.layouts]


@pytest.mark.parametrize(("case", "layout"), PLACES, ids=[f"{case.op} {case.name} {where}" for case, where in PLACES])
def test_every_case_agrees_with_its_reference(case, layout):
    found = checked(case, layout)
    assert found is not None
    assert found.error < 1e-5


def test_every_operation_with_kernels_has_a_case():
    package = Path(ganframe_kernels.__file__).parent
    names = {"instance_norm": "instance_norm_act", "spectral_norm": "spectral_norm_sigma"}
    with_kernels = {names.get(file.parent.name, file.parent.name) for file in package.glob("*/kernels.py")}
    assert len(with_kernels) >= 9
    assert with_kernels | {"adain", "demodulation", "filtered_lrelu"} <= {case.op for case in CASES}


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (lambda: stylegan2.Generator(256), 30_034_338),
        (lambda: stylegan2.Discriminator(256), 28_864_129),
        (cyclegan.ResNet, 11_378_179),
        (cyclegan.PatchGAN, 2_764_737),
    ],
)
def test_the_networks_have_the_published_numbers_of_parameters(make, parameters):
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in make().parameters()) == parameters


def test_the_networks_make_images_and_logits():
    with contenders.implementation("reference"):
        assert stylegan2.Generator(16, 64)(torch.randn(2, stylegan2.LATENT)).shape == (2, 3, 16, 16)
        assert stylegan2.Discriminator(16, 64)(torch.randn(2, 3, 16, 16)).shape == (2, 1)
    with torch.device("meta"):
        image = torch.empty(1, 3, 256, 256)
        assert cyclegan.ResNet()(image).shape == (1, 3, 256, 256)
        assert cyclegan.PatchGAN()(image).shape == (1, 1, 30, 30)


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_whole_steps_agree_with_those_of_the_references(system):
    found = list(checked_steps(system))
    assert [check.case for check in found] == list(system.build(1, system.small, torch.device("cpu"), torch.float64))
    assert all(check.error < 1e-11 for check in found)


@pytest.mark.slow
def test_a_check_of_steps_sees_a_wrong_kernel(monkeypatch):
    right = "ganframe_kernels.gradient_norm.reference.squared_norm"
    monkeypatch.setattr(right, lambda x: 1.01 * x.square().flatten(1).sum(1))
    plain, penalised = checked_steps(SYSTEMS[0])
    assert plain.error < 1e-11
    assert penalised.error > 1e-4


def test_a_contender_that_fails_stops_no_other():
    def unable():
        raise RuntimeError("no bf16\nhere")

    calls, failures = able({"eager": lambda: lambda number: number, "nvidia": unable})
    assert list(calls) == ["eager"]
    assert failures == {"nvidia": "RuntimeError: no bf16"}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_compiled_double_backward_is_that_of_eager_mode():
    (case,) = (case for case in CASES if (case.op, case.name) == ("bias_act", "swish"))
    inputs = case.make(case.small, torch.float64, "NCHW", torch.device("cpu"))
    torch.compiler.reset()
    found = {}
    for name in ("eager", "compile", "kernels"):
        torch.manual_seed(0)
        with contenders.compiling():
            found[name] = runner.call_of(case, name, "double backward", [inputs])(0)
            again = runner.call_of(case, name, "forward", [inputs])(0)
        assert torch.allclose(again, case.call(*inputs))
    for name in ("compile", "kernels"):
        for mine, theirs in zip(found[name], found["eager"], strict=True):
            assert bool(theirs.any())
            torch.testing.assert_close(mine, theirs)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_every_pass_is_timed_by_every_contender(monkeypatch):
    monkeypatch.setenv("GANFRAME_KERNELS", "reference")
    (case,) = (case for case in CASES if (case.op, case.name) == ("bias_act", "swish"))
    theirs = SimpleNamespace(bias_act=ops.bias_act)
    small = replace(case, shape=case.small)
    rows = list(timed(small, torch.float32, "NCHW", torch.device("cpu"), repeats=1, nvidia=theirs))
    assert [row.what for row in rows] == ["forward", "backward", "double backward"]
    assert all(list(row.times) == ["eager", "compile", "nvidia"] and not row.failures for row in rows)


def test_operations_of_nvidia_are_found_in_their_folder(tmp_path):
    folder = tmp_path / "torch_utils" / "ops"
    folder.mkdir(parents=True)
    (folder / "bias_act.py").write_text("def bias_act(x): return x + 1\n")
    (folder / "upfirdn2d.py").write_text("filter2d = upsample2d = downsample2d = abs\n")
    before = list(sys.path)
    found = nvidia.functions(tmp_path)
    assert found.bias_act(1) == 2
    assert found.downsample2d(-3) == 3
    assert not hasattr(found, "filtered_lrelu")
    assert sys.path == before


def test_another_folder_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit:
        bench.main(["--nvidia", str(tmp_path)])
    assert exit.value.code == 2
    assert f"nvidia: expected the folder that holds torch_utils; given {tmp_path}" in capsys.readouterr().err


def test_times_are_taken_in_turn_and_after_the_warmup():
    called = []
    functions = {name: lambda number, name=name: called.append((name, number)) for name in ("one", "two")}
    times = interleaved(functions, torch.device("cpu"), repeats=4, warmup=2)
    assert called[:4] == [("one", 0), ("two", 0), ("one", 1), ("two", 1)]
    assert called[4:] == [(name, number) for number in range(4) for name in ("one", "two")]
    assert all(time.p20 <= time.median <= time.p80 for time in times.values())


def test_the_clock_runs_while_a_function_does():
    slow, fast = (
        interleaved({"it": lambda _, wait=wait: time.sleep(wait)}, torch.device("cpu"), repeats=3, warmup=0)["it"]
        for wait in (0.05, 0.0)
    )
    assert slow.p20 >= 50 > fast.p20


def test_copies_keep_layout_and_gradients():
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    ((copy, nothing),) = copied([x, None], torch.device("cpu"))
    assert nothing is None
    assert torch.equal(copy, x)
    assert copy.stride() == x.stride()
    assert copy.requires_grad
    assert copy.data_ptr() != x.data_ptr()


def test_speeds_are_those_of_the_fewest_bytes():
    times = {"eager": Time(2.0, 2.0, 2.0), "kernels": Time(0.5, 0.4, 0.6)}
    row = Row("op", "case", (2, 3), "float32", "NCHW", "forward", "memory", times, 1.0, {}, {})
    _, eager, kernels = row_lines([row], ceiling=4000)
    assert "1.00 x eager" in eager
    assert "500.0 GB/s" in eager
    assert "4.00 x eager" in kernels
    assert "2,000.0 GB/s   50% of a copy" in kernels


def row(op="bias_act", what="forward", compiled=2.0, kernels=1.0, **others):
    """A row of made-up times; 1 GB in 1 ms is the ceiling of `result`."""
    times = {"eager": Time(4, 4, 4), "compile": Time(compiled, compiled, compiled)}
    times |= {} if kernels is None else {"kernels": Time(kernels, kernels, kernels)}
    values = {"case": "case", "bound": "memory", "failures": {} if kernels else {"kernels": "broke"}, **others}
    return Row(
        op=op, shape=(2, 3), dtype="float32", layout="NCHW", what=what, times=times, gigabytes=1.0, peak={}, **values
    )


def result(*rows, steps=()):
    return Result({}, 1000.0, list(rows), list(steps)).as_json()


def verdicts(*rows, steps=()):
    return [target.verdict for target in targets(result(*rows, steps=steps))]


def test_nothing_measured_is_not_met():
    assert set(verdicts()) == {"not measured"}
    without = Row("op", "case", (2,), "float32", "NCHW", "forward", "memory", {"eager": Time(1, 1, 1)}, 1.0, {}, {})
    assert set(verdicts(without)) == {"not measured"}


@pytest.mark.parametrize(
    ("index", "met", "missed"),
    [
        (0, row(kernels=1.17), row(kernels=1.18)),
        (1, row(compiled=1.0), row(compiled=0.99)),
        (2, row("modulated_epilogue", "backward", 2.5), row("modulated_epilogue", "backward", 2.49)),
        (3, row("adain", "double backward", 1.8), row("adain", "double backward", 1.79)),
        (4, row("upfirdn2d", case="4x4 blur, down 2"), row("upfirdn2d", case="4x4 blur, down 2", compiled=1.99)),
        (1, row(), row(kernels=None)),
    ],
)
def test_a_target_is_met_where_all_of_its_rows_do(index, met, missed):
    assert verdicts(met)[index] == "met"
    missed = replace(missed, layout="NHWC")
    assert verdicts(met, missed)[index] == "not met"
    target = targets(result(met, missed))[index]
    assert target.reached == 1
    assert target.worst[1] < target.bound
    assert "NHWC" in target.worst[0]


def test_launch_bound_operations_are_not_held_to_the_copy():
    assert verdicts(row(kernels=9.0, bound="launches"))[0] == "not measured"


@pytest.mark.parametrize(("kernels", "verdict"), [(8.0, "met"), (8.1, "not met")])
def test_the_step_is_held_to_the_compiled_one(kernels, verdict):
    times = {"compile": Time(10, 10, 10), "kernels": Time(12, 12, 12), "kernels, compile": Time(kernels, 8, 8)}
    steps = [StepRow("StyleGAN2-256", "plain", 16, times, {}, {}), StepRow("CycleGAN-256", "plain", 1, times, {}, {})]
    assert verdicts(steps=steps)[-1] == verdict
    *_, line = lines(targets(result(steps=steps)))
    assert line.startswith(f"plain step of StyleGAN2-256: share of the compiled one's time <= 0.8: {verdict}, ")
    assert f"worst {kernels / 10:.2f}, batch 16" in line


def test_steps_are_printed_with_memory_and_failures():
    times = {"eager": Time(30, 29, 31), "kernels": Time(10, 9, 11)}
    row = StepRow("StyleGAN2-256", "plain", 16, times, {"kernels": 3 * 2**20}, {"compile": "OutOfMemoryError: much"})
    title, _, kernels, memory, failure = step_lines([row])
    assert title == "StyleGAN2-256: plain, batch 16"
    assert "10.000 ms (9.000 to 11.000)   3.00 x eager" in kernels
    assert memory == "  memory: kernels 3 MiB"
    assert "compile          failed: OutOfMemoryError: much" in failure


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.setenv("GANFRAME_KERNELS", "auto")
    file = tmp_path / "results.json"
    arguments = ["--op", "patch_loss", "--dtype", "float32", "--repeats", "2", "--json", str(file)]
    assert bench.main(arguments) == 0
    said = capsys.readouterr().out
    assert "There is no GPU here" in said
    assert "patch_loss: bce" in said
    content = json.loads(file.read_text())
    assert {row["what"] for row in content["rows"]} == {"forward", "backward", "double backward"}
    assert len(content["checks"]) == 1
    assert content["steps"] == content["left out"] == []
    assert content["environment"]["torch"] == torch.__version__


@pytest.mark.filterwarnings("default")
def test_what_the_time_does_not_suffice_for_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GANFRAME_KERNELS", "auto")
    file = tmp_path / "results.json"
    arguments = ["--op", "patch_loss", "--dtype", "float32", "--layout", "NCHW"]
    assert bench.main([*arguments, "--minutes", "0", "--json", str(file)]) == 0
    content = json.loads(file.read_text())
    assert content["rows"] == []
    assert content["left out"] == ["patch_loss: bce, float32, NCHW"]
