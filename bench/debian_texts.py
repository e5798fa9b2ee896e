"""Labelled texts out of the package descriptions that every Debian machine has (`apt-cache dumpavail`), for bench/tasks.py.

Several labels: of a package's name and short description, its most frequent debtags. Words: sentences about packages, in which
names of packages, people and sections are entities by construction. Questions: about a field of one of several packages
that a context describes, so that the answer is a span of it; or about one that it does not describe. Pairs: a description beside
a package's own name, section and needs, or another's. Records: the entities of such a sentence, to be written down. Conversations
about packages, and the packages' records themselves.
"""
import collections
import random
import re
import subprocess

LABELS = 10  # most frequent tags
FACETS = ("role", "implemented-in", "interface", "use", "uitoolkit", "scope")


def packages():
    """Fields of each package that has tags and a maintainer, one of a source, in the order of names."""
    text = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True).stdout
    found = {}
    for record in text.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*(?:\n .*)*)", record, re.M))
        if {"Package", "Tag", "Description", "Maintainer", "Section", "Version"} <= fields.keys():
            found.setdefault(fields.get("Source", fields["Package"]).split()[0], fields)
    return [found[name] for name in sorted(found)]


def person(fields):
    return re.sub(r"\s*<.*", "", fields["Maintainer"]).strip('" ')


def needed(fields):
    names = [re.split(r"[ (:|]", name.strip())[0] for name in fields.get("Depends", "").split(",")]
    return [name for name in names if name][:2]


def label_rows(rows):
    tags = [[tag for tag in re.split(r",\s*", row["Tag"]) if tag.split("::")[0] in FACETS] for row in rows]
    kept = [tag for tag, _ in collections.Counter(tag for own in tags for tag in own).most_common(LABELS)]
    for row, own in zip(rows, tags):
        yield {"text": f"{row['Package']}: {row['Description'].splitlines()[0]}", "labels": [tag for tag in kept if tag in own]}


FORMS = ["{PACKAGE} is looked after by {PERSON} and lies in section {SECTION} .",
         "{PERSON} wrote about {PACKAGE} : {TEXT} .",
         "{TEXT} is what {PACKAGE} offers to users of {SECTION} , says {PERSON} .",
         "{PACKAGE} does not run without {NEEDED} , which {PERSON} also found in {SECTION} .",
         "Nobody but {PERSON} knows {TEXT} as well as {PACKAGE} ."]


def word_rows(rows, chance):
    """The words of a description are of no entity, whatever they name: forms say where entities stand."""
    for row in rows:
        parts = {"PACKAGE": row["Package"], "PERSON": person(row), "SECTION": row["Section"], "TEXT": row["Description"].splitlines()[0],
                 "NEEDED": (needed(row) or ["libc6"])[0]}
        tokens, tags = [], []
        for piece in chance.choice(FORMS).split():
            kind = piece.strip("{}")
            words = parts[kind].split() if kind in parts else [piece]
            entity = {"NEEDED": "PACKAGE", "TEXT": ""}.get(kind, kind if kind in parts else "")
            tokens += words
            tags += [(("I-" if i else "B-") + entity) if entity else "O" for i in range(len(words))]
        yield {"tokens": tokens, "tags": tags}


ASKED = {"Maintainer": "Who maintains {}?", "Version": "Which version of {} is there?", "Section": "In which section is {}?",
         "Description": "What is {}?"}


def question_rows(rows, chance):
    """Three packages a context; one question in five is about another package."""
    for i in range(0, len(rows) - 3, 4):
        context, places = "", []
        for row in rows[i:i + 3]:
            own = {}
            for text, field in [(f"{row['Package']} is ", None), (row["Description"].splitlines()[0], "Description"), (". Version ", None),
                                (row["Version"], "Version"), (" is in section ", None), (row["Section"], "Section"),
                                (" and maintained by ", None), (person(row), "Maintainer"), (". ", None)]:
                if field:
                    own[field] = (text, len(context))
                context += text
            places.append((row["Package"], own))
        field = chance.choice(sorted(ASKED))
        name, own = chance.choice(places)
        absent = chance.random() < 0.2
        answers = {"text": [], "answer_start": []} if absent else {"text": [own[field][0]], "answer_start": [own[field][1]]}
        asked = rows[i + 3]["Package"] if absent else name
        yield {"id": str(i), "question": ASKED[field].format(asked), "context": context.strip(), "answers": answers}


def pair_rows(rows, chance):
    """A description, and what stands beside it in the record of its own package or of another: each package is in one pair."""
    for one, two in zip(rows[::2], rows[1::2]):
        other = chance.random() < 0.5
        of = two if other else one
        needs = " and ".join(needed(of)) or "nothing"
        yield {"text": one["Description"].splitlines()[0], "pair": f"{of['Package']}, section {of['Section']}, needs {needs}",
               "label": "other" if other else "same"}


def record_rows(rows, chance):
    """A sentence of `word_rows`, and the entities in it as a record."""
    for row in word_rows(rows, chance):
        found, kind = {}, None
        for word, tag in [*zip(row["tokens"], row["tags"]), ("", "B-")]:
            if tag[0] == "I":
                found[kind][-1].append(word)
            else:
                kind = tag[2:]
                found.setdefault(kind, []).append([word])
        fields = {name: " ".join(found[name.upper()][0]) if name.upper() in found else "none" for name in ("package", "person", "section")}
        yield {"prompt": " ".join(row["tokens"]) + "\nRecord:", "completion": " " + "; ".join(f"{k}: {v}" for k, v in fields.items())}


def conversation(row):
    """Two turns: the package's description, and its section and maintainer."""
    turns = [(f"What is the Debian package {row['Package']}?", f"{row['Package']}: {row['Description'].splitlines()[0]}."),
             ("Which section is it in, and who maintains it?", f"Section {row['Section']}, maintained by {person(row)}.")]
    return {"messages": [{"role": role, "content": text} for turn in turns for role, text in zip(("user", "assistant"), turn)]}


def control_record(row):
    """The beginning of a package's record, as apt prints it."""
    names = ("Package", "Section", "Maintainer", "Description", "Tag")
    return {"text": "".join(f"{name}: {' '.join(row[name].split())}\n" for name in names)}


def sentence(row):
    return {"text": f"{row['Package']} is {row['Description'].splitlines()[0]}, maintained by {person(row)}."}


MAKERS = {"multi-label": label_rows,
          "token-classification": lambda rows: word_rows(rows, random.Random(1)),
          "question-answering": lambda rows: question_rows(rows, random.Random(1)),
          "pairs": lambda rows: pair_rows(rows, random.Random(1)),
          "generation": lambda rows: record_rows(rows, random.Random(1)),
          "masked-language-modeling": lambda rows: map(sentence, rows),
          "domain-text": lambda rows: map(control_record, rows),
          "chat": lambda rows: map(conversation, rows)}


def parts(task, seed, sizes):
    """Rows of each split: the test split is the same for every seed, of training and validation each seed draws its own."""
    rows = packages()
    random.Random(0).shuffle(rows)
    made = list(MAKERS[task](rows))
    test, rest = made[:sizes["test"]], made[sizes["test"]:]
    random.Random(seed).shuffle(rest)
    train = sizes["train"]
    return {"test": test, "train": rest[:train], "validation": rest[train:train + sizes["validation"]]}
