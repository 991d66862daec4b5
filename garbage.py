"""How seldom processes that make values by the million look for cycles among them."""

import gc

_THRESHOLDS = (100_000, 20, 100)


def rest_the_collector() -> None:
    """Once, when what stays has been loaded: it is never looked through again.

    What comes later holds no cycles to speak of, and goes when nobody holds it; to look for some among it takes up to a
    fifth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
