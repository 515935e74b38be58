"""Losses mean what they say, and what nobody knows teaches nothing."""

import numpy as np
import torch
from torch.nn import functional

from train.loss import assessability_loss, averaged, balance_of, class_loss, clip_loss, map_loss

NAN = float("nan")
JUDGE = torch.tensor([True, True])


def test_the_map_loss_is_least_when_the_peak_lies_on_the_sign() -> None:
    where = torch.zeros(1, 32, 32, dtype=torch.uint8)
    where[0, 8:16, 8:16] = 2
    maps = torch.zeros(1, 3, 8, 8)
    judge = torch.tensor([True])
    losses = []
    for row, column in ((2, 2), (6, 6)):
        here = maps.clone()
        here[0, 1, row, column] = 20
        losses.append(float(map_loss(here, where, judge)))
    assert losses[0] < 0.01
    assert losses[1] > 5
    assert float(map_loss(maps + 1, where * 0, judge)) == 0
    assert float(map_loss(maps + 1, where, ~judge)) == 0


def test_the_map_loss_grows_with_evidence_far_from_the_sign() -> None:
    where = torch.zeros(1, 32, 32, dtype=torch.uint8)
    where[0, 8:16, 8:16] = 1
    maps = torch.zeros(1, 1, 8, 8)
    maps[0, 0, 2:4, 2:4] = 20
    tight = float(map_loss(maps, where, torch.tensor([True])))
    maps[0, 0, 5:, :] = 15
    assert float(map_loss(maps, where, torch.tensor([True]))) > tight + 0.5


def test_pictures_that_may_not_be_judged_do_not_teach_classes() -> None:
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    right_wrong = torch.tensor([[9.0, -9.0], [9.0, -9.0]])
    for head in ("softmax", "sigmoid"):
        assert float(class_loss(right_wrong, labels, torch.tensor([True, False]), head)) < 0.01
        assert float(class_loss(right_wrong, labels, torch.tensor([True, True]), head)) > 4
        assert float(class_loss(right_wrong, labels, torch.tensor([False, False]), head)) == 0


def test_a_blanked_picture_teaches_no_assessability() -> None:
    logits, good = torch.tensor([9.0, 9.0]), torch.tensor([1.0, float("nan")])
    assert float(assessability_loss(logits, good)) < 0.01
    assert float(assessability_loss(logits, good * float("nan"))) == 0


def test_an_unknown_label_has_no_gradient() -> None:
    logits = torch.zeros(2, 2, requires_grad=True)
    class_loss(logits, torch.tensor([[1.0, NAN], [NAN, 0.0]]), JUDGE, "sigmoid").backward()
    assert logits.grad is not None
    assert (logits.grad != 0).tolist() == [[True, False], [False, True]]
    logits.grad = None
    class_loss(logits, torch.tensor([[1.0, 0.0], [NAN, 0.0]]), JUDGE, "softmax").backward()
    assert logits.grad is not None
    assert (logits.grad != 0).any(dim=1).tolist() == [True, False]


def test_nothing_known_is_no_loss_and_no_nan() -> None:
    logits = torch.zeros(2, 2, requires_grad=True)
    for head in ("softmax", "sigmoid"):
        loss = class_loss(logits, torch.full((2, 2), NAN), JUDGE, head)
        loss.backward()
        assert float(loss.detach()) == 0
        assert logits.grad is not None
        assert logits.grad.abs().sum() == 0
    assert float(averaged(torch.tensor([torch.inf, 2.0]), torch.tensor([0.0, 1.0]))) == 2


def test_weights_and_smoothing_are_torchs() -> None:
    rng = torch.Generator().manual_seed(5)
    logits, kinds = torch.randn(9, 3, generator=rng), torch.arange(9) % 3
    labels, weights = functional.one_hot(kinds, 3).float(), torch.tensor([0.5, 1.0, 3.0])
    judge = torch.ones(9, dtype=torch.bool)
    ours = class_loss(logits, labels, judge, "softmax", smoothing=0.1)
    assert torch.allclose(ours, functional.cross_entropy(logits, kinds, label_smoothing=0.1))
    ours = class_loss(logits, labels, judge, "softmax", balance=weights)
    assert torch.allclose(ours, functional.cross_entropy(logits, kinds, weight=weights))
    ours = class_loss(logits, labels, judge, "sigmoid", balance=weights)
    assert torch.allclose(ours, functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=weights))


def test_rare_classes_weigh_more_but_not_without_end() -> None:
    labels = torch.tensor([[1.0, 0, 0]] * 6 + [[0, 1.0, 0]] * 2)
    assert torch.allclose(balance_of(labels, "softmax"), torch.tensor([4 / 6, 2.0, 1.0]))
    labels = torch.tensor([[1.0, 0, NAN]] + [[0, 0, NAN]] * 98 + [[0, 0, 1.0]])
    assert balance_of(labels, "sigmoid").tolist() == [5.0, 1.0, 1.0]


def test_a_clip_is_judged_by_the_mean_of_its_frames() -> None:
    logits, labels = torch.tensor([[4.0], [-4.0], [3.0]]), torch.tensor([[1.0], [1.0], [0.0]])
    ours = clip_loss(logits, labels, torch.tensor([7, 7, 2]), "sigmoid")
    mean = functional.binary_cross_entropy_with_logits(torch.tensor([0.0, 3.0]), torch.tensor([1.0, 0.0]))
    assert np.isclose(float(ours), float(mean))
