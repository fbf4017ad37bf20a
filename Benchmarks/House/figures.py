"""Medians, spreads and ratios of what rounds have brought."""
import statistics


def summary(samples):
    """Median, quartiles and extremes of samples, which are kept as well."""
    samples = list(samples)
    if not samples:
        return None
    first, third = samples[0], samples[0]
    if len(samples) > 1:
        first, _, third = statistics.quantiles(samples, n=4, method="inclusive")
    return {
        "median": statistics.median(samples), "q1": first, "q3": third, "min": min(samples), "max": max(samples),
        "samples": samples,
    }


def ratio(rounds, others):
    """The summary of a figure's ratios to another's, each taken within a round; None if no round has both.

    Rounds are lists of the same length with None where something was not measured. What slows a machine down for a
    while slows both down within a round, and drops out.
    """
    pairs = [(mine, other) for mine, other in zip(rounds, others) if mine is not None and other]
    return summary(mine / other for mine, other in pairs)


def per_operation(small, large):
    """What an operation costs, of two totals with different counts: what comes once drops out."""
    (small_count, small_total), (large_count, large_total) = small, large
    return (large_total - small_total) / (large_count - small_count)


def si(value, unit=""):
    """1234567 → 1.23 M; three digits count."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{_digits(value / factor)} {letter}{unit}"
    return f"{_digits(value)} {unit}".rstrip()


def duration(nanoseconds):
    for factor, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if abs(nanoseconds) >= factor:
            return f"{_digits(nanoseconds / factor)} {unit}"
    return f"{_digits(nanoseconds)} ns"


def size(count):
    for factor, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if abs(count) >= factor:
            return f"{_digits(count / factor)} {unit}"
    return f"{_digits(count)} B"


def shown(figure, value):
    """A figure's value with its unit."""
    if value is None:
        return "–"
    if figure.endswith("_ns"):
        return duration(value)
    return size(value) if "bytes" in figure else si(value)


def times(value):
    """A ratio, short enough for a table and never rounded to nothing."""
    if value is None:
        return "–"
    if 0 < value < 0.1:
        return f"{value:.2g}×"
    return f"{value:.0f}×" if value >= 100 else f"{value:.1f}×" if value >= 10 else f"{value:.2f}×"


def _digits(value):
    magnitude = abs(value)
    return f"{value:.0f}" if magnitude >= 100 else f"{value:.1f}" if magnitude >= 10 else f"{value:.2f}"
