"""How the cost of a training step grows, what ranks wait for, and what bitwise mode costs. What is compared runs in turns, in rounds, so
that the noise of the machine meets all of it; figures are medians over the rounds of the medians over a run's steps from the 4th on.

    .venv/bin/python3 bench/growth.py growth [--rounds 3] [--steps 8] [--picture docs/growth.svg]
    .venv/bin/python3 bench/growth.py exposed [--rounds 3] [--steps 7]
    .venv/bin/python3 bench/growth.py bitwise [--rounds 3] [--steps 8]

growth    A small Llama from scratch, one of its sizes changed at a time: seconds of a step, the polynomial that theory asks for, fitted to
          them, and the exponent log(t2/t1) / log(x2/x1) of the two largest sizes. Exits 1 ("superlinear") where it is more than 0.15
          above theory's. Ranks of one thread share the work of one rank: theory has -1 there, which is shown and not judged.
exposed   The Llama of compare.py on 2 ranks of one thread: the share of a step for which a rank waits for others, the slower one included
          (`exposed` in the events `performance` of metrics.jsonl, one a step with log.every=1; mean of the ranks), and the seconds of a
          pipeline beside its ideal: one rank's seconds for the same step, while another does the same on the other core, x the share of
          the stage that has most to multiply x (m + p - 1) / m.
bitwise   The same Llama in either numerics.mode, in micro-batches of 512 tokens.
"""
import argparse
import concurrent.futures
import json
import math
import pathlib
import random
import shutil
import statistics
import sys
import typing

import matplotlib
import numpy

import compare

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "launch"))
from report.colours import SERIES
from report.pictures import AXIS, new_figure, settings, spare, ticks

LIMIT, WARM = 0.15, 3
WORDS, LONGEST = 2048, 1024
QUIET = ["guard.sensitivity=off", "evaluation.every=0", "checkpoint.keep_best=false"]


class Point(typing.NamedTuple):
    """A model and a step of it: `length` tokens a sample, `tokens` a micro-batch."""
    layers: int = 4
    width: int = 256
    length: int = 256
    tokens: int = 2048
    micro_batches: int = 1
    ranks: int = 1
    threads: int = 2
    parallel: str = "zero=0"


class Sweep(typing.NamedTuple):
    title: str
    key: str  # of Point
    sizes: tuple
    degree: int  # of the polynomial
    theory: float  # its exponent
    formula: str


BASE = Point()
SHARED = Point(tokens=512, micro_batches=4, threads=1)  # what ranks share
SWEEPS = [Sweep("layers", "layers", (2, 4, 8, 16), 1, 1, "a + b L"),
          Sweep("width", "width", (128, 256, 512, 1024), 2, 2, "a + b D + c D²"),
          Sweep("tokens a sample, equal tokens a step", "length", (128, 256, 512, 1024), 1, 1, "a + b T"),
          Sweep("micro-batches a step", "micro_batches", (1, 2, 4, 8), 1, 1, "a + b M")]
NOTE = ("A Llama from scratch of 4 layers of width 256,\n256 tokens a sample, 2,048 tokens a step,\none process of 2 threads; from there one size\n"
        "at a time. Ranks share 4 micro-batches of\n512 tokens. Points: medians. Thin lines: the\nslope of theory.")
LAYOUTS = {"data parallel": "zero=0", "ZeRO 3": "zero=3", "tensor parallel": "tensor=2", "pipeline": "pipeline=2"}


def points_of(sweep):
    return [BASE._replace(**{sweep.key: size}) for size in sweep.sizes]


def in_turns(programs, rounds):
    """Results of each program, by its key, one a round."""
    found = {key: [] for key in programs}
    for round_ in range(rounds):
        for key, program in programs.items():
            found[key].append(program())
        print(f"round {round_ + 1} of {rounds}", file=sys.stderr, flush=True)
    return found


def middle_step(events):
    return statistics.median(e["seconds"] for e in events)


def ms(seconds):
    return f"{1000 * seconds:.0f}"


def make_growth_inputs(folder):
    """compare.py's tokenizer with fewer words, and texts of random ones, divided into samples of each length."""
    whole = compare.make_language_model_inputs()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tokenizer = json.loads((whole / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"] = {f"w{i}": i for i in range(WORDS)}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    draw = random.Random(0)
    for split, rows in (("train", 160), ("validation", 2)):
        texts = (" ".join(f"w{draw.randrange(WORDS)}" for _ in range(LONGEST)) for _ in range(rows))
        (folder / f"{split}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    for length in {point.length for sweep in SWEEPS for point in points_of(sweep)}:
        compare.run([compare.TRIREME, "prepare", "--task", "language-modeling", "--tokenizer", str(folder), "--train", str(folder / "train.jsonl"),
                     "--validation", str(folder / "validation.jsonl"), "--max-length", str(length), "--output", str(folder / f"data-{length}")])
    return whole / "run.yaml"


def model_of(point, folder):
    model = folder / f"model-{point.layers}-{point.width}"
    model.mkdir(exist_ok=True)
    shutil.copy(folder / "tokenizer.json", model)
    (model / "config.json").write_text(json.dumps(dict(
        model_type="llama", hidden_size=point.width, num_hidden_layers=point.layers, num_attention_heads=point.width // 64,
        num_key_value_heads=point.width // 64, intermediate_size=point.width * 11 // 4, vocab_size=WORDS, max_position_embeddings=LONGEST,
        hidden_act="silu", rms_norm_eps=1e-6)))
    return model


def step_of(point, folder, config, steps):
    tokens = point.tokens * point.micro_batches
    return middle_step(compare.train("growth", point.ranks, config, [
        f"model.path={model_of(point, folder)}", f"data.path={folder}/data-{point.length}", f"batch.global={tokens // point.length}",
        f"batch.tokens_per_micro_batch={point.tokens}", f"numerics.threads={point.threads}", f"parallel.{point.parallel}", f"train.steps={steps}", *QUIET]))


def fit(sweep, seconds):
    """The polynomial, by least squares of relative errors, and the largest of these."""
    x, t = numpy.array(sweep.sizes, float), numpy.array(seconds)
    fitted = numpy.polynomial.Polynomial(numpy.polynomial.polynomial.polyfit(x, t, sweep.degree, w=1 / t))
    return fitted, max(abs(fitted(x) / t - 1))


def exponent(sizes, seconds):
    return math.log(seconds[-1] / seconds[-2]) / math.log(sizes[-1] / sizes[-2])


def show_sweep(sweep, seconds, spread):
    fitted, residual = fit(sweep, seconds)
    found = exponent(sweep.sizes, seconds)
    bad = found > sweep.theory + LIMIT
    print(f"{sweep.title}: {', '.join(map(str, sweep.sizes))}\n  ms a step: {', '.join(map(ms, seconds))}   rounds: {spread}")
    print(f"  {sweep.formula} by {', '.join(f'{1000 * c:.3g}' for c in fitted.coef)} ms, largest residual {residual:.1%}")
    print(f"  exponent of the last two {found:.2f}, of theory at most {sweep.theory}{': superlinear' if bad else ''}")
    return bad


def show_ranks(seconds):
    one = seconds[SHARED]
    print(f"ranks of one thread, equal work: 1 rank {ms(one)} ms a step")
    for name, parallel in LAYOUTS.items():
        two = seconds[SHARED._replace(ranks=2, parallel=parallel)]
        print(f"  2 ranks, {name:<16} {ms(two):>5} ms, 1 / {one / two:.2f} of it, exponent {exponent((1, 2), (one, two)):.2f}, of theory -1")


def draw_sweep(axes, sweep, seconds):
    fitted, _ = fit(sweep, seconds)
    x, ends = numpy.geomspace(sweep.sizes[0], sweep.sizes[-1], 60), numpy.array(sweep.sizes[::3], float)
    axes.plot(ends, seconds[-1] * (ends / ends[-1]) ** sweep.theory, color=AXIS, linewidth=0.7, label=f"slope {sweep.theory}")
    axes.plot(x, fitted(x), color=SERIES[0][0], label=sweep.formula)
    axes.plot(sweep.sizes, seconds, "o", color=SERIES[0][0], markersize=5)
    axes.set_xlabel(sweep.title)


def draw_ranks(axes, seconds):
    one = seconds[SHARED]
    axes.plot((1, 2), (one, one / 2), color=AXIS, linewidth=0.7, label="slope -1")
    for i, (name, parallel) in enumerate(LAYOUTS.items()):
        axes.plot((1, 2), (one, seconds[SHARED._replace(ranks=2, parallel=parallel)]), marker="osD^"[i], markersize=5, color=SERIES[i][0], label=name)
    axes.set_xlabel("ranks of one thread, equal work")


def draw(file, seconds):
    with settings(), matplotlib.rc_context({"svg.hashsalt": "trireme", "font.family": ["DejaVu Sans", "sans-serif"]}):
        figure = new_figure(10.5, 6.2)
        figure.patch.set_visible(True)
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
        panels = list(figure.subplots(2, 3).flat)
        for axes, sweep in zip(panels, SWEEPS):
            draw_sweep(axes, sweep, [seconds[point] for point in points_of(sweep)])
        draw_ranks(panels[4], seconds)
        panels[5].set_axis_off()
        panels[5].text(0, 0.9, NOTE, va="top", linespacing=1.6, transform=panels[5].transAxes)
        for axes, sizes in zip(panels, [sweep.sizes for sweep in SWEEPS] + [(1, 2)]):
            axes.set(xscale="log", yscale="log", ylabel="seconds a step")
            ticks(axes.yaxis, "log")
            axes.set_xticks(sizes, map(str, sizes))
            axes.minorticks_off()
            axes.legend()
            spare(axes)
        figure.savefig(file, format="svg", metadata={"Date": None})


def growth(given):
    folder = compare.WORK / "growth"
    config = make_growth_inputs(folder)
    points = [point for sweep in SWEEPS for point in points_of(sweep)] + [SHARED] + [
        SHARED._replace(ranks=2, parallel=parallel) for parallel in LAYOUTS.values()]
    rounds = in_turns({point: lambda point=point: step_of(point, folder, config, given.steps) for point in points}, given.rounds)
    seconds = {point: statistics.median(values) for point, values in rounds.items()}
    bad = [show_sweep(sweep, [seconds[point] for point in points_of(sweep)],
                      "; ".join(", ".join(map(ms, rounds[point])) for point in points_of(sweep))) for sweep in SWEEPS]
    show_ranks(seconds)
    if given.picture:
        draw(given.picture, seconds)
    return int(any(bad))


def large(name, given, ranks, micro_batch, *more):
    """Trains compare.py's Llama; gives the events `train`."""
    return compare.train(name, ranks, compare.WORK / "llama/run.yaml",
                         [f"batch.tokens_per_micro_batch={micro_batch}", f"train.steps={given.steps}", *QUIET, *more])


def waits(given, micro_batch, parallel):
    """Seconds of a step, and the share of them that is exposed, in all and by axis: means over the ranks."""
    large("exposed", given, 2, micro_batch, "numerics.threads=1", "log.every=1", f"parallel.{parallel}")
    lines = (compare.WORK / "runs/exposed/metrics.jsonl").read_text().splitlines()
    events = [e for e in map(json.loads, lines) if e["kind"] == "performance"][WARM:]
    total = sum(e["seconds"] for e in events)
    share = {axis: sum(e["exposed"][axis]["mean"] for e in events) / total for axis in events[0]["exposed"]}
    return {"seconds": middle_step(events), "share": sum(share.values()), **share}


def one_of_two(given):
    """Seconds of a step of one rank, while another rank on its own does the same."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda name: middle_step(large(name, given, 1, 256, "numerics.threads=1")), ("exposed-a", "exposed-b")))
    return {"seconds": statistics.mean(both)}


def busiest_share():
    """Of two stages, by the elements of their matrices: the least that whole layers allow. The head is the last stage's."""
    c = json.loads((compare.WORK / "llama/config.json").read_text())
    width, heads = c["hidden_size"], c["num_attention_heads"]
    layer = 2 * width * width * (1 + c["num_key_value_heads"] / heads) + 3 * width * c["intermediate_size"]
    head, layers = width * c["vocab_size"] / layer, c["num_hidden_layers"]
    return min(max(first, layers - first + head) for first in range(1, layers)) / (layers + head)


def exposed(given):
    compare.make_language_model_inputs()
    layouts = {"data parallel": (1024, "zero=0"), "ZeRO 1": (1024, "zero=1"), "ZeRO 3": (1024, "zero=3"), "tensor parallel": (2048, "tensor=2"),
               "pipeline": (256, "pipeline=2")}
    programs = {name: lambda layout=layout: waits(given, *layout) for name, layout in layouts.items()}
    programs["one of two"] = lambda: one_of_two(given)
    rounds = in_turns(programs, given.rounds)
    for name in layouts:
        found = {key: statistics.median(r[key] for r in rounds[name]) for key in rounds[name][0]}
        axes = ", ".join(f"{axis} {share:.1%}" for axis, share in list(found.items())[2:] if share >= 0.0005)
        print(f"{name:<16} {ms(found['seconds']):>6} ms a step, waits {found['share']:.1%} of it ({axes})   "
              f"rounds: {', '.join(format(r['share'], '.1%') for r in rounds[name])}")
    pairs = [(two["seconds"], one["seconds"] * busiest_share() * 9 / 8) for two, one in zip(rounds["pipeline"], rounds["one of two"])]
    ratios = [two / ideal for two, ideal in pairs]
    print(f"pipeline of 2 stages, 8 micro-batches: {ms(statistics.median(p[0] for p in pairs))} ms a step, ideal {ms(statistics.median(p[1] for p in pairs))}, "
          f"ratio {statistics.median(ratios):.3f}   rounds: {', '.join(f'{r:.3f}' for r in ratios)}")
    return 0


def bitwise(given):
    compare.make_language_model_inputs()
    layouts = {"one process, 2 threads": (1, 2, "zero=0"), "2 ranks, data parallel": (2, 1, "zero=0"), "2 ranks, ZeRO 3": (2, 1, "zero=3")}

    def program(mode, ranks, threads, parallel):
        return lambda: middle_step(large("bitwise", given, ranks, 512, f"numerics.threads={threads}",
                                         f"numerics.mode={mode}", f"parallel.{parallel}"))

    rounds = in_turns({(name, mode): program(mode, *layout) for name, layout in layouts.items() for mode in ("fast", "bitwise")}, given.rounds)
    for name in layouts:
        fast, exact = rounds[name, "fast"], rounds[name, "bitwise"]
        ratios = [b / f for f, b in zip(fast, exact)]
        print(f"{name:<24} fast {ms(statistics.median(fast)):>6} ms a step, bitwise {ms(statistics.median(exact)):>6}, ratio {statistics.median(ratios):.3f}   "
              f"rounds: {', '.join(f'{r:.3f}' for r in ratios)}")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["growth", "exposed", "bitwise"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, help=f"of a run, more than {WARM}")
    parser.add_argument("--picture", type=pathlib.Path, help="SVG file of the growth")
    given = parser.parse_args()
    given.steps = given.steps or {"growth": 8, "exposed": 7, "bitwise": 8}[given.what]
    if given.steps <= WARM or given.picture and given.what != "growth":
        parser.error(f"--steps: more than {WARM}; --picture: of the growth alone")
    return {"growth": growth, "exposed": exposed, "bitwise": bitwise}[given.what](given)


if __name__ == "__main__":
    sys.exit(main())
