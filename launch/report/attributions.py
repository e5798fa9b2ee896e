"""The report on what `trireme attribute` wrote: tokens and words that predictions rest on, losses of tokens, one model beside another."""
import statistics

from report import reading
from report.command import is_number, refuse
from report.evaluation import need, table
from report.numbers import shown
from report.schema import FORMAT, VERSION, is_list_of, is_text, shown_value

ATTRIBUTIONS = "JSON file that `trireme attribute` wrote"
KIND, KIND_VERSION = "trireme-attributions", 1
MOST_TEXTS, MOST_WORDS = 60, 12
LOSSES = ("up to 0.5 nats", "0.5 to 2", "2 to 5", "5 to 9", "over 9")
BOUNDS = (0.5, 2, 5, 9)
METHOD = ("Integrated gradients of the output that is explained, with respect to the rows that the token table has for the text, along the straight way "
          "from a baseline (Sundararajan, Taly and Yan 2017): their sum is the difference of the outputs at both ends, and nothing is rescaled. Positions, "
          "segments and special tokens are those of the text all the way. The gradient is integrated by Gauss and Legendre's rule. Gradient x input is the "
          "gradient at the text times the rows (Shrikumar et al. 2016), and has no such sum. A word, which blanks divide from others, has the sum of its "
          "tokens. An attribution says what the model computes, not what is true of the text.")
DELETION = ("A fifth of the tokens, special ones aside, is taken out of a text: those with the highest attributions, or as many at random, on the mean over 8 "
            "draws. Attributions that tell something have the larger fall (comprehensiveness, DeYoung et al. 2020).")
INFLUENCE = ("Similarity is the cosine of the gradients of two losses, that of the text, with the label that is explained if there is one, and that of a training sample: the "
             "higher, the more a training step on the sample lowers the loss of the text (TracIn, Pruthi et al. 2020, with one checkpoint; normalized as in "
             "LESS, Xia et al. 2024). Gradients are those of the last layer of a classifier; or of all parameters, projected at random to 2,048 numbers, and there in the "
             "metric of the inverse of the gradients' mean outer product, which takes out what all samples share (TRAK, Park et al. 2023; Barshan et al. 2020).")
KINDS = (("projected", "all parameters, projected"), ("head", "last layer"))
LOSS = ("The loss of a token is -log of its probability given all before it, in nats; of a text, the mean. The likeliest token is the one that the model "
        "had expected most.")


def is_real(value):
    return value is None or is_number(value)


def checked_values(where, of_model, name, count, what):
    """Lists of one number for each token, or word."""
    return need(where, of_model, name, lambda v: is_list_of(is_real)(v) and len(v) == count, f"a number for each of {count} {what}")


def check_model(where, of_model, text):
    if not isinstance(of_model, dict):
        refuse(f"{where}: {shown_value(of_model)}: legal: {ATTRIBUTIONS}")
    tokens = len(text["pieces"])
    if "losses" in of_model:
        for name in ("losses", "ranks", "probabilities"):
            checked_values(where, of_model, name, tokens, "tokens")
        need(where, of_model, "loss", is_real, "a number or null")
        need(where, of_model, "likeliest_texts", lambda v: is_list_of(is_text)(v) and len(v) == tokens, f"a text for each of {tokens} tokens")
        if "attribution" in of_model:
            check_explained(f"{where}: attribution", need(where, of_model, "attribution", lambda v: isinstance(v, dict), "an object"), text)
        return
    check_explained(where, of_model, text)


def check_explained(where, of_model, text):
    tokens, words = len(text["pieces"]), len(text["words"])
    need(where, of_model, "target", is_text, "a text")
    for name in ("output", "baseline_output"):
        need(where, of_model, name, is_number, "a number")
    for method in ("gradient_x_input", *(["integrated_gradients"] if "integrated_gradients" in of_model else [])):
        found = need(where, of_model, method, lambda v: isinstance(v, dict), "an object")
        checked_values(f"{where}: {method}", found, "tokens", tokens, "tokens")
        checked_values(f"{where}: {method}", found, "words", words, "words")
    if "integrated_gradients" in of_model:
        for name in ("steps", "error"):
            need(f"{where}: integrated_gradients", of_model["integrated_gradients"], name, is_real, "a number")
    shares = of_model.get("probabilities", {})
    if not isinstance(shares, dict) or not all(is_number(share) for share in shares.values()):
        refuse(f"{where}: probabilities: {shown_value(shares)}: legal: a number for each label")
    for name in ("highest", "random") if "deletion" in of_model else ():
        need(f"{where}: deletion", need(where, of_model, "deletion", lambda v: isinstance(v, dict), "an object"), name, is_number, "a number")


def kinds_of(influence):
    """The last layer is left out of a language model's."""
    return [(measure, what) for measure, what in KINDS if measure == "projected" or measure in influence]


def check_influence(where, influence):
    for measure, _ in kinds_of(influence):
        found = need(where, influence, measure, lambda v: isinstance(v, dict), "an object")
        for kind in ("helpful", "harmful"):
            for sample in need(f"{where}: {measure}", found, kind, is_list_of(lambda v: isinstance(v, dict)), "a list of objects"):
                need(f"{where}: {measure}: {kind}", sample, "similarity", is_number, "a number")
                need(f"{where}: {measure}: {kind}", sample, "text", is_text, "a text")


def read(path):
    found = reading.read_json(path, ATTRIBUTIONS)
    if not isinstance(found, dict) or found.get("format") != KIND or found.get("version") != KIND_VERSION:
        refuse(f"{path}: format: {shown_value(found.get('format') if isinstance(found, dict) else found)}: legal: {KIND}, version {KIND_VERSION}: {ATTRIBUTIONS}")
    models = need(path, found, "models", lambda v: is_list_of(is_text)(v) and len(v) in (1, 2), "names of one model or of two")
    for i, text in enumerate(need(path, found, "texts", is_list_of(lambda v: isinstance(v, dict)), "a list of objects")):
        where = f"{path}: texts[{i}]"
        for name in ("source", "text"):
            need(where, text, name, is_text, "a text")
        for name in ("pieces", "words"):
            need(where, text, name, is_list_of(is_text), "a list of texts")
        need(where, text, "models", lambda v: isinstance(v, list) and len(v) == len(models), f"results of {len(models)} models")
        for of_model in text["models"]:
            check_model(where, of_model, text)
        if "influence" in text:
            check_influence(f"{where}: influence", need(where, text, "influence", lambda v: isinstance(v, dict), "an object"))
    return found


def values_of(of_model):
    return of_model.get("integrated_gradients", of_model.get("gradient_x_input"))


def said_of(of_model):
    """The prediction in a line."""
    share = of_model.get("probabilities", {}).get(of_model["target"])
    what = "log-probability" if "place" in of_model else "output"
    parts = [f"{of_model['target']}: {what} {shown(of_model['output'])}, {shown(of_model['baseline_output'])} at the baseline"]
    if share is not None:
        parts.append(f"probability {shown(share, 'percent')}")
    if of_model.get("prediction", of_model["target"]) != of_model["target"]:
        parts.append(f"predicted: {of_model['prediction']}")
    return "; ".join(parts)


def explained_tokens(name, text, of_model):
    values = values_of(of_model)["tokens"]
    return {"kind": "tokens", "title": name, "text": said_of(of_model), "tokens": [{"text": p, "value": v} for p, v in zip(text["pieces"], values)]}


def bucket(loss):
    return sum(loss > bound for bound in BOUNDS)


def lost_tokens(name, text, of_model):
    """Tokens by what each cost; the first has no loss."""
    tokens = [{"text": piece} | ({} if loss is None else {"group": bucket(loss)}) for piece, loss in zip(text["pieces"], of_model["losses"])]
    return {"kind": "tokens", "title": name, "text": f"Loss {shown(of_model['loss'])}", "groups": list(LOSSES), "tokens": tokens}


def words_table(text, models, names):
    order = sorted(range(len(text["words"])), key=lambda i: -abs(values_of(models[0])["words"][i]))[:MOST_WORDS]
    rows = [[text["words"][i], *(values_of(m)["words"][i] for m in models), *([models[0]["gradient_x_input"]["words"][i]] if "integrated_gradients" in models[0] else [])]
            for i in order]
    head = ["word", *names, *(["gradient x input"] if "integrated_gradients" in models[0] else [])]
    return table(f"Words with the largest attributions: {len(rows)} of {len(text['words'])}", head, rows)


def losses_table(text, models, names):
    order = sorted((i for i, loss in enumerate(models[0]["losses"]) if loss is not None), key=lambda i: -models[0]["losses"][i])[:MOST_WORDS]
    rows = [[text["pieces"][i], *(m["losses"][i] for m in models), models[0]["ranks"][i], models[0]["likeliest_texts"][i], models[0]["probabilities"][i]] for i in order]
    head = ["token", *names, ("likelier tokens", "integer"), "likeliest", ("its probability", "percent")]
    return table(f"Dearest tokens: {len(rows)} of {len(text['pieces'])}", head, rows)


def change(text, models):
    """Where the model beside is dearer, and where cheaper."""
    gained = [None if a is None else b - a for a, b in zip(models[0]["losses"], models[1]["losses"])]
    return {"kind": "tokens", "title": "What tuning changed", "text": "For: tokens that are cheaper for the tuned model than for its base, by nats; against: dearer ones.",
            "tokens": [{"text": p} | ({} if v is None else {"value": v}) for p, v in zip(text["pieces"], gained)]}


def influence_blocks(text):
    """The samples that helped and harmed most, by all parameters, and folded by the last layer."""
    for measure, what in kinds_of(text["influence"]):
        tables = []
        for kind, caption in (("helpful", "Training samples that helped most"), ("harmful", "Training samples that harmed most")):
            rows = [[str(s.get("source", s.get("sample", ""))), str(s.get("label", "")), s["similarity"], s["text"]] for s in text["influence"][measure][kind]]
            if rows:
                tables.append(table(caption, ["sample", "label", ("similarity", "number", 3), "text"], rows))
        if tables:
            yield {"kind": "details", "title": f"Training samples by gradients: {what}", "blocks": tables}


def section_of(number, text, names):
    models = text["models"]
    of_losses = "losses" in models[0]
    blocks = [(lost_tokens if of_losses else explained_tokens)(name, text, m) for name, m in zip(names, models)]
    if of_losses and len(models) > 1:
        blocks.append(change(text, models))
    if "pair" in text:
        blocks.insert(0, {"kind": "text", "text": "Two texts, one behind the other."})
    found = [losses_table(text, models, names) if of_losses else words_table(text, models, names)]
    explained = [m["attribution"] for m in models if "attribution" in m]
    if len(explained) == len(models):
        blocks += [explained_tokens(f"{name}: what the token {m['target'].strip()} rests on", text, m) for name, m in zip(names, explained)]
        found.append(words_table(text, explained, names))
    blocks += [{"kind": "details", "title": one["caption"], "blocks": [one]} for one in found]
    if "influence" in text:
        blocks += influence_blocks(text)
    return {"title": f"{number}. {text['source']}", "blocks": blocks}


def in_short(found, names):
    rows, items = [], []
    tolerance = found.get("tolerance", 0.01)
    for i, name in enumerate(names):
        of_models = [text["models"][i] for text in found["texts"]]
        of_texts = [m.get("attribution", m) for m in of_models]
        errors = [m["integrated_gradients"]["error"] for m in of_texts if "integrated_gradients" in m]
        missed = sum(not (is_number(error) and error <= tolerance) for error in errors)
        if errors:
            items.append({"verdict": "warn" if missed else "ok", "name": f"{name}: sums of integrated gradients",
                          "text": f"{len(errors) - missed} of {len(errors)} are within {shown(tolerance, 'percent')} of the difference of outputs"})
        falls = [m["deletion"] for m in of_texts if "deletion" in m]
        if falls:
            highest, drawn = (statistics.fmean(f[key] for f in falls) for key in ("highest", "random"))
            items.append({"verdict": "ok" if highest > drawn else "warn", "name": f"{name}: without the highest tokens",
                          "text": f"the prediction falls by {shown(highest)} on the mean, and without random ones by {shown(drawn)}"})
        losses = [m["loss"] for m in of_models if is_number(m.get("loss"))]
        if losses:
            rows.append([name, len(losses), statistics.fmean(losses)])
    blocks = [{"kind": "verdicts", "items": items}] if items else []
    return blocks + ([table("Mean loss of the texts", ["model", ("texts", "integer"), "loss"], rows)] if rows else [])


def how(found):
    lines = [f"Baseline: {found['baseline']}."] if is_text(found.get("baseline")) else []
    of_losses = any("losses" in m for text in found["texts"] for m in text["models"])
    of_tokens = any("attribution" in m for text in found["texts"] for m in text["models"])
    of_samples = any("influence" in text for text in found["texts"])
    return "\n\n".join([*([LOSS, *([*lines, METHOD, DELETION] if of_tokens else [])] if of_losses else [*lines, METHOD, DELETION]), *([INFLUENCE] if of_samples else [])])


def document_of(path, title):
    found = read(path)
    names = ["model"] if len(found["models"]) == 1 else ["tuned", "base"]
    texts = found["texts"][:MOST_TEXTS]
    count = len(found["texts"])
    summary = f"{count} {'text' if count == 1 else 'texts'}; " + "; ".join(f"{name}: {model}" for name, model in zip(names, found["models"]))
    if len(texts) < len(found["texts"]):
        summary += f"\n\nThe first {len(texts)} texts are shown."
    sections = [{"title": "In short", "blocks": in_short(found, names)}] if found["texts"] else []
    sections += [section_of(i, text, names) for i, text in enumerate(texts, 1)]
    sections.append({"title": "How it was computed", "blocks": [{"kind": "text", "text": how(found)}]})
    return {"format": FORMAT, "version": VERSION, "title": title, "summary": summary, "sections": sections}
