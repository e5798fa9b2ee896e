"""Plants faults in texts, and says where: for audit_test.py, and by hand on real texts.

    audit_faults.py FOLDER debian LISTS     writes train.jsonl, test.jsonl, groups.json and planted.json of descriptions of Debian packages
    audit_faults.py FOLDER made-up N    the same of N made-up texts
    audit_faults.py FOLDER rows N       writes rows.jsonl of N made-up texts without faults
    audit_faults.py FOLDER judge AUDIT.json     recall and precision of each planted fault
"""
import json
import pathlib
import random
import re
import subprocess
import sys

GROUPS = {"present": {"words": ["the", "and"]}, "absent": {"words": ["xylophonist"]}, "region": {"column": "region", "values": ["north"]}}
FRENCH = ["Le film raconte avec beaucoup de douceur la vie d'une famille qui quitte la campagne pour la grande ville au printemps.",
          "Nous avons longtemps attendu cette histoire, et la fin nous a laissés sans voix, tant les acteurs y sont justes."]
# e-mail, phone, IBAN, card, IP, national number: valid ones (all of documentation or for tests), then some that no checksum passes.
PERSONAL = {"email": "write to jane.doe@example.org today", "phone": "call +49 30 901820 before noon", "iban": "pay to GB82 WEST 1234 5698 7654 32 at once",
            "credit-card": "the card 4111 1111 1111 1111 was used", "ip-address": "from 93.184.216.34 it came", "national-id": "registered as 756.9217.0769.85 there"}
DECOYS = ["pay to GB82 WEST 1234 5698 7654 33 at once", "the card 4111 1111 1111 1112 was used", "version 1.2.3.4.5 and 8.2.2.1 of 10.0.0.1", "registered as 756.9217.0769.84 there"]
ODD = {"replacement-characters": "the caf\ufffd is closed", "control-characters": "the end\x07 of it", "html-entities": "salt &amp; pepper",
       "mojibake": "the cafÃ© of the hÃ´tel", "mixed-normalisation": "the cafe\u0301 is open"}


def edited(text, draw):
    """Lightly: one word in twenty replaced, left out or repeated, or another case, or other punctuation."""
    words = text.split()
    for _ in range(max(1, len(words) // 20)):
        i = draw.randrange(len(words))
        kind = draw.randrange(4)
        words[i:i + 1] = [[words[i].upper()], [], [words[i], words[i]], [words[i] + "!"]][kind]
    return " ".join(words)


def stanzas(lists, part):
    """Reads the package lists of apt in a folder: `apt-get update -o Acquire::Languages=en -o Dir::State::Lists=FOLDER` has descriptions."""
    for file in sorted(pathlib.Path(lists).glob(f"*_dists_*{part}*")):
        yield from subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", file], capture_output=True, text=True, check=True).stdout.split("\n\n")


def debian(lists):
    """(text, section) of packages, no fifth of whose runs of five words stands in an earlier one."""
    sections = ("games", "science", "java", "fonts", "perl")
    section_of = {m[1]: m[2] for s in stanzas(lists, "_Packages") if (m := re.search(r"^Package: (\S+)\n(?:.*\n)*?Section: (\S+)", s, re.M))}
    seen, found = set(), []
    for stanza in stanzas(lists, "_Translation-en"):
        package, text = re.search(r"^Package: (\S+)", stanza, re.M), re.search(r"^Description-en: (.*(?:\n .*)*)", stanza, re.M)
        if not package or not text or section_of.get(package[1]) not in sections:
            continue
        words = text[1].replace("\n .", "\n").split()
        runs = {tuple(words[i:i + 5]) for i in range(len(words) - 4)}
        if 15 < len(words) < 300 and len(runs & seen) * 5 < len(runs) and "@" not in text[1]:
            found.append((" ".join(words), section_of[package[1]]))
        seen |= runs
    return found


def made_up(root, count, draw, classes=3):
    """(text, class): sentences of words of our own pages, half of them from a third that is the class's own."""
    pages = sorted((pathlib.Path(root) / "docs").glob("*.md"))
    words = sorted(set(re.findall(r"\b[a-z]{3,}\b", " ".join(p.read_text(encoding="utf-8") for p in pages))))
    draw.shuffle(words)
    own = [words[i::classes] for i in range(classes)]
    return [(" ".join(["the", *(draw.choice(own[c] if draw.random() < 0.7 else words) for _ in range(draw.randint(20, 60))), "and", "so"]), f"class-{c}")
            for c in (draw.randrange(classes) for _ in range(count))]


def plant(folder, rows, draw):
    """Writes the files; returns {finding: [[file, line], ...]}."""
    classes = sorted({label for _, label in rows})
    rare = classes[-1]
    rows = [r for r in rows if r[1] != rare] + [r for r in rows if r[1] == rare][:len(rows) // (20 * len(classes))]
    draw.shuffle(rows)
    n = len(rows)
    test, train = [dict(text=t, label=c) for t, c in rows[:n // 5]], [dict(text=t, label=c) for t, c in rows[n // 5:]]
    many = n // 20
    for i, row in enumerate(draw.sample(train, many)):
        if row["label"] != rare:  # few as they are
            row["label"] = draw.choice([c for c in classes if c not in (row["label"], rare)])
            row["planted"] = ["flipped-labels"]
    clean = [r for r in train if "planted" not in r and r["label"] != rare]
    draw.shuffle(clean)
    odd, clean = clean[:5 * 20], clean[5 * 20:]
    for i, (name, sentence) in enumerate([*PERSONAL.items(), *ODD.items(), *(("", d) for d in DECOYS)]):
        for row in odd[5 * i:5 * i + 5]:
            row.update(text=row["text"] + " " + sentence + ".", planted=[name])
    extra = [dict(r, planted=["exact-duplicates"]) for r in clean[:many]]
    extra += [dict(r, text=edited(r["text"], draw), planted=["near-duplicates"]) for r in clean[many:2 * many]]
    usual = draw.sample([r for r in test if r["label"] != rare], many + 10)
    extra += [dict(r, planted=["leaks"]) for r in usual[:many // 2]]
    extra += [dict(r, text=edited(r["text"], draw), planted=["near-leaks"]) for r in usual[many // 2:many]]
    extra += [dict(text=text, label=classes[0], planted=["language"]) for text in FRENCH]
    for row in usual[many:]:
        extra.append(dict(row, label=next(c for c in classes if c != row["label"]), planted=["conflicting-labels", "leaks", "flipped-labels"]))
        row["planted"] = ["conflicting-labels"]
    planted = {}
    for name, part in (("train", train + extra), ("test", test)):
        with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as out:
            for line, row in enumerate(part, 1):
                for fault in row.pop("planted", []):
                    planted.setdefault(fault, []).append([f"{name}.jsonl", line])
                out.write(json.dumps({**row, "region": "south"}) + "\n")
    (folder / "groups.json").write_text(json.dumps(GROUPS))
    (folder / "planted.json").write_text(json.dumps(planted))
    return planted


def judged(planted, audit):
    """{finding: (planted, found of these, found at all)} for faults of rows."""
    found = {f["name"]: {(pathlib.Path(file).name, line) for file, lines in f["places"].items() for line in lines} for f in audit["findings"]}
    return {name: (len(places), len({tuple(p) for p in places} & found.get(name, set())), len(found.get(name, ()))) for name, places in planted.items() if name}


def main(folder, what, given):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(18)
    root = pathlib.Path(__file__).resolve().parents[2]
    if what == "judge":
        for name, (planted, hit, all_found) in judged(json.loads((folder / "planted.json").read_text()), json.loads(pathlib.Path(given).read_text())).items():
            print(f"{name:24} planted {planted:6} recall {hit / planted:6.1%} found {all_found:6} precision {hit / max(1, all_found):6.1%}")
    elif what == "rows":
        with open(folder / "rows.jsonl", "w") as out:
            for text, label in made_up(root, int(given), draw):
                out.write(json.dumps({"text": text, "label": label}) + "\n")
    else:
        rows = debian(given) if what == "debian" else made_up(root, int(given), draw)
        draw.shuffle(rows)
        print(f"{len(rows):,} texts")
        plant(folder, rows, draw)


if __name__ == "__main__":
    main(*sys.argv[1:])
