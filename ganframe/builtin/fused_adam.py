"""Adam that calls PyTorch's fused kernel with little overhead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

HOOKS_UNSUPPORTED = "FusedAdam calls no step hooks; use the on_turn_end hook of a plugin instead"
_KERNELS: Any = torch  # PyTorch's type stubs lack the fused kernels


class FusedAdam(torch.optim.Adam):
    """`torch.optim.Adam` with `fused=True`: the same kernel, state and numbers, with less overhead.

    For a small network, the overhead of PyTorch's `step` takes several times as long as its kernel. Step hooks and the
    record for the profiler are part of that overhead, and are not supported. Plugins can use the hook `on_turn_end`.

    Args:
        parameters: The parameters, all on one device and of one dtype.
        lr: Learning rate.
        betas: Decay rates of the first and second moment, each in [0, 1).
        eps: Added to the square root of the second moment, by which the update is divided.
        weight_decay: Factor of the weight decay; 0 for none.
        decoupled_weight_decay: Whether the decay is applied to the weights themselves, as in AdamW, instead of being
            added to the gradient.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, betas, eps, weight_decay, decoupled_weight_decay=decoupled_weight_decay, fused=True
        )
        # The step does not pass a loss scale to the kernel, so `torch.amp.GradScaler` must unscale gradients itself.
        self._step_supports_amp_scaling = False

    def step(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  takes no closure
        """Update the parameters that have a gradient."""
        with torch.no_grad():
            for group in self.param_groups:
                parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
                if parameters:
                    self._update(parameters, group)

    # Prevents PyTorch from wrapping the step in hooks and a record for the profiler.
    step.hooked = True  # pyright: ignore[reportFunctionMemberAccess]

    def _update(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        states = [self.state[parameter] or self._init_state(parameter) for parameter in parameters]
        steps = [state["step"] for state in states]
        beta1, beta2 = group["betas"]
        _KERNELS._foreach_add_(steps, 1)
        kernel = _KERNELS._fused_adamw_ if group["decoupled_weight_decay"] else _KERNELS._fused_adam_
        kernel(
            parameters,
            [parameter.grad for parameter in parameters],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            steps,
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )

    def _init_state(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        self.state[parameter] = {
            "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
            "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
        }
        return self.state[parameter]

    def register_step_pre_hook(self, hook: object) -> NoReturn:
        """Refuse the hook, which would never be called."""
        raise NotImplementedError(HOOKS_UNSUPPORTED)

    def register_step_post_hook(self, hook: object) -> NoReturn:
        """Refuse the hook, which would never be called."""
        raise NotImplementedError(HOOKS_UNSUPPORTED)
