"""Modules described, and measures on one batch, against what can be worked out by hand."""

import math

import pytest
import torch
from torch import nn

from earlycall.nas.features.module import described
from earlycall.nas.features.zero_cost import zero_cost


def test_a_module_by_stage():
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip
    found = described(net, torch.zeros(1, 1, 8, 8), "mine")
    assert found["arch.stage1.flops"] == 2 * 36 * 64  # 3×3×4 weights at 64 places
    assert found["arch.stage2.flops"] == 2 * 288 * 16
    assert found["arch.stage3.params"] == 1290
    assert found["arch.flops"] == 2 * (36 * 64 + 288 * 16 + 1280)
    assert (found["arch.depth"], found["arch.width"], found["arch.resolution"]) == (3, 10, 8)
    assert not net[0]._forward_hooks


def test_synflow_and_snip_of_a_chain_are_what_the_formulas_give():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False))
    x, y = torch.randn(5, 1, 2, 2), torch.tensor([0, 1, 0, 1, 1])
    before = [p.clone() for p in net.parameters()]
    found = zero_cost(net, x, y)
    first, second = (p.detach().abs() for p in net.parameters())
    flow = (second @ first).sum().item()  # each layer's weights carry all of the flow
    assert 10 ** found["arch.zero.synflow"] == pytest.approx(2 * flow, rel=1e-5)
    nn.functional.cross_entropy(net(x), y).backward()
    snip = sum((p * p.grad).abs().sum().item() for p in net.parameters())
    norm = math.sqrt(sum((p.grad**2).sum().item() for p in net.parameters()))
    assert 10 ** found["arch.zero.snip"] == pytest.approx(snip, rel=1e-5)
    assert 10 ** found["arch.zero.grad_norm"] == pytest.approx(norm, rel=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert math.isnan(found["arch.zero.naswot"])  # no ReLU, so nothing to compare


def test_naswot_is_higher_where_more_units_tell_inputs_apart():
    torch.manual_seed(0)
    x, y = torch.randn(8, 1, 4, 4), torch.arange(8) % 3

    def net(width):
        layers = [nn.Flatten(), nn.Linear(16, width), nn.ReLU(), nn.Linear(width, 3)]
        return nn.Sequential(*layers)

    narrow, wide = (zero_cost(net(w), x, y)["arch.zero.naswot"] for w in (4, 256))
    assert wide > narrow


class Hidden(nn.Module):
    """A hidden layer, normalised by the batch, with an activation given as any callable."""

    def __init__(self, activation):
        super().__init__()
        self.first, self.norm = nn.Linear(16, 32), nn.BatchNorm1d(32)
        self.last, self.activation = nn.Linear(32, 3), activation

    def forward(self, x):
        return self.last(self.activation(self.norm(self.first(x.flatten(1)))))


def test_naswot_sees_activations_that_are_no_modules():
    x, y = torch.randn(8, 1, 4, 4), torch.arange(8) % 3

    def naswot(activation):
        torch.manual_seed(0)
        return zero_cost(Hidden(activation), x, y)["arch.zero.naswot"]

    of_module = naswot(nn.ReLU())
    assert math.isfinite(of_module)
    functional = nn.functional
    for same in (torch.relu, functional.relu, functional.relu6, torch.relu_, lambda h: h.relu()):
        assert naswot(same) == of_module
    for other in (functional.gelu, functional.silu, functional.elu, nn.PReLU(), functional.celu):
        assert naswot(other) == of_module  # the sign of what goes in
    assert math.isnan(naswot(torch.tanh))


def test_naswot_sees_the_activations_within_a_transformer():
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    net = nn.Sequential(nn.Flatten(2), layer, nn.Flatten(), nn.Linear(16, 3))
    found = zero_cost(net, torch.randn(6, 1, 4, 4), torch.arange(6) % 3)
    assert math.isfinite(found["arch.zero.naswot"])


def test_jacov_normalises_by_the_batch_as_its_source_does():
    """Mellor's own steps, in training mode; the running statistics are those of no data."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )
    x, y = 5 + 3 * torch.randn(6, 1, 4, 4), torch.arange(6) % 3
    found = zero_cost(net, x, y)["arch.zero.jacov"]
    assert torch.equal(net[1].running_mean, torch.zeros(4))  # the module is not changed
    inputs = x.clone().requires_grad_()
    net.train()(inputs).backward(torch.ones(6, 3))
    correlation = torch.corrcoef(inputs.grad.flatten(1).double())
    values = torch.linalg.eigvalsh(correlation) + 1e-5
    assert found == pytest.approx(-float((values.log() + 1 / values).sum()), rel=1e-3)
