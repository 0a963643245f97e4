"""AutoModel: the best network for given data, in one call."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Sequence
from typing import Any

import keras_tuner
from numpy.typing import NDArray

from kt_plus.auto_model import baselines, report
from kt_plus.auto_model.budget import Allowance
from kt_plus.auto_model.division import Split, checked_folds, example_weights
from kt_plus.auto_model.ensemble import (
    Member,
    assemble,
    checked_number,
    number_for,
    on_held_out,
    predict,
)
from kt_plus.auto_model.finish import Finish
from kt_plus.auto_model.inference import infer
from kt_plus.auto_model.inputs import KINDS, Inputs
from kt_plus.auto_model.metrics import Comparison, losses, summary
from kt_plus.auto_model.project import Project, fingerprint
from kt_plus.auto_model.reading import Examples, read, read_examples, read_validation
from kt_plus.auto_model.search import (
    Search,
    Space,
    Training,
    checked_space,
    make_space,
    single_objective,
)
from kt_plus.auto_model.task import NAMES, Task, check_name, label_array
from kt_plus.engine.objectives import direction_of
from kt_plus.engine.ownership import FIT, Ownership

Array = NDArray[Any]


class AutoModel:
    """Finds the best network for given data: give `fit` examples and targets, then `predict`.

    When to use it: where a good network is wanted and not the search for it. It takes tables
    (arrays, or pandas frames with numbers, truth values, categories, texts, times and gaps),
    images, sequences, and batched `tf.data`. It says what it takes the data for, searches
    architectures and training settings by evolution with inherited weights, ends hopeless
    trials early, keeps to the budget, and says how much better than a constant and than a
    linear model the result is.

    As in scikit-learn, `predict` returns labels as they were given (or numbers), and
    `predict_proba` probabilities; `export` returns a plain Keras model.

    With fewer than 10,000 examples the result is the mean of five networks, the best of the
    search, each trained to its end on four other fifths of the data and ended by the fifth that
    is left; otherwise it is the best network, trained once more from scratch, or as the search
    left it if that validates better. Comparisons are made on the examples that a network was
    not trained on; as these ended its training, and those of the best network chose it, they
    flatter it a little: `evaluate` it on others.

    Called again with the same data and project, after an interruption or with a larger budget,
    `fit` goes on where it was.

    Source: the parts are those of AutoML (Hutter, Kotthoff and Vanschoren, "Automated Machine
    Learning", 2019, chapter 3); cross-validated members as in AutoGluon (Erickson et al., 2020,
    arXiv:2003.06505); evolution and stopping as in `kt_plus.EvolutionarySearch`.

    Args:
        task: "binary", "classification", "multi_label", "regression", or "auto": told by the
            targets. Texts, truth values and few different whole numbers are classes; rows of 0
            and 1 are labels, or classes if there is always a single one; the rest are quantities.
        data: "table", "image", "sequence", or "auto": told by the shape.
        max_trials: The number of trials at most.
        max_epochs: The number of epochs at most, of all trials and of the final training.
        minutes: The minutes that `fit` may take, final training included: 10 if no budget is
            given. Interruptions are not counted.
        objective: What trials are compared by: "val_loss", or another metric of the space's models
            such as "val_accuracy". A metric that Keras does not have needs a `kt_plus.Objective`
            with its direction.
        space: What makes the search space: `kt_plus.search_spaces.ChainSpace` by default, or
            anything that takes `input_shape, num_outputs, task=, data=, preprocessing=` and returns
            a `keras_tuner.HyperModel`.
        ensemble: How many networks are averaged; 1 for a single one.
        seed: The seed of everything random. With a limit in minutes results still differ.
        directory: Where projects are kept.
        project_name: The folder of this one.
        overwrite: Whether an earlier project of the same name is replaced.

    Raises:
        ValueError: If an argument has an impossible value.

    Example:

    ```python
    auto = kt_plus.AutoModel(minutes=10)
    auto.fit(frame, labels)
    auto.predict(new_frame)  # labels
    auto.evaluate(test_frame, test_labels)  # {"loss": ..., "accuracy": ..., ...}
    auto.search_summary()
    auto.export("model.keras").predict(auto.encode(new_frame))  # probabilities, by plain Keras
    ```
    """

    def __init__(
        self,
        task: str = "auto",
        *,
        data: str = "auto",
        max_trials: int | None = None,
        max_epochs: int | None = None,
        minutes: float | None = None,
        objective: str | keras_tuner.Objective = "val_loss",
        space: Space | None = None,
        ensemble: int | None = None,
        seed: int | None = None,
        directory: str = ".",
        project_name: str = "auto_model",
        overwrite: bool = False,
    ) -> None:
        check_name("task", task, NAMES)
        check_name("data", data, KINDS)
        self._asked = {"task": task, "data": data}
        self._limits = {"minutes": minutes, "max_epochs": max_epochs, "max_trials": max_trials}
        self._project = {"directory": str(directory), "project_name": project_name}
        self._overwrite = overwrite
        self.allowance = Allowance(**self._limits)
        single_objective(objective)  # an unknown direction is an error before there are data
        self.objective, self.space, self.seed = objective, checked_space(space), seed
        self.ensemble = checked_number(ensemble)
        self.task: Any = None
        self.inputs: Any = None
        self.search: Any = None
        self.members: list[dict[str, str]] = []
        self.held_out: dict[str, float] = {}
        self.comparisons: list[Comparison] = []
        self._model: Any = None

    def __repr__(self) -> str:
        if self._model is None:
            asked = "".join(f"{k}={v!r}, " for k, v in self._asked.items() if v != "auto")
            return f"AutoModel({asked}budget of {self.allowance}, not fitted)"
        return f"AutoModel({report.describe(self)})"

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        validation_data: Any = None,
        validation_split: float = 0.2,
        sample_weight: Any = None,
        class_weight: Any = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        verbose: int = 1,
    ) -> AutoModel:
        """Searches the best network for the data, within the budget.

        Args:
            x: The examples: a data frame, an array, or a batched `tf.data.Dataset` of examples,
                targets and, if there are some, weights, which is read into memory.
            y: The targets.
            validation_data: `(x, y)`, `(x, y, weights)` or a data set to validate by, instead of a
                part of the data.
            validation_split: The share of the data that each network is validated by, seeded, each
                class with its share.
            sample_weight: What each example counts, in training and in every comparison; only the
                ratios matter.
            class_weight: What each class counts, a mapping from labels, or "balanced".
            epochs: The number of epochs of one training at most; 20 to 200 by default, fewer the
                more examples there are.
            batch_size: The number of examples in a batch; 32 to 128 by default.
            verbose: 1 says what is done, 0 does not.

        Returns:
            Itself.

        Raises:
            ValueError: If nothing can be learnt from the data, as told in the error.
            BudgetError: If the budget does not suffice for one trial; it says what would.
            ResumeError: If the project is of other data.
            ProjectInUseError: If another process fits, or searches, in the project.
        """
        self.allowance = Allowance(**self._limits)
        self.allowance.budget.begin()
        self._model = None
        given = read(x, y, sample_weight)
        self.task = infer(given.y, self._asked["task"])
        self.inputs = Inputs.of(given.x, self._asked["data"])
        Training.check(epochs, batch_size)
        self._say(verbose, [str(self.task), str(self.inputs)])
        split = self._split(given, validation_data, validation_split, class_weight)
        # The state of the project is read here, and written at the end.
        with Ownership(os.path.join(*self._project.values()), FIT).held():
            project = Project(**self._project, overwrite=self._overwrite)
            project.check(fingerprint(*split.parts, split.number))
            seed = project.seed(self.seed)
            split = split.divided(self.task, seed)
            training = Training.of(self.objective, len(split.x), epochs, batch_size, seed)
            try:
                self._run(split, training, project, verbose)
            finally:
                self.allowance.budget.pause()
        return self

    def predict(self, x: Any) -> Array:
        """Labels, rows of 0 and 1, or numbers, as the targets of `fit` were.

        If these were rows with a single 1, the label is the name, or the place, of its column.
        """
        outputs = self._outputs(x)
        return self.task.predictions(self.task.outcomes(outputs))

    def predict_proba(self, x: Any) -> Array:
        """The probability of each class, in the order of `classes_`, or of each label.

        Raises:
            ValueError: If the task is regression.
        """
        outputs = self._outputs(x)
        if self.task.name == "regression":
            raise ValueError("The task is regression, without probabilities. Call predict.")
        return self.task.outcomes(outputs)

    def evaluate(self, x: Any, y: Any = None) -> dict[str, float]:
        """The loss and the usual measures of the task on other data, by name.

        For classes the loss is the cross-entropy in nats; beside it `accuracy`, the mean recall of
        the classes (`balanced_accuracy`), and for two of them `auc`. For labels: `accuracy` of
        each, `exact` rows, mean `f1`. For numbers the loss is the squared error in variances of
        the training targets; `rmse` and `mae` are in their units; `r2`.
        """
        given = read(x, y)
        outputs, targets = self._outputs(given.x), self.task.encode(given.y)
        weights = example_weights(self.task, targets, given.weights, None)
        return summary(self.task, targets, outputs, weights)

    def export(self, path: str | os.PathLike[str] | None = None) -> Any:
        """The model as plain Keras, which is saved, loaded and served without kt_plus.

        It takes arrays as they were given to `fit`: images are scaled, and gaps in tables filled,
        inside. Of a data frame it takes what `encode` makes of it. It returns probabilities (one
        for two classes, that of the second), or numbers in the units of the targets.

        Args:
            path: A `.keras` file to write too.
        """
        model = self._fitted()
        if path is not None:
            model.save(os.fspath(path))
        return model

    def encode(self, x: Any) -> Array:
        """The array that the exported model takes for these examples.

        Of a data frame: 32-bit numbers in the columns that `feature_names` tells, NaN for what is
        missing, and for categories their code, 0 for one never seen.
        """
        self._fitted()
        return self.inputs.encode(read_examples(x))

    def search_summary(self, num_trials: int = 5) -> None:
        """Prints what the data were taken for, the best trials, and how good the result is."""
        self._fitted()
        print(report.table(self, num_trials))

    @classmethod
    def load(cls, directory: str = ".", project_name: str = "auto_model") -> AutoModel:
        """A fitted model from its project, to predict without the data.

        Raises:
            ValueError: If there is none, or it is not finished.
        """
        project = Project(directory, project_name)
        state = project.finished()
        auto = cls(directory=directory, project_name=project_name)
        auto.task, auto.inputs = (
            Task.from_config(state["task"]),
            Inputs.from_config(state["inputs"]),
        )
        auto.members, auto.held_out = state["networks"], state["held_out"]
        auto.objective = name = state["objective"]
        if "direction" in state and direction_of(name) != state["direction"]:
            auto.objective = keras_tuner.Objective(name, state["direction"])
        auto.comparisons = [Comparison(**comparison) for comparison in state["comparisons"]]
        auto._model = project.load_model()
        return auto

    @property
    def classes_(self) -> Array:
        """The labels, in the order of the probabilities."""
        self._fitted()
        return label_array(self.task.classes)

    @property
    def feature_names(self) -> list[str]:
        """The names of the columns that `encode` makes of a table; none for other data."""
        self._fitted()
        return self.inputs.table.names if self.inputs.table is not None else []

    @property
    def tuner(self) -> Any:
        """The search, for `kt_plus.report`, `kt_plus.results` and the like."""
        if self.search is None:
            raise ValueError("There is no search in this process. Call fit.")
        return self.search.tuner

    def _split(
        self, given: Examples, validation_data: Any, validation_split: float, class_weight: Any
    ) -> Split:
        """The data as networks take them, and how they are to be divided."""
        x, y, weights = self._encoded(given, class_weight)
        folds = checked_folds(validation_split, len(x))
        if validation_data is None:
            return Split(x, y, weights, number=folds)
        held_out = self._encoded(read_validation(validation_data), class_weight)
        return Split(x, y, weights, validation=tuple(p for p in held_out if p is not None))

    def _encoded(self, given: Examples, class_weight: Any) -> tuple[Array, Array, Array | None]:
        """Examples, targets and weights as networks take them."""
        x, y = self.inputs.encode_for_networks(given.x), self.task.encode(given.y)
        return x, y, example_weights(self.task, y, given.weights, class_weight)

    def _run(self, split: Split, training: Training, project: Project, verbose: int) -> None:
        members = number_for(split, self.ensemble)
        space = make_space(self.space, self.inputs, self.task, split.x)
        seconds = min(60.0, max(1.0, 0.05 * self.allowance.seconds_left))
        preprocessing = self.inputs.preprocessing(split.x)
        rivals = baselines.held_out(self.task, preprocessing, split, members, seconds)
        where = {**self._project, "overwrite": self._overwrite}
        # Keras Tuner says that it goes on, asked or not; without an output `print` says nothing.
        with contextlib.nullcontext() if verbose else contextlib.redirect_stdout(None):
            self.search = Search(space, training, self.allowance, members, **where)
        with self.search.tuner.owned():
            self.search.go_on(project)
            pace = training.pace(split)
            self.search.run(split, pace, verbose)
            finish = Finish(self.search, self.task, split, project, pace)
            trained = finish.members(rivals)
            self.members = [{"trial": member.trial_id} for member in trained]
            self._model = assemble(self.inputs, self.task, [member.model for member in trained])
            self._judge(trained, split, rivals)
            self._keep(project)
        self._say(verbose, report.verdicts(self))
        self._warn()

    def _judge(
        self, members: Sequence[Member], split: Split, rivals: Sequence[dict[str, Array]]
    ) -> None:
        """How good the model is on examples that its networks were not trained on."""
        (targets, *weights), outputs, beside = on_held_out(members, split, rivals)
        ours = losses(self.task, targets, outputs, *weights)
        self.held_out = summary(self.task, targets, outputs, *weights)
        self.comparisons = [Comparison.of(name, ours, theirs) for name, theirs in beside.items()]

    def _keep(self, project: Project) -> None:
        project.save_model(self._model)
        project.save(
            task=self.task.get_config(),
            inputs=self.inputs.get_config(),
            objective=self.search.training.objective.name,
            direction=self.search.direction,
            networks=self.members,
            held_out=self.held_out,
            comparisons=[vars(comparison) for comparison in self.comparisons],
            seconds=self.allowance.budget.seconds,
        )

    def _warn(self) -> None:
        """Warns, whatever `verbose` is, if a simpler model would do."""
        for comparison in self.comparisons:
            if not comparison.is_better:
                warnings.warn(str(comparison), stacklevel=4)

    def _fitted(self) -> Any:
        if self._model is None:
            raise ValueError("The AutoModel is not fitted. Call fit(x, y), or AutoModel.load.")
        return self._model

    def _outputs(self, x: Any) -> Array:
        """The outputs of the networks: for regression, standardised."""
        outputs = predict(self._fitted(), self.encode(x))
        if self.task.name == "regression":
            return (outputs.reshape(-1, self.task.outputs) - self.task.means) / self.task.scales
        return outputs

    def _say(self, verbose: int, texts: Any) -> None:
        for text in texts if verbose else ():
            print(text[0].upper() + text[1:], flush=True)
