"""Foretells what more data would bring, by runs that differ in `data.fraction`, and the power law through their losses.

loss(share) = floor + scale x share^-exponent (Hestness et al.: Deep Learning Scaling is Predictable, Empirically, 2017, arXiv:1712.00409).
The interval is a parametric bootstrap: losses drawn around the law with the deviation that the runs have from it, and fitted again.
"""
import numpy

LEAST = 3  # different shares, as many as the law has parameters
AHEAD = (2.0, 4.0)
DRAWS, SEED, LEVEL = 1000, 0, 0.95
EXPONENTS = numpy.geomspace(0.05, 3, 150)


def law(share, floor, scale, exponent):
    return floor + scale * share**-exponent


def fitted(shares, losses):
    """[floor, scale, exponent] x fits of `losses`, [run x fit], by least squares: linear in floor and scale for each of EXPONENTS,
    and neither below 0."""
    best = numpy.full(losses.shape[1], numpy.inf)
    found = numpy.zeros((3, losses.shape[1]))
    for exponent in EXPONENTS:
        power = shares**-exponent
        floor, scale = numpy.linalg.lstsq(numpy.stack([numpy.ones_like(power), power], 1), losses, rcond=None)[0]
        scale = numpy.where(floor < 0, power @ losses / (power @ power), scale)
        floor = numpy.where(scale < 0, losses.mean(0), numpy.maximum(floor, 0))
        scale = numpy.maximum(scale, 0)
        apart = ((losses - floor - scale * power[:, None]) ** 2).sum(0)
        better = apart < best
        best = numpy.where(better, apart, best)
        found[:, better] = numpy.stack([floor, scale, numpy.full_like(floor, exponent)])[:, better]
    return found


class Curve:
    """`shares` of the training samples and validation losses, of one run each."""

    def __init__(self, shares, losses):
        self.shares, self.losses = numpy.array(shares, float), numpy.array(losses, float)
        self.parameters = fitted(self.shares, self.losses[:, None])[:, 0]
        self.free = len(self.losses) - len(self.parameters)
        apart = self.losses - law(self.shares, *self.parameters)
        self.deviation = float(numpy.sqrt((apart**2).sum() / self.free)) if self.free > 0 else None

    def draws(self):
        """Parameters of laws through losses that chance might have given in place of these; their deviation is itself drawn, as few
        runs tell it badly."""
        generator, center = numpy.random.default_rng(SEED), law(self.shares, *self.parameters)
        deviation = self.deviation * numpy.sqrt(self.free / generator.chisquare(self.free, DRAWS))
        return fitted(self.shares, center[:, None] + deviation * generator.normal(size=(len(center), DRAWS)))

    def at(self, shares):
        """(loss, low, high) at each share; no ends where the runs leave nothing to judge the law by."""
        shares = numpy.asarray(shares, float)
        middle = law(shares, *self.parameters)
        if self.deviation is None:
            return middle, None, None
        drawn = law(shares[None, :], *self.draws()[:, :, None])
        low, high = numpy.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
        return middle, numpy.minimum(low, middle), numpy.maximum(high, middle)


def points_of(runs):
    """[(share, loss)] of runs that were evaluated."""
    return [(float(run.config["data.fraction"]), run.best["loss"]) for run in runs
            if run.best and isinstance(run.config.get("data.fraction"), (int, float)) and run.best.get("loss") is not None]


def section(runs):
    """A section, unless the runs are no learning curve."""
    points = sorted(points_of(runs))
    if len({share for share, _ in points}) < LEAST:
        return []
    curve = Curve(*zip(*points))
    middle, low, high = curve.at(AHEAD)
    ends = [None] * len(AHEAD) if low is None else list(zip(low, high))
    rows = [[f"{100 * share:g} %", loss, "measured"] for share, loss in points]
    rows += [[f"{100 * share:g} %", float(value), f"{pair[0]:.4f} to {pair[1]:.4f}" if pair else "no interval: more runs than three are needed"]
             for share, value, pair in zip(AHEAD, middle, ends)]
    text = (f"The law through the measured losses is {curve.parameters[0]:.4f} + {curve.parameters[1]:.4f} x share^-{curve.parameters[2]:.2f}: with data "
            f"without end the loss would tend to {curve.parameters[0]:.4f}. It is worth what the runs are: data of the same kind, each run trained "
            "until its validation loss no longer falls.")
    return [{"title": "What more data would bring", "blocks": [{"kind": "text", "text": text}, figure(curve, points), {
        "kind": "table", "caption": "Validation loss by the share of the training samples; beyond 100 % foretold, with the middle 95 % of the fits",
        "columns": [{"name": "share"}, {"name": "loss", "digits": 4}, {"name": ""}], "rows": rows}]}]


def figure(curve, points):
    shares = numpy.geomspace(min(share for share, _ in points), AHEAD[-1], 40)
    middle, low, high = curve.at(shares)
    foretold = {"name": "law", "x": shares.tolist(), "y": middle.tolist(), "style": "dashed"}
    if low is not None:
        foretold |= {"low": low.tolist(), "high": high.tolist()}
    measured = {"name": "measured", "x": [share for share, _ in points], "y": [loss for _, loss in points], "style": "points"}
    return {"kind": "figure", "picture": "curves", "title": "Learning curve", "x_label": "share of the training samples", "x_scale": "log",
            "y_label": "validation loss", "series": [measured, foretold]}
