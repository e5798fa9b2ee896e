"""Compares what `trireme plan --rows` predicted with what was measured, as ROWS.md of the published rows says.

    judge_plan.py ROWS.jsonl PREDICTIONS.csv [--worst N]

Rows belong to the fit or to the judgement by their group: sha256(group)[0] % 3 == 0 is the fit. Time: |ln(predicted /
measured)|, the median of each table and the median of these. Memory: allocated with allocated, reserved with reserved.
Fit: precision and recall of "does not fit". Choice: what the layout that was picked among those measured costs above the best.
"""
import argparse
import collections
import csv
import hashlib
import json
import math
import statistics


def is_fitted(group):
    return hashlib.sha256(group.encode()).digest()[0] % 3 == 0


def share(part, whole):
    return f"{part / whole:.3f}" if whole else "-"


def percent(values):
    return f"{100 * statistics.median(values):5.1f} %" if values else "      -"


class Judge:
    def __init__(self, rows, predictions):
        self.pairs = [(row, predictions[row["id"]]) for row in rows if row["usable"]]

    def errors(self, usable, predicted, measured):
        """{table: ([errors of fitted groups], [of judged ones])}, and [(error, id)] of the judged ones."""
        tables, worst = collections.defaultdict(lambda: ([], [])), []
        for row, found in self.pairs:
            truth = row["measured"].get(measured)
            if usable not in row["usable"] or truth is None or not found[predicted]:
                continue
            error = math.log(float(found[predicted]) / truth)
            tables[row["table"]][0 if is_fitted(row["group"]) else 1].append(abs(error))
            if not is_fitted(row["group"]):
                worst.append((error, row["id"]))
        return tables, sorted(worst, key=lambda pair: -abs(pair[0]))

    def print_errors(self, name, most, *columns):
        tables, worst = self.errors(*columns)
        print(f"\n{name}: median |ln(predicted / measured)|\n{'table':<46} {'fit':>5}          {'judged':>6}")
        for table, (fit, judged) in sorted(tables.items()):
            print(f"{table:<46} {len(fit):>5} {percent(fit)} {len(judged):>6} {percent(judged)}")
        medians = [statistics.median(judged) for _, judged in tables.values() if judged]
        if medians:
            print(f"median of the medians, judged: {100 * statistics.median(medians):.1f} %; all judged rows: "
                  f"mean {100 * statistics.mean(abs(e) for e, _ in worst):.1f} %")
        for error, row in worst[:most]:
            print(f"  {100 * error:+6.1f} %  {row}")

    def print_fit(self):
        counts = collections.Counter()
        for row, found in self.pairs:
            if "oom" in row["usable"] and found["fits"] and not is_fitted(row["group"]):
                counts[row["measured"]["oom"], found["fits"] == "false"] += 1
        right, missed, false = counts[True, True], counts[True, False], counts[False, True]
        print(f"\nout of memory, judged: {right} foretold, {missed} missed, {false} false alarms: "
              f"precision {share(right, right + false)}, recall {share(right, right + missed)}")

    def print_choice(self):
        groups = collections.defaultdict(list)
        for row, found in self.pairs:
            oom = row["measured"]["oom"]
            if found["step_s"] and ("layout_choice" in row["usable"] or "oom" in row["usable"] and oom) and not is_fitted(row["group"]):
                groups[row["group"]].append((float(found["step_s"]) if found["fits"] == "true" else math.inf, None if oom else row["measured"]["step_s"]))
        regrets, misses, first, large = [], 0, 0, 0
        for layouts in groups.values():
            seconds = [measured for _, measured in layouts if measured]
            if len(seconds) < 3:
                continue
            layouts.sort(key=lambda pair: pair[0])
            picked = layouts[0][1]
            misses += picked is None
            regrets += [picked / min(seconds) - 1] if picked else []
            large += len(seconds) >= 5
            first += len(seconds) >= 5 and min(seconds) in [measured for _, measured in layouts[:3]]
        if regrets:
            print(f"choice of a layout, judged: {len(regrets) + misses} groups, median regret {100 * statistics.median(regrets):.1f} %, "
                  f"worst {100 * max(regrets):.0f} %, {misses} picked what did not fit; the best among the first three in {first} of {large} groups of five or more")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows")
    parser.add_argument("predictions")
    parser.add_argument("--worst", type=int, default=5)
    given = parser.parse_args()
    with open(given.rows, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    with open(given.predictions, encoding="utf-8", newline="") as file:
        predictions = {row["id"]: row for row in csv.DictReader(file)}
    judge = Judge(rows, predictions)
    judge.print_errors("time", given.worst, "time", "step_s", "step_s")
    judge.print_errors("memory allocated", given.worst, "memory", "mem_alloc_GB", "mem_alloc_GB")
    judge.print_errors("memory reserved", given.worst, "memory", "mem_reserved_GB", "mem_reserved_GB")
    judge.print_fit()
    judge.print_choice()


if __name__ == "__main__":
    main()
