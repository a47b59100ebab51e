"""Refines text corpora: Arrow tables through a ``gristmill`` process.

    with gristmill.Refiner() as refiner:
        refined = refiner.refine(table)

``gristmill.ray``, ``gristmill.daft`` and ``gristmill.spark`` are the same inside those engines; each is imported by its name.
"""

from ._errors import GristmillError
from ._refiner import Refiner

__all__ = ["GristmillError", "Refiner", "__version__"]
__version__ = "0.1.0"
