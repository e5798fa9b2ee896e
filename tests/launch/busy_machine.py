"""Comparisons of times on a machine that others use too."""


def right_in_one(measure, compare, attempts=5):
    """Calls compare(measure(i)) for i = 0, 1, ... until `compare` fails no assertion. A busy machine may take the processor away between two
    readings of clocks that are to agree; clocks that are wrong are wrong in each attempt. What `measure` asserts holds every time."""
    for i in range(attempts):
        found = measure(i)
        try:
            return compare(found)
        except AssertionError:
            if i + 1 == attempts:
                raise
