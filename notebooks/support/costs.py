"""How large a network is, chapters 06 and 07, and how long a feature takes, chapter 02."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any, cast

import numpy as np

from ser_lib.features.extraction import feature_shape
from ser_lib.features.registry import FEATURES, FeatureSpec
from ser_lib.models import build_keras, family_of
from ser_lib.paths import cache_dir
from ser_lib.runs.store import cached_result
from ser_lib.studies.study import ModelSpec


def count_weights(model: ModelSpec, n_classes: int) -> int:
    """Count the weights of a network, trainable or not, as Keras's summary does; cached."""
    name, family = family_of(model.config)
    config, features = asdict(cast(Any, model.config)), model.features

    def count() -> int:
        shape = feature_shape(features)
        return build_keras(model.config, shape, n_classes).count_params()

    return int(
        cached_result(
            cache_dir() / "weights",
            [name, family.version, config, features.identity(), n_classes],
            count,
        )
    )


def seconds_per_clip(spec: FeatureSpec, *, clip_s: float = 3.7, n_times: int = 5) -> float:
    """Measure the seconds that a feature of a synthetic clip takes on one core, the fastest try."""
    noise = np.random.default_rng(0).standard_normal(round(clip_s * spec.sample_rate_hz))
    signal = (0.1 * noise).astype(np.float32)
    function = FEATURES[spec.name].function
    times_s = []
    for _ in range(n_times):
        started = time.perf_counter()
        function(signal, spec.sample_rate_hz, **spec.params)
        times_s.append(time.perf_counter() - started)
    return min(times_s)
