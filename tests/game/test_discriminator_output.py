"""Outputs of discriminators with several heads."""

from __future__ import annotations

import torch

from ganframe.game.discriminator_output import DiscriminatorOutput

HEADS = [DiscriminatorOutput(torch.tensor([1.0, 2.0])), DiscriminatorOutput(torch.tensor([[3.0, 4.0], [5.0, 6.0]]))]


def test_the_whole_output_has_the_logits_of_all_heads_in_rows() -> None:
    whole = DiscriminatorOutput.of_heads(HEADS)
    assert whole.logits.tolist() == [[1, 3, 4], [2, 5, 6]]
    assert [head.logits.shape for head in whole.heads] == [(2,), (2, 2)]


def test_a_target_is_that_of_each_head_too() -> None:
    target = torch.tensor([0.9, 0.1])
    whole = DiscriminatorOutput.of_heads(HEADS).with_target(target)
    assert [output.target is target for output in (whole, *whole.heads)] == [True, True, True]
    assert [head.target for head in HEADS] == [None, None]


def test_logits_and_class_logits_of_each_head_are_widened() -> None:
    narrow = torch.tensor([0.5, 1.5], dtype=torch.bfloat16)
    heads = [DiscriminatorOutput(narrow, class_logits=narrow[:, None]), DiscriminatorOutput(narrow.double())]
    whole = DiscriminatorOutput.of_heads(heads)
    whole.widen()
    assert [output.logits.dtype for output in whole.heads] == [torch.float32, torch.float64]
    class_logits = whole.heads[0].class_logits
    assert class_logits is not None
    assert (class_logits.dtype, class_logits.tolist()) == (torch.float32, [[0.5], [1.5]])


def test_samples_and_their_condition_are_those_of_each_head() -> None:
    whole, sample, label = DiscriminatorOutput.of_heads(HEADS), torch.zeros(2, 3), torch.tensor([0, 1])
    whole.describe(sample, label)
    assert all(output.sample is sample and output.condition is label for output in (whole, *whole.heads))
