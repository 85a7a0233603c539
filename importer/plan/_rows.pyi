"""The compiled part of :mod:`importer.plan.column_writer`."""

from importer.build.estimate import Estimator
from parsers.counting.compiled._straight import CompiledFigures

class Rows(CompiledFigures):
    """Takes the figures of one session from compiled code.

    Args:
        rows: where to.
        models: the places of the models; new ones are added.
        model_of: takes the model's place for each generation that asked for tools.
        estimator: tells the lengths of this session's events.
    """

    def __init__(
        self,
        rows: bytearray,
        models: dict[str, int],
        model_of: dict[str, int],
        estimator: Estimator,
    ) -> None: ...
