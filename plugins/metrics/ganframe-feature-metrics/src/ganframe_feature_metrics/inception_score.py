"""The inception score."""

from __future__ import annotations

import torch
from torch import Tensor


def inception_score(logits: Tensor, splits: int) -> tuple[float, float]:
    """Return the mean and standard deviation, over splits, of exp(E KL(p(y|x) || p(y))).

    Args:
        logits: Logits of classes for each sample, `(N, classes)` in float64.
        splits: Number of parts, in order; p(y) is the mean over the samples of a part. At most N.

    Returns:
        The mean, in [1, classes], and the standard deviation.

    References:
        Salimans et al. 2016, arXiv:1606.03498, section 4.
    """
    scores = torch.stack([_score(part) for part in logits.log_softmax(dim=1).tensor_split(splits)])
    return float(scores.mean()), float(scores.std(correction=0))


def _score(log_probabilities: Tensor) -> Tensor:
    probabilities = log_probabilities.exp()
    # xlogy is 0 for a class that no sample of the part has, where the logarithm is not finite.
    marginal = probabilities.mean(dim=0)
    conditional = torch.xlogy(probabilities, probabilities).sum(dim=1).mean()
    return (conditional - torch.xlogy(marginal, marginal).sum()).exp()
