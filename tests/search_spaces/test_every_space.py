"""What holds for every search space."""

from __future__ import annotations

import copy

import keras
import keras_tuner
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kt_plus.engine.space import Space
from kt_plus.search_spaces import ArchitectureSpace, BranchingSpace, CellSpace, ChainSpace
from kt_plus.search_spaces.base import hyperparameters
from tests.search_spaces.networks import SPACES, data_of


def searched(space) -> Space:
    hp = keras_tuner.HyperParameters()
    space.build(hp)
    return Space.from_hyperparameters(hp.space)


@pytest.fixture(scope="module", params=SPACES)
def space(request):
    return SPACES[request.param]()


@pytest.fixture(scope="module")
def dimensions(space):
    return searched(space)


@pytest.mark.versions
def test_a_sample_builds_trains_saves_and_loads(space, dimensions, tmp_path):
    values = dimensions.draw(np.random.default_rng(0))
    model = space.build(hyperparameters(values))
    x, y = data_of(space)
    model.run_eagerly = not isinstance(space, ChainSpace)  # tracing cells takes long
    before = model.get_weights()
    assert np.isfinite(model.train_on_batch(x, y)).all()
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    predicted = keras.ops.convert_to_numpy(model(x))
    assert predicted.shape == (16, 3)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(loaded(x)), predicted, rtol=1e-5)


@pytest.mark.versions
@settings(max_examples=3)
@given(seed=st.integers(0, 2**32 - 1))
def test_parameters_and_shapes_are_those_that_keras_finds(space, dimensions, seed):
    hp = hyperparameters(dimensions.draw(np.random.default_rng(seed)))
    graph, model = space.graph(hp), space.build(hp)
    assert graph.parameters == model.count_params()
    trained = sum(np.prod(w.shape) for w in model.trainable_weights)
    assert graph.trainable_parameters == trained
    outputs = {layer.name: tuple(layer.output.shape[1:]) for layer in model.layers}
    for node in graph.nodes:
        names = [n for n in outputs if n == node.name or n.startswith(f"{node.name}_")]
        assert any(outputs[name] == graph.shapes[node.name] for name in names)


def test_none_is_smaller_than_the_smallest(space, dimensions):
    sizes = {"max_parameters": "parameters", "max_flops": "flops"}
    rng = np.random.default_rng(1)
    samples = [dimensions.draw(rng) for _ in range(20)]
    for bound, size in sizes.items():
        bounded = copy.copy(space)
        setattr(bounded, bound, 10**12)
        least = bounded.smallest()
        found = getattr(space.graph(least), size)
        near = [move(least | {}, rng) for move in space.moves for _ in range(10)]
        assert all(getattr(space.graph(each), size) >= found for each in [*samples, *near])


@pytest.mark.parametrize("kind", [BranchingSpace, CellSpace])
def test_images_may_have_any_size(kind):
    settings = {"widths": (4,), "blocks": 3} if kind is BranchingSpace else {"cells": 1, "width": 4}
    space = kind((None, None, 1), 3, reductions=1, **settings)
    skips = {choice.name: True for choice in space.architecture.dimensions if "skip" in choice.name}
    model = space.graph(skips).build()
    for shape in ((2, 8, 7, 1), (2, 5, 12, 1)):
        assert model(np.zeros(shape, "float32")).shape == (2, 3)


def test_a_graph_is_the_same_whenever_it_is_asked_for(space, dimensions):
    values = dimensions.draw(np.random.default_rng(3))
    first, second = (space.graph(hyperparameters(values)) for _ in range(2))
    assert first == second == space.graph(values)
    assert hash(first) == hash(second)
    assert first.hash() == second.hash()


@pytest.mark.parametrize(
    ("task", "outputs", "activation", "loss"),
    [
        ("binary", 1, "sigmoid", "binary_crossentropy"),
        ("classification", 4, "softmax", "sparse_categorical_crossentropy"),
        ("multi_label", 4, "sigmoid", "binary_crossentropy"),
        ("regression", 2, "linear", "mean_squared_error"),
    ],
)
def test_each_task_has_its_head_loss_and_metric(task, outputs, activation, loss):
    space = ChainSpace((5,), outputs, task, "table", widths=(4,))
    model = space.build(keras_tuner.HyperParameters())
    assert model.output_shape == (None, outputs)
    assert model.layers[-1].activation.__name__ == activation
    assert model.loss == loss
    model.run_eagerly = True
    x, y = data_of(space)
    metric = "mean_absolute_error" if task == "regression" else "accuracy"
    assert set(model.train_on_batch(x, y, return_dict=True)) == {"loss", metric}


def test_training_settings_are_searched_unless_they_are_given():
    names = {d.name for d in searched(ChainSpace((5,), 3, data="table")).dimensions}
    training = {"optimizer", "adam_learning_rate", "sgd_learning_rate", "weight_decay", "dropout"}
    assert training < names
    given = {"optimizer": "adam", "learning_rate": 0.02, "weight_decay": 0, "dropout": 0}
    space = ChainSpace((5,), 3, data="table", **given)
    assert {d.name for d in searched(space).dimensions} == names - training
    model = space.build(keras_tuner.HyperParameters())
    assert type(model.optimizer).__name__ == "Adam"
    assert float(model.optimizer.learning_rate) == pytest.approx(0.02)
    assert model.optimizer.weight_decay is None
    assert not [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]


@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop", "adamw", "lion", "nadam"])
def test_any_optimizer_can_be_named(name):
    space = ChainSpace((5,), 3, data="table", widths=(4,), optimizer=name)
    hp = hyperparameters({"learning_rate": 0.02, "weight_decay": 0.05})
    optimizer = space.build(hp).optimizer
    assert type(optimizer).__name__.lower() == name
    assert float(optimizer.learning_rate) == pytest.approx(0.02)
    assert optimizer.weight_decay == 0.05


def test_preprocessing_is_part_of_the_model_and_of_its_parameters(tmp_path):
    def preprocessing(tensor):
        scaled = keras.layers.Rescaling(1 / 255, name="scale")(tensor)
        return keras.layers.Embedding(10, 3, name="embed")(keras.ops.cast(scaled, "int32"))

    space = ChainSpace((6,), 3, data="sequence", widths=(4,), preprocessing=preprocessing)
    hp = keras_tuner.HyperParameters()
    graph, model = space.graph(hp), space.build(hp)
    assert graph.parameters == model.count_params()
    assert {"scale", "embed"} <= {layer.name for layer in model.layers}
    x = np.full((4, 6), 255.0)
    model.train_on_batch(x, np.arange(4) % 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(*(keras.ops.convert_to_numpy(m(x)) for m in (loaded, model)))
    with pytest.raises(ValueError, match=r"graph.build\(preprocessing=\.\.\.\)"):
        graph.build()


def test_a_space_of_ones_own_takes_one_method():
    class Wide(ArchitectureSpace):
        """One layer, of a width that is searched."""

        def body(self, hp, sketch, source, share):
            units = hp.Choice("units", [4, 8, 16], default=16)
            return sketch.add("wide", "dense", source, units=int(units * share))

    space = Wide((5,), 3, data="table", max_parameters=190)
    assert space.smallest() == {"units": 4, "dropout": 0.0}
    assert [space.valid({"units": units}) for units in (4, 8, 16)] == [True, True, False]
    rng = np.random.default_rng(0)
    values = {"units": 4}
    assert {space.mutate(values, rng)["units"] for _ in range(9)} == {8}
    model = space.build(hyperparameters({"units": 16}))
    assert model.get_layer("wide_dense").units == 8
    assert searched(space).is_finite is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (28, 28)}, "Expected \\(height, width, channels\\)"),
        ({"input_shape": (28, 28, None)}, "the last axis"),
        ({"input_shape": 28}, "Expected a tuple of positive whole numbers"),
        ({"input_shape": (0, 8, 1)}, "Expected a tuple of positive whole numbers"),
        ({"num_outputs": 0}, "Expected the number of classes"),
        ({"num_outputs": 1}, "or task='binary'"),
        ({"task": "binary"}, "Give 1, or task='multi_label'"),
        ({"task": "clustering"}, "Expected one of 'binary'"),
        ({"data": "video"}, "Expected one of 'image'"),
        ({"optimizer": "adamax2"}, "the name of one of Keras's optimizers"),
        ({"optimizer": keras.optimizers.Adam()}, "an optimizer of its own"),
        ({"learning_rate": "high"}, "Expected 'search', or a number from 0 on"),
        ({"dropout": 1.0}, "from 0 on below 1"),
        ({"max_parameters": -1}, "Expected a positive number"),
        ({"preprocessing": lambda x: 3}, "Expected a tensor"),
        ({"preprocessing": keras.layers.Flatten()}, "after preprocessing"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ChainSpace(**{"input_shape": (8, 8, 1), "num_outputs": 3} | arguments)
