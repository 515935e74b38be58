"""The gallery: which frames are shown, and that the picture is the one judged."""

import numpy as np

from models.preprocess import Letterbox
from tests.collected import data_set, store
from tests.predicted import predictions
from tests.workplace import tiny
from train.evaluate.gallery import Seen, Wanted, looks_in, looks_of, picture_of, seen_of, wanted_of
from train.evaluate.learning import series_of
from train.evaluate.plots import overlaid
from train.evaluate.projection import projection
from train.evaluate.runs import default_rules
from train.evaluate.units import frames_of, probabilities


def frames(seed=0):
    told = predictions(seed, skill=0.5)
    return frames_of(told, probabilities(told.logits, told.head), default_rules(told.class_ids, told.head))


def test_the_surest_errors_come_first_and_a_clip_once():
    made = frames()
    wanted = wanted_of(made, each=3)
    for k, class_id in enumerate(made.class_ids):
        wrong = made.called[:, k] & (made.truth[:, k] == 0)
        false = [one for one in wanted if (one.class_id, one.kind) == (class_id, "false")]
        assert false[0].probability == made.probability[wrong, k].max()
        assert [one.probability for one in false] == sorted((one.probability for one in false), reverse=True)
        assert len({one.clip for one in false}) == len(false) <= 3
        missed = [one for one in wanted if (one.class_id, one.kind) == (class_id, "missed")]
        assert all(one.probability < 0.5 for one in missed)
        for one in (*false, *missed):
            at = list(made.key).index(f"{one.clip}#{one.frame}")
            assert made.truth[at, k] == (one.kind == "missed")


def test_pictures_of_a_file(tmp_path):
    file = tmp_path / "maps.npz"
    pictures = np.arange(2 * 4 * 6, dtype=np.uint8).reshape(2, 4, 6)
    np.savez(file, clip=["a", "b"], frame=[1, 2], class_id=["x", "x"], picture=pictures, heat=pictures)
    look = looks_in(file)
    seen = seen_of([Wanted("b", 2, "x", "missed", 0.1), Wanted("b", 1, "x", "missed", 0.1)], look)
    assert [one.frame for one, _ in seen] == [2]
    assert (seen[0][1].picture == pictures[1]).all()


def test_a_picture_leaves_its_letterbox(tmp_path):
    rng = np.random.default_rng(0)
    inner = rng.integers(1, 255, (40, 64), np.uint8)
    made = store(data_set(tmp_path, ["1", "2"], frames=1), np.stack([Letterbox.fit(40, 64, 64).place(inner, 0)] * 2))
    np.save(tmp_path / "shapes.npy", np.array([[40, 64], [80, 128]], np.int32))
    assert (picture_of(made, 0) == inner).all()
    assert picture_of(made, 1).shape == (40, 64)


def test_maps_come_from_the_serving_classifier(tmp_path):
    card = tiny(tmp_path / "model").card
    squares = np.random.default_rng(1).integers(0, 255, (4, 48, 48), np.uint8)
    made = store(data_set(tmp_path / "set", ["1", "2"], frames=2), squares)
    look = looks_of(tmp_path / "model", made)
    seen = look(Wanted(made.clips[1].id, 2, card.class_ids[0], "found", 0.9))
    assert seen is not None
    assert (seen.picture == squares[3]).all()
    assert seen.heat.shape == (48, 48)
    assert look(Wanted(made.clips[1].id, 3, card.class_ids[0], "found", 0.9)) is None
    assert look(Wanted("another", 1, card.class_ids[0], "found", 0.9)) is None


def test_heat_changes_the_picture_only_where_it_lies():
    import base64

    import cv2

    picture, heat = np.full((48, 48), 100, np.uint8), np.zeros((48, 48), np.uint8)
    heat[:, :24] = 255
    uri = overlaid(Seen(picture, heat), edge=48)
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (48, 96, 3)
    assert (shown[:, :48] == 100).all()
    assert (shown[:, 72:] == 100).all()
    assert (shown[:, 48:72] != 100).any(axis=2).all()


def test_features_that_were_not_kept_are_not_shown_and_classes_lie_apart():
    told = predictions(0, patients=12, features=0)
    assert projection(told, 0) is None
    told = predictions(0, patients=12, head="softmax", folds=2, features=8)
    made = projection(told, 0)
    assert made is not None
    assert len(made.names) == (told.fold == 0).sum()  # features of one network only
    places = {name: made.places[[one == name for one in made.names]] for name in told.class_ids}
    inner = np.mean([places[name].std(axis=0).mean() for name in told.class_ids])
    middles = np.stack([places[name].mean(axis=0) for name in told.class_ids])
    assert np.linalg.norm(middles[0] - middles[1]) > inner


def test_curves_of_a_run_in_either_form():
    expected = {"train_loss": [(1, 0.9), (2, 0.5)]}
    assert series_of([{"epoch": 1, "train_loss": 0.9}, {"epoch": 2, "train_loss": 0.5, "note": "x"}]) == expected
    assert series_of({"train_loss": [0.9, 0.5]}) == expected
    assert series_of(None) == series_of("x") == series_of([1, 2]) == {}
