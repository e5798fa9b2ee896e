"""The orders of tests/data/apportionment_test.cpp, by Tijdeman's algorithm on fractions: no line of it is shared with the product.
And how far the largest deficit first, as other trainers take it, comes from the shares."""
import random
from fractions import Fraction


def order(stages, places):
    """`stages`: [(first place, weights)]; returns a letter for each place."""
    def share(source, place):
        weights = [w for first, w in stages if first <= place][-1]
        return Fraction(weights[source], sum(weights))

    sources = len(stages[0][1])
    slack = Fraction(1, 2 * sources - 2) if sources > 1 else Fraction(1, 2)
    due, had, letters = [Fraction(0)] * sources, [0] * sources, ""
    for place in range(places):
        due = [d + share(i, place) for i, d in enumerate(due)]
        candidates = [i for i in range(sources) if due[i] - had[i] >= slack]

        def deadline(source):
            ahead, total = place, due[source]
            while total - had[source] <= 1 - slack and ahead < place + 10_000:
                ahead += 1
                total += share(source, ahead)
            return ahead

        chosen = min(candidates, key=lambda i: (deadline(i), i))
        had[chosen] += 1
        letters += "abcdefgh"[chosen]
        assert all(abs(d - h) <= 1 - slack for d, h in zip(due, had))
    return letters


def worst_of_largest_deficit(weights, places):
    had, worst = [0] * len(weights), 0.0
    for place in range(places):
        chosen = max(range(len(weights)), key=lambda i: weights[i] * max(place, 1) - had[i])
        had[chosen] += 1
        worst = max(worst, *(abs(w * (place + 1) - h) for w, h in zip(weights, had)))
    return worst


def some_weights(draw):
    weights = [draw.random() ** 4 for _ in range(draw.choice([3, 8, 16, 32]))]
    return [w / sum(weights) for w in weights]


if __name__ == "__main__":
    for stages, places in [([(0, [3, 1])], 16), ([(0, [7, 2, 1])], 40), ([(0, [5, 4, 3, 2, 1])], 45),
                           ([(0, [1, 0, 1]), (10, [0, 1, 3]), (25, [1, 1, 1])], 40)]:
        print(order(stages, places))
    draw = random.Random(2)
    print(f"largest deficit: {max(worst_of_largest_deficit(some_weights(draw), 600) for _ in range(300)):.2f} samples off")
