"""A whole AutoModel with Keras on JAX: run by a test in a process of its own."""

from __future__ import annotations

import sys

import keras
import numpy as np

import kt_plus
from tests.auto_model.small import small


def main(directory: str) -> None:
    """Fits, predicts and exports."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3))
    x[::9, 0] = np.nan
    y = np.where(x[:, 1] > 0, "yes", "no")
    auto = kt_plus.AutoModel(
        max_trials=2, ensemble=2, seed=0, space=small, directory=directory, minutes=5
    )
    auto.fit(x, y, epochs=8, batch_size=8, verbose=0)
    assert auto.evaluate(x, y)["accuracy"] > 0.7
    auto.export(f"{directory}/model.keras")
    model = keras.models.load_model(f"{directory}/model.keras")
    found = model.predict(x, verbose=0)[:, 0]
    assert np.allclose(found, auto.predict_proba(x)[:, 1], atol=1e-5)
    print("fitted on", keras.backend.backend())


if __name__ == "__main__":
    main(sys.argv[1])
