"""A VAE as a transformer of scikit-learn: tables in, embeddings out."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from bench.settings import Budget
from bench.train.steps import stepper_for
from variants import registry
from variants.data_spec import DataSpec


class VAETransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Embeds the rows of a table: `fit_transform(X)` gives the means of q(z|x), `inverse_transform` leads back.

    Columns are standardised first. Nothing is held out: a pipeline validates in its own way.

    Args:
        variant: a registered name.
        n_components: D, latent dimensions.
        epochs: passes over the rows.
        batch_size: rows a step.
        lr: Adam's step size at the start.
        keywords: others of the variant, such as `{"hidden": [64]}`.
        random_state: of the weights and the draws, as elsewhere in scikit-learn.

    Attributes:
        model_: the trained `variants.core.VAE`.
        mean_: of each column.
        scale_: standard deviation of each column, 1 where that is 0.
        n_features_in_: number of columns.
    """

    def __init__(
        self,
        variant: str = "vanilla",
        n_components: int = 2,
        *,
        epochs: int = 50,
        batch_size: int = 128,
        lr: float = 3e-3,
        keywords: dict[str, Any] | None = None,
        random_state: Any = None,
    ) -> None:
        self.variant = variant
        self.n_components = n_components
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.keywords = keywords
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "VAETransformer":  # noqa: ARG002 - scikit-learn's own name
        """Train on the rows of `[N, F]`; `y` is not used."""
        table = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        self.mean_ = table.mean(axis=0, dtype=np.float64)
        spread = table.std(axis=0, dtype=np.float64)
        self.scale_ = np.where(spread > 10 * np.finfo(table.dtype).eps * np.abs(self.mean_), spread, 1.0)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        rows = torch.from_numpy(self._scaled(table))
        spec = DataSpec((rows.shape[1],), "real", len(rows), mean=lambda: np.zeros(rows.shape[1]))
        budget = Budget(epochs=self.epochs, batch_size=self.batch_size, lr=self.lr)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            model = registry.build(self.variant, spec, latent=self.n_components, **self.keywords or {}).train()
            stepper = stepper_for(model, budget)
            size = max(2, self.batch_size)
            for epoch in range(self.epochs):
                batches = [*torch.split(rows[torch.randperm(len(rows))], size)]
                if len(batches) > 1 and len(batches[-1]) == 1:
                    batches[-2:] = [torch.cat(batches[-2:])]
                for i, batch in enumerate(batches):
                    stepper(batch, epoch + i / len(batches))
        self.model_ = model.eval()
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Means of q(z|x), `[N, D]`."""
        check_is_fitted(self)
        table = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        with torch.no_grad():
            mean = self.model_.infer(torch.from_numpy(self._scaled(table))).mean.numpy()
        return mean.astype(table.dtype)  # type: ignore[no-any-return]

    def inverse_transform(self, Z: Any) -> NDArray[Any]:
        """Means of p(x|z) in the units of the columns, `[N, F]`."""
        check_is_fitted(self)
        z = np.ascontiguousarray(np.asarray(Z), dtype=np.float32)
        with torch.no_grad():
            x = self.model_.decode(torch.from_numpy(z)).mean.numpy()
        return x * self.scale_ + self.mean_  # type: ignore[no-any-return]

    @property
    def _n_features_out(self) -> int:
        return self.n_components

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:  # noqa: ARG002
        """`vae0`, `vae1`, ..."""
        check_is_fitted(self)
        return np.asarray([f"vae{i}" for i in range(self.n_components)], dtype=object)

    def _scaled(self, table: NDArray[Any]) -> NDArray[np.float32]:
        return np.ascontiguousarray((table - self.mean_) / self.scale_, dtype=np.float32)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        # With a random state the draws of the training are its own.
        tags.non_deterministic = False
        return tags
