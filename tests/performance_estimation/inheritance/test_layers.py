"""What each kind of layer inherits, and what it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from kt_plus.performance_estimation.inheritance import UnreadableModel, WeightInheritance
from kt_plus.performance_estimation.inheritance.keras_models import read
from tests.errors import raises_in_three_parts
from tests.performance_estimation.inheritance.networks import outputs, train

layers = keras.layers


def hows(parent: Any, child: Any, noise: float = 0.0) -> list[str]:
    """How each layer of the child has inherited; if it is said to be the same function, it is."""
    train(parent, seed=3)
    report = WeightInheritance(noise).transfer(parent, child)
    if report.preserved and not noise:
        np.testing.assert_allclose(outputs(child), outputs(parent), atol=1e-5)
    hows.report = report  # type: ignore[attr-defined]
    return [layer.how for layer in report.layers]


def preserved() -> bool:
    return hows.report.preserved  # type: ignore[attr-defined,no-any-return]


def chain(shape: tuple[int, ...], *parts: Callable[[], Any] | Any) -> Any:
    """A model of these layers, which end in three units."""
    keras.utils.clear_session()
    x = inputs = keras.Input(shape)
    for part in parts:
        x = part(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(x))


def dense(units: int, **settings: Any) -> Any:
    return layers.Dense(units, "relu", **settings)


def test_unnamed_layers_are_matched_by_order_and_the_head_with_the_head() -> None:
    parent = chain((4,), dense(5), dense(6))
    child = chain((4,), dense(5), dense(6), dense(7))
    assert hows(parent, child) == ["copied", "copied", "deepened", "widened"]
    assert preserved()
    first, second, _ = (layer.name for layer in parent.layers if layer.weights)
    assert [layer.source for layer in hows.report.layers] == [first, second, None, "head"]  # type: ignore[attr-defined]


def test_the_first_layer_is_matched_with_the_first_one() -> None:
    """Though one of the later ones is more like it."""

    def network(*windows: int) -> Any:
        sizes = [layers.Conv2D(3, n, padding="same", activation="relu") for n in windows]
        return chain((6, 6, 2), *sizes, layers.GlobalAveragePooling2D())

    assert hows(network(3, 1), network(5, 3, 1)) == ["widened", "deepened", "copied", "copied"]
    assert preserved()


def test_names_count_more_than_the_order() -> None:
    parent = chain((4,), dense(5, name="a"), dense(5, name="b"))
    child = chain((4,), dense(5, name="b"))
    hows(parent, child)
    assert [layer.source for layer in hows.report.layers] == ["b", "head"]  # type: ignore[attr-defined]
    assert not preserved()


def test_names_that_mislead_do_not_count() -> None:
    parent = chain((4,), dense(5, name="a"), dense(5, name="b"))
    child = chain((4,), dense(5, name="b"), dense(5, name="a"))
    assert hows(parent, child) == ["copied"] * 3
    assert preserved()


def test_a_sequential_model() -> None:
    parent = keras.Sequential([keras.Input((4,)), dense(3), layers.Dropout(0.5), layers.Dense(2)])
    child = keras.Sequential([keras.Input((4,)), dense(6), layers.Dense(2)])
    assert hows(parent, child) == ["widened", "widened"]
    assert preserved()


def test_narrower_layers_are_cropped() -> None:
    parent, child = chain((4,), dense(6)), chain((4,), dense(4))
    assert hows(parent, child) == ["cropped", "cropped"]
    assert not preserved()
    ours, theirs = (model.layers[1].get_weights()[0] for model in (child, parent))
    assert np.array_equal(ours, theirs[:, :4])
    assert "units 6 to 4" in str(hows.report.layers[0])  # type: ignore[attr-defined]


@pytest.mark.parametrize("activation", ["tanh", "gelu", "sigmoid"])
def test_no_identity_under_an_activation_that_is_none(activation: str) -> None:
    parent = chain((4,), dense(4))
    child = chain((4,), dense(4), layers.Dense(4, activation))
    assert hows(parent, child) == ["copied", "fresh", "copied"]
    assert f"{activation} follows it" in hows.report.why  # type: ignore[attr-defined]


@pytest.mark.parametrize("activation", ["linear", "relu", "elu", "leaky_relu"])
def test_identities(activation: str) -> None:
    parent = chain((4,), dense(4))
    child = chain((4,), dense(4), layers.Dense(6, activation))
    assert hows(parent, child) == ["copied", "deepened", "widened"]
    assert preserved()


def test_no_rectified_identity_where_the_input_may_be_negative() -> None:
    parent, child = chain((4,)), chain((4,), dense(4))
    assert hows(parent, child) == ["fresh", "copied"]
    assert "may be negative" in hows.report.why  # type: ignore[attr-defined]


def test_no_identity_that_is_narrower_than_its_input() -> None:
    parent, child = chain((4,), dense(8)), chain((4,), dense(8), dense(7))
    assert hows(parent, child) == ["copied", "fresh", "cropped"]


def image(x: Any) -> Any:
    return layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(x)


@pytest.mark.parametrize(
    ("layer", "how"),
    [
        (lambda: layers.Conv2D(4, 3, padding="same", activation="relu"), "deepened"),
        (lambda: layers.Conv2D(9, 4, padding="same", activation="relu"), "deepened"),
        (lambda: layers.Conv2D(4, 3, padding="same", dilation_rate=2), "deepened"),
        (lambda: layers.Conv2D(4, 1), "deepened"),
        (lambda: layers.SeparableConv2D(5, 3, padding="same", depth_multiplier=2), "deepened"),
        (lambda: layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), "deepened"),
        (lambda: layers.Dense(5), "deepened"),
        (lambda: layers.BatchNormalization(center=False), "deepened"),
        (lambda: layers.BatchNormalization(scale=False, epsilon=0.1), "deepened"),
        (lambda: layers.BatchNormalization(axis=3), "deepened"),
        (lambda: layers.BatchNormalization(axis=1), "fresh"),
        (lambda: layers.Conv2D(4, 3), "fresh"),
        (lambda: layers.Conv2D(4, 3, padding="same", strides=2), "fresh"),
        (lambda: layers.Conv2D(4, 3, padding="same", groups=2), "fresh"),
        (lambda: layers.Conv2DTranspose(4, 3, padding="same"), "fresh"),
        (lambda: layers.LayerNormalization(), "fresh"),
    ],
)
def test_layers_inserted_between_others(layer: Callable[[], Any], how: str) -> None:
    pooled = layers.GlobalAveragePooling2D
    parent = chain((6, 6, 2), image, pooled())
    child = chain((6, 6, 2), image, layer(), pooled())
    assert hows(parent, child)[1] == how
    assert preserved() == (how == "deepened")


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ({"kernel_size": 1}, {"kernel_size": 3}, True),
        ({"kernel_size": 2}, {"kernel_size": 3}, True),
        ({"kernel_size": 3}, {"kernel_size": (3, 5)}, True),
        ({"kernel_size": 3, "strides": 2}, {"kernel_size": 5, "strides": 2}, True),
        ({"kernel_size": 1, "strides": 2}, {"kernel_size": 3, "strides": 2}, False),
        ({"kernel_size": 3, "dilation_rate": 2}, {"kernel_size": 5, "dilation_rate": 2}, True),
        ({"kernel_size": 3}, {"kernel_size": 1}, False),
        ({"kernel_size": 3}, {"kernel_size": 3, "strides": 2}, False),
        ({"kernel_size": 3, "use_bias": False}, {"kernel_size": 3}, True),
        ({"kernel_size": 3}, {"kernel_size": 3, "use_bias": False}, False),
        ({"kernel_size": 3}, {"kernel_size": 3, "activation": "relu"}, False),
    ],
)
def test_settings_of_convolutions(old: Any, new: Any, kept: bool) -> None:
    def network(size: int, **settings: Any) -> Any:
        convolution = layers.Conv2D(3, padding="same", **settings)
        return chain((size, size, 2), convolution, layers.GlobalMaxPooling2D())

    for size in (6, 7) if "strides" in old else (7,):
        hows(network(size, **old), network(size, **new))
        assert preserved() == kept


def test_convolutions_over_time_and_volumes() -> None:
    def series(units: int) -> Any:
        causal = layers.Conv1D(units, 2 + units // 4, padding="causal", activation="relu")
        return chain((7, 2), causal, layers.Conv1D(units, 1), layers.GlobalMaxPooling1D())

    def volume(units: int) -> Any:
        convolution = layers.Conv3D(units, 2, activation="relu")
        turned = layers.Conv3DTranspose(units, 2)
        return chain((3, 3, 3, 2), convolution, turned, layers.Flatten())

    for network in (series, volume):
        assert hows(network(3), network(5)) == ["widened"] * 3
        assert preserved()


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU, layers.SimpleRNN])
def test_recurrent_layers(kind: Any) -> None:
    def network(units: int, embedded: int) -> Any:
        first = kind(units, return_sequences=True)
        return chain((5,), layers.Embedding(20, embedded), first, kind(units))

    parent, child = train(network(3, 2), 1), network(5, 3)
    assert WeightInheritance(0).transfer(parent, child).preserved
    words = np.random.default_rng(0).integers(0, 20, (4, 5))
    theirs, ours = (np.asarray(m(words)) for m in (parent, child))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("merge", ["concat", "sum", None])
def test_states_and_both_directions(merge: str | None) -> None:
    def network(units: int) -> Any:
        keras.utils.clear_session()
        inputs = keras.Input((5, 2))
        both = layers.GRU(units, return_sequences=True)
        sequence = layers.Bidirectional(both, merge_mode=merge)(inputs)
        sequence = sequence if merge else layers.Maximum()(sequence)
        _, *states = layers.LSTM(units, return_state=True)(sequence)
        return keras.Model(inputs, layers.Dense(2)(layers.Concatenate()(states)))

    assert hows(network(3), network(5)) == ["widened"] * 4
    assert preserved()


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.TimeDistributed(layers.Dense(3)),
        lambda: layers.SpectralNormalization(layers.Dense(3)),
        lambda: layers.RNN(layers.LSTMCell(3)),
        lambda: layers.Bidirectional(layers.LSTM(3, return_state=True)),
    ],
)
def test_layers_within_others_are_the_same_whatever_keras_calls_them(layer: Any) -> None:
    def network() -> Any:
        x = inputs = keras.Input((5, 4))
        found = layer()(x)
        return keras.Model(inputs, found[0] if isinstance(found, (list, tuple)) else found)

    assert hows(network(), network()) == ["copied"]
    assert preserved()


@pytest.mark.parametrize(("units", "even"), [(4, True), (8, True), (12, True), (6, False)])
@pytest.mark.parametrize("kind", ["LayerNormalization", "RMSNormalization"])
def test_layer_normalization_needs_even_repeats(kind: str, units: int, even: bool) -> None:
    def network(units: int) -> Any:
        return chain((4,), dense(units), getattr(layers, kind)())

    hows(network(4), network(units))
    assert preserved() == even


def test_normalization_with_and_without_its_parts() -> None:
    def network(**settings: Any) -> Any:
        return chain((4,), dense(4), layers.LayerNormalization(**settings))

    hows(network(scale=False), network(center=False))
    assert not preserved()


def squared(x: Any) -> Any:
    return x * x


@pytest.mark.parametrize(
    ("activation", "kept"), [(squared, False), (layers.LeakyReLU(0.3), True), (layers.ELU(), True)]
)
def test_activations_of_ones_own_and_layers_as_activations(activation: Any, kept: bool) -> None:
    def network(*units: int) -> Any:
        return chain((4,), dense(4), *(layers.Dense(n, activation) for n in units))

    hows(network(4), network(4))
    assert preserved()
    hows(network(4), network(6))
    assert preserved() == kept
    hows(network(6), network(4, 6))
    assert preserved() == kept  # LeakyReLU and ELU pass on what is not negative


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.ReLU(6.0),
        lambda: layers.ReLU(negative_slope=0.2, max_value=1.0, threshold=0.1),
        lambda: layers.Activation("relu6"),
    ],
)
def test_every_kind_of_rectifier_treats_units_alone(layer: Any) -> None:
    def network(units: int) -> Any:
        return chain((4,), layers.Dense(units), layer())

    assert hows(network(3), network(5)) == ["widened", "widened"]
    assert preserved()


class ChannelPooling(keras.layers.Layer):
    """Its name has a part that Keras's layers of a known kind have."""

    def call(self, x: Any) -> Any:
        return x - keras.ops.sum(x, axis=-1, keepdims=True)


def test_a_name_like_one_of_kerass_tells_nothing() -> None:
    def network(units: int) -> Any:
        return chain((4,), dense(units), ChannelPooling())

    hows(network(3), network(5))
    assert not preserved()


def test_cubic_interpolation_makes_negative_values_of_others() -> None:
    def network(*rectified: Any) -> Any:
        upsampling = layers.UpSampling2D(2, interpolation="bicubic")
        return chain((4, 4, 2), image, upsampling, *rectified, layers.Flatten())

    hows(network(layers.ReLU()), network())
    assert not preserved()


def test_a_softmax_between_layers_cannot_repeat() -> None:
    parent = chain((4,), layers.Dense(3, "softmax"))
    assert hows(parent, chain((4,), layers.Dense(5, "softmax"))) == ["widened", "widened"]
    assert not preserved()
    hows(parent, chain((4,), layers.Dense(3, "softmax")))
    assert preserved()


def test_a_new_branch_has_no_weight_at_first() -> None:
    def network(more: int) -> Any:
        keras.utils.clear_session()
        inputs = keras.Input((4,))
        x = dense(3, name="a")(inputs)
        if more:
            x = layers.Concatenate()([x, layers.Dense(more, "tanh", name="b")(inputs)])
        return keras.Model(inputs, layers.Dense(2)(x))

    child = network(2)
    drawn = child.get_layer("b").get_weights()[0]
    assert hows(network(0), child) == ["copied", "fresh", "widened"]
    assert preserved()
    assert np.array_equal(child.get_layer("b").get_weights()[0], drawn)
    assert not child.layers[-1].get_weights()[0][3:].any()


@pytest.mark.parametrize(
    ("layer", "zero"),
    [
        (lambda: layers.Dense(3, "tanh"), True),
        (lambda: layers.Dense(3, "sigmoid"), False),
        (lambda: layers.EinsumDense("ab,bc->ac", 3, "sigmoid"), False),
        (lambda: layers.SpectralNormalization(layers.Dense(3)), False),
    ],
)
def test_a_new_summand_that_can_be_zero_at_first(layer: Any, zero: bool) -> None:
    def network(*more: Any) -> Any:
        keras.utils.clear_session()
        inputs = keras.Input((4,))
        x = dense(3, name="a")(inputs)
        for each in more:
            x = layers.Add()([x, each()(x)])
        return keras.Model(inputs, layers.Dense(2, name="head")(x))

    hows(network(), network(layer))
    assert preserved() == zero


def test_a_sum_of_what_repeats_differently() -> None:
    """A concatenation repeats block by block, so that what is added to it must, too."""

    def network(units: int) -> Any:
        keras.utils.clear_session()
        inputs = keras.Input((4,))
        joined = layers.Concatenate()([dense(units, name=n)(inputs) for n in "ab"])
        other = layers.BatchNormalization()(layers.Dense(2 * units, name="c")(inputs))
        x = layers.ReLU()(joined + other)
        return keras.Model(inputs, layers.Dense(2)(x))

    assert set(hows(network(3), network(5))) == {"widened"}
    assert preserved()


def test_shared_layers_and_models_within_models() -> None:
    def network(units: int) -> Any:
        keras.utils.clear_session()
        encoder = keras.Sequential([keras.Input((4,)), dense(units), dense(units + 1)])
        left, right = keras.Input((4,)), keras.Input((4,))
        x = layers.Concatenate()([encoder(left), encoder(right)])
        return keras.Model([left, right], layers.Dense(2)(x))

    parent, child = train(network(3), 1), network(5)
    for layer in parent.layers:
        if isinstance(layer, keras.Sequential):
            train(layer, 2)
    report = WeightInheritance(0).transfer(parent, child)
    assert report.preserved
    assert [layer.layer for layer in report.layers][:2] == [
        "sequential/dense",
        "sequential/dense_1",
    ]
    pair = [np.random.default_rng(i).normal(size=(3, 4)).astype("float32") for i in (1, 2)]
    np.testing.assert_allclose(np.asarray(child(pair)), np.asarray(parent(pair)), atol=1e-5)


def test_layers_of_ones_own_and_attention_are_copied_or_fresh() -> None:
    @keras.saving.register_keras_serializable("tests")
    class Scale(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(shape=(shape[-1],), name="scale")

        def call(self, x: Any) -> Any:
            return x * self.scale

    def network(units: int) -> Any:
        x = inputs = keras.Input((5, 4))
        x = layers.Dense(units)(x)
        x = layers.MultiHeadAttention(2, units)(x, x)
        x = Scale()(layers.GlobalAveragePooling1D()(x))
        return keras.Model(inputs, layers.Dense(2)(x))

    assert hows(network(4), network(4)) == ["copied"] * 4
    assert preserved()
    assert hows(network(4), network(6)) == ["widened", "fresh", "fresh", "widened"]
    assert not preserved()


def test_channels_first_are_left_alone() -> None:
    def network(units: int) -> Any:
        settings = {"data_format": "channels_first"}
        convolution = layers.Conv2D(units, 2, **settings)
        return chain((2, 5, 5), convolution, layers.GlobalMaxPooling2D(**settings))

    hows(network(3), network(3))
    assert preserved()
    child = network(5)
    report = WeightInheritance(0).transfer(network(3), child)
    assert report.layers[0].how == "fresh"
    assert not report.preserved


def test_a_new_normalization_knows_its_inputs_statistics() -> None:
    """Where batch normalization and ReLU tell them: so it changes little in training, too."""
    norm = layers.BatchNormalization
    parent = chain((4,), layers.Dense(3), norm(momentum=0.0), layers.ReLU())
    child = chain((4,), layers.Dense(3), norm(momentum=0.0), layers.ReLU(), norm())
    x = np.random.default_rng(0).normal(size=(5000, 4)).astype("float32")
    train(parent, 3)
    parent(x, training=True)  # its moving statistics are those of x
    WeightInheritance(0).transfer(parent, child)
    there, here = (np.asarray(m(x, training=True)) for m in (parent, child))
    np.testing.assert_allclose(here, there, atol=0.2)
    assert np.abs(here - there).mean() < 0.05 * np.abs(there).mean()


def test_noise_parts_what_is_repeated() -> None:
    parent = chain((4,), dense(3), dense(3))
    child = chain((4,), dense(5), dense(3), dense(3))
    hows(parent, child, noise=0.1)
    first, _, deeper = (layer.get_weights()[0] for layer in child.layers[1:4])
    theirs = parent.layers[1].get_weights()[0]
    assert np.array_equal(first[:, :3], theirs)
    assert (first[:, 3:] != theirs[:, :2]).all()
    assert np.abs(first[:, 3:] - theirs[:, :2]).max() < 0.2
    assert (deeper != np.eye(3)).all()


def test_models_that_cannot_be_looked_into() -> None:
    class Subclassed(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    with raises_in_three_parts(
        UnreadableModel, happened="of the class Subclassed", expected="keras.Model(inputs, outputs)"
    ):
        read(Subclassed())
    with pytest.raises(UnreadableModel, match=r"has not been built. Begin it with a keras.Input"):
        read(keras.Sequential([dense(3)]))


@pytest.mark.parametrize("noise", [-0.1, float("nan"), float("inf"), "some", True])
def test_bad_noise(noise: Any) -> None:
    with pytest.raises(ValueError, match=r"noise=.* was given. Expected a share"):
        WeightInheritance(noise)
