"""Made-up results of `trireme attribute`, as large as a page shows them and with texts that try to break it."""
import random

import report_example


def values(draw, count):
    return [round(draw.gauss(0, 1), 4) for _ in range(count)]


def explained(draw, pieces, words):
    of_methods = {name: {"tokens": values(draw, len(pieces)), "words": values(draw, len(words))} for name in ("integrated_gradients", "gradient_x_input")}
    of_methods["integrated_gradients"] |= {"steps": 64, "error": draw.random() / 50}
    return {"target": "good", "probabilities": {"bad": 0.2, "good": 0.8}, "prediction": "good", "output": 1.25, "baseline_output": -0.5, **of_methods,
            "deletion": {"tokens": 3, "highest": 0.4, "random": 0.05}}


def of_token(draw, pieces, words):
    found = explained(draw, pieces, words)
    return {"place": len(pieces) - 2, "target": pieces[-2]} | {name: found[name] for name in ("output", "baseline_output", "integrated_gradients", "gradient_x_input", "deletion")}


def lost(draw, pieces):
    losses = [None, *(draw.expovariate(0.3) for _ in pieces[1:])]
    return {"loss": 2.5, "losses": losses, "ranks": [None, *(draw.randrange(50) for _ in pieces[1:])], "likeliest": [None] + [1] * (len(pieces) - 1),
            "probabilities": [None, *(draw.random() for _ in pieces[1:])], "likeliest_texts": ["", *(draw.choice(report_example.HOSTILE) for _ in pieces[1:])]}


def sample(draw, sign):
    return {"sample": 3, "similarity": sign * draw.random(), "source": "data/reviews.jsonl:17", "label": draw.choice(["good", "bad"]), "text": draw.choice(report_example.HOSTILE)}


def document(of_losses):
    draw, texts = random.Random(5), []
    for number in range(1, 9):
        words = [draw.choice(["film", "antidisestablishmentarianism", "good", *report_example.HOSTILE]) for _ in range(5 * number)]
        pieces = ["[CLS]", *(" " + word for word in words), "[SEP]"]
        models = [lost(draw, pieces) | {"attribution": of_token(draw, pieces, words)} if of_losses else explained(draw, pieces, words) for _ in range(2)]
        text = {"source": f"new.csv:{number}", "text": " ".join(words), "tokens": list(range(len(pieces))), "pieces": pieces, "words": words,
                "word_of_token": [-1, *range(len(words)), -1], "models": models}
        text["influence"] = {measure: {"helpful": [sample(draw, 1) for _ in range(5)], "harmful": [sample(draw, -1) for _ in range(5)]}
                             for measure in (("projected",) if of_losses else ("head", "projected"))}
        texts.append(text)
    head = {"format": "trireme-attributions", "version": 1, "models": ["exported", "models/a-base-with-a-long-name"]}
    head |= {"baseline": "the mask token", "steps": "doubled", "tolerance": 0.01}
    if not of_losses:
        head |= {"task": "classification", "labels": ["bad", "good"], "method": "integrated-gradients"}
    return head | {"texts": texts}
