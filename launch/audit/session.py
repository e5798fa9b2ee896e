"""One audit: launch/text/audit.cpp hands over the rows in batches, all of them first, and once more those that `second` asks for."""
import collections
import json

import numpy as np
import pycld2

from audit import duplicates, encoding, fix, groups, labels, page, personal, rules, size
from audit.columns import RANKS, Columns, Equal, hash_of
from audit.findings import DROPPED, MOST_EXAMPLES, Findings, levels_of
from report.command import Output, deliver, refuse

LEAST_LETTERS, LEAST_PERCENT = 60, 85  # of a text whose language is told
SURE_SHARE = 0.9  # of one language, so that another is odd
LENGTH_RATIO, TRUNCATED, FLIPPED, WORDS_TELL = 3, 0.05, 0.01, 0.8
LEAST_OF_CLASS = 20  # for lengths
MOST_CLASSES = 1000
SNIPPET = 160
DIVIDED = ("language-modeling", "masked-language-modeling", "question-answering")  # tasks that cut no long text
NEAR = ("near-leaks", "near-duplicates", "near-conflicts")


class Session:
    def __init__(self, given):
        """`given`: options as launch/text/audit.cpp names them."""
        self.o = given
        if not 0 < given["near"] <= 1:
            refuse(f"--near: {given['near']:g}: legal: a number above 0, at most 1")
        if given["region"] and given["region"] not in personal.phonenumbers.SUPPORTED_REGIONS:
            refuse(f"--region: {given['region']}: legal: two letters of a country in capitals, such as DE")
        self.findings = Findings(levels_of(given["severity"]))
        self.groups = groups.read_groups(given["groups"]) if given["groups"] else []
        self.outputs = [(Output(given[name], given["force"]), name) for name in ("output", "json") if given[name]]
        fix.check(given["files"], given["fix"])
        self.columns, self.sample, self.names, self.languages = Columns(), labels.Sample(), {}, {}
        self.tokens, self.token_counts, self.group_counts = collections.Counter(), [], collections.Counter()
        self.snippets, self.verifier, self.wanted, self.suspects = {}, None, np.empty(0, np.int64), None
        self.best = {name: {} for name in NEAR}
        self.tokenizer = None
        if given["tokenizer"] and not given["structured"]:  # the template of a conversation is the business of `prepare`
            import tokenizers
            self.tokenizer = tokenizers.Tokenizer.from_file(given["tokenizer"] + "/tokenizer.json")
            self.tokenizer.no_truncation()
            self.tokenizer.no_padding()

    def group_columns(self):
        """Columns that the groups need beside those of the task."""
        return sorted({g.column for g in self.groups if g.column})

    def first(self, batch):
        """`batch`: lists texts, pairs, values (the task's, then group_columns'), splits, files (numbers), lines, unlabelled, blank."""
        own = self.o["values"]  # how many values are the task's
        begin = len(self.columns)
        whole = [self.whole_text(*row) for row in zip(batch["texts"], batch["pairs"], batch["values"])]
        for i, text in enumerate(whole):
            key = hash_of(batch["texts"][i] + "\x1f" + batch["pairs"][i])
            values, blank = batch["values"][i], batch["blank"][i]
            unlabelled = batch["unlabelled"][i] and not blank
            name = values[0] if self.o["task"] == "classification" and own and not unlabelled and not blank else None
            number = self.number_of(name) if name is not None else -1
            self.columns.add(key=key, label=0 if unlabelled else hash_of("\x1f".join(values[:own])), file=batch["files"][i], line=batch["lines"][i],
                             rank=RANKS.index(batch["splits"][i]), length=min(len(text), (1 << 32) - 1), blank=blank or unlabelled,
                             language=self.language_of(text), **{"class": number})
            row = begin + i
            self.row_findings(row, text, blank, unlabelled)
            if number >= 0 and self.findings.active("flipped-labels"):
                self.sample.add(row, key, number, batch["texts"][i] + " " + batch["pairs"][i])
            cells = dict(zip(self.group_columns(), values[own:]))
            for group in self.groups:
                if group.has(text, cells, f"{self.o['files'][batch['files'][i]]}:{batch['lines'][i]}"):
                    self.group_counts[group.name, batch["splits"][i]] += 1
        if self.near():
            self.columns.bands.append(duplicates.band_keys([t + "\x1f" + p for t, p in zip(batch["texts"], batch["pairs"])]))
        self.count_tokens(batch)

    def near(self):
        return any(self.findings.active(name) for name in NEAR)

    def whole_text(self, text, pair, values):
        if self.o["structured"]:  # which content_of divides so
            text = text.replace("\x1f", "\n").strip("\n")
        return "\n".join([text, *([pair] if pair else []), *(values[:1] if self.o["task"] == "generation" else [])])

    def number_of(self, name):
        number = self.names.setdefault(name, len(self.names))
        if number >= MOST_CLASSES:
            refuse(f"--label: more than {MOST_CLASSES} classes; legal: a column with the names of classes")
        return number

    def language_of(self, text):
        if not self.findings.active("language") or len(text) < LEAST_LETTERS:
            return -1
        try:
            sure, _, found = pycld2.detect(encoding.CONTROL.sub(" ", text[:2000]), bestEffort=False)
        except pycld2.error:
            return -1
        return self.languages.setdefault(found[0][0], len(self.languages)) if sure and found[0][2] >= LEAST_PERCENT and found[0][1] != "un" else -1

    def row_findings(self, row, text, blank, unlabelled):
        names = (["empty-texts"] if blank else ["unlabelled"] if unlabelled else []) + encoding.oddities(text)
        for name in names:
            if self.findings[name].wants():
                self.snippets.setdefault(row, self.snippet(text))
            self.findings[name].add({"row": row})
        kinds = {}
        for name, begin, end in personal.values_in(text, self.o["region"] or None):
            kinds.setdefault(name, personal.mask(text[begin:end]))
        for name, shown in kinds.items():
            self.findings[name].add({"row": row, "value": shown})

    def snippet(self, text):
        return personal.masked(text[:SNIPPET * 2], self.o["region"] or None)[:SNIPPET]

    def count_tokens(self, batch):
        if not self.tokenizer:
            return
        paired = self.o["pair"] or self.o["task"] == "question-answering"  # whose context stands in pairs
        second = batch["pairs"] if paired else [v[0] for v in batch["values"]] if self.o["task"] == "generation" else None
        encoded = self.tokenizer.encode_batch(list(zip(batch["texts"], second)) if second else batch["texts"])
        begin = len(self.columns) - len(encoded)
        for i, one in enumerate(encoded):
            count = len(one.ids)
            self.tokens[batch["splits"][i]] += count
            self.token_counts.append(count)
            if count > self.o["max_length"] and self.o["task"] not in DIVIDED:
                self.findings["truncation"].add({"row": begin + i, "tokens": count})

    def second(self):
        """After all rows: computes what needs no text. Returns whether rows are needed once more."""
        self.equal = Equal(self.columns)
        self.label_task = self.o["task"] in ("classification", "regression")
        for name, (rows, partners) in (("leaks", self.equal.leaks), ("exact-duplicates", self.equal.repeats),
                                       *([("conflicting-labels", self.equal.conflicts)] if self.label_task else [])):
            self.add_pairs(name, zip(rows.tolist(), partners.tolist()))
        if self.near() and len(self.columns):
            earlier, later = duplicates.candidates(self.columns.band_keys(), ~self.equal.first)
            differ = self.columns["key"][earlier] != self.columns["key"][later]
            self.verifier = duplicates.Verifier(earlier[differ], later[differ], self.o["near"], self.near_pair)
        self.find_languages()
        self.find_flipped()
        shown = [e[part] for f in self.findings.all.values() for e in f.examples for part in ("row", "partner") if part in e]
        self.wanted = np.unique(np.array(shown + (self.verifier.wanted.tolist() if self.verifier else []), np.int64))
        self.shown = set(shown)
        return bool(len(self.wanted))

    def rows_wanted(self):
        return self.wanted.tolist()

    def again(self, row, text, pair):
        if self.verifier:
            self.verifier.take(row, text + "\x1f" + pair)
        if row in self.shown and row not in self.snippets:
            self.snippets[row] = self.snippet(text)

    def add_pairs(self, name, pairs):
        for row, partner, *more in pairs:
            self.findings[name].add({"row": row, "partner": partner, **({"similarity": round(more[0], 3)} if more else {})})

    def near_pair(self, earlier, later, similarity, earlier_text, later_text):
        """Keeps the most similar partner of each row, and shows the first pairs of each kind."""
        ranks, label = self.columns["rank"], self.columns["label"]
        swapped = ranks[earlier] >= ranks[later]
        row, partner = (later, earlier) if swapped else (earlier, later)
        names = ["near-leaks" if ranks[earlier] != ranks[later] else "near-duplicates"]
        if self.label_task and label[earlier] != label[later]:
            names.append("near-conflicts")
        for name in names:
            if similarity > self.best[name].get(row, (0, 0))[1]:
                self.best[name][row] = (partner, similarity)
            if len(self.best[name]) <= MOST_EXAMPLES:
                for number, text in ((earlier, earlier_text), (later, later_text)):
                    if number not in self.snippets:
                        self.snippets[number] = self.snippet(text)

    def find_near(self):
        for name, found in self.best.items():
            self.add_pairs(name, ((row, *found[row]) for row in found))

    def find_languages(self):
        told = self.columns["language"]
        counts = np.bincount(told[told >= 0], minlength=len(self.languages))
        names = list(self.languages)
        self.language_counts = {names[i]: int(counts[i]) for i in np.argsort(-counts, kind="stable")} if names else {}
        if names and counts.max() >= SURE_SHARE * counts.sum():
            for row in np.flatnonzero((told >= 0) & (told != counts.argmax())).tolist():
                self.findings["language"].add({"row": row, "value": names[told[row]].capitalize()})

    def find_flipped(self):
        self.suspects = labels.suspects(self.sample, list(self.names)) if self.findings.active("flipped-labels") else None
        if not self.suspects or len(self.suspects[0]) < FLIPPED * self.suspects[2] or self.suspects[1] < WORDS_TELL:
            return
        names = list(self.names)
        for row, given, likelier, share in self.suspects[0]:
            self.findings["flipped-labels"].add({"row": row, "value": f"{names[given]}, and its words say {names[likelier]} ({share:.0%})"})
        self.findings["flipped-labels"].note = f"{self.suspects[2]:,} rows judged by their words; {self.suspects[1]:.1%} of them right."

    def class_table(self):
        """{class: {split: rows}}"""
        number, rank = self.columns["class"], self.columns["rank"]
        used = number >= 0
        table = np.bincount(number[used].astype(np.int64) * len(RANKS) + rank[used], minlength=len(self.names) * len(RANKS)).reshape(-1, len(RANKS))
        return {name: dict(zip(RANKS, table[i].tolist())) for name, i in sorted(self.names.items())}

    def find_classes(self):
        table = self.class_table()
        for name, lines in rules.class_faults(table).items():
            for line in lines:
                self.findings[name].add({"value": line})
        number, length = self.columns["class"], self.columns["length"]
        medians = {n: float(np.median(length[number == i])) for n, i in self.names.items() if (number == i).sum() >= LEAST_OF_CLASS}
        self.medians = medians
        if len(medians) > 1:
            short, long = min(medians, key=medians.get), max(medians, key=medians.get)
            if medians[long] >= LENGTH_RATIO * max(1, medians[short]):
                self.findings["length-balance"].add({"value": f"{long}: median of {medians[long]:,.0f} characters, {short}: {medians[short]:,.0f}: "
                                                              "the length alone may tell the class"})

    def find_groups(self):
        rank = self.columns["rank"]
        totals = {s: int((rank == i).sum()) for i, s in enumerate(RANKS)}
        for group in self.groups:
            for split in (s for s in RANKS if totals[s]):
                count = self.group_counts[group.name, split]
                if not count:
                    self.findings["missing-groups"].add({"value": f"{group.name}: no row of {split}"})
                elif count < groups.LEAST_SHARE * totals[split]:
                    self.findings["rare-groups"].add({"value": f"{group.name}: {count:,} of {totals[split]:,} rows of {split}"})

    def find_size(self):
        self.parameters = (self.o["parameters"],) * 2 if self.o["parameters"] else size.parameters_of(self.o["tokenizer"])
        table = self.class_table()
        trained = ((self.columns["rank"] == 0) & (self.columns["blank"] == 0)).sum()
        smallest = min(((n, c["train"]) for n, c in table.items() if c["train"]), key=lambda c: c[1], default=None)
        for line in size.verdicts(self.o["task"], int(trained), smallest, self.tokens["train"], self.parameters):
            self.findings["size"].add({"value": line})

    def unseen(self):
        """Names of findings for which nothing was looked, as the task, the options or the rows give no ground for them."""
        grounds = {("conflicting-labels", "near-conflicts"): self.label_task, ("class-balance", "missing-classes", "length-balance"): bool(self.names),
                   ("flipped-labels",): self.suspects is not None, ("truncation",): self.tokenizer is not None and self.o["task"] not in DIVIDED,
                   ("missing-groups", "rare-groups"): bool(self.groups)}
        return [name for names, there in grounds.items() if not there for name in names]

    def drops(self):
        """{row: (reason, partner or None)}"""
        found = {}
        for name in DROPPED:
            if not self.findings.active(name):
                continue
            if name == "empty-texts":
                rows = np.flatnonzero(self.columns["blank"] == 1) if not self.o["keep_unlabelled"] else []
                found.update({int(row): (name, None) for row in rows})
                continue
            pairs = {"leaks": self.equal.leaks, "exact-duplicates": self.equal.repeats, "conflicting-labels": self.equal.conflicts if self.label_task else ((), ())}
            near = self.best.get(name, {})
            for row, partner in zip(*pairs[name]) if name in pairs else ((r, near[r][0]) for r in sorted(near)):
                row, partner = int(row), int(partner)
                if row not in found and (name == "conflicting-labels" or partner not in found):
                    found[row] = (name, partner)
        return found

    def finish(self):
        """Writes everything, and returns the exit code, 1 for a finding that is an error, and the summary."""
        self.find_near()
        self.find_classes()
        self.find_groups()
        self.find_size()
        truncated = self.findings["truncation"]
        self.truncated = truncated.count
        if truncated.count < TRUNCATED * len(self.columns):
            truncated.count = 0
        found = page.facts(self)
        if self.o["fix"]:
            found["dropped"] = fix.write(self.o["fix"], self.o["files"], self.columns, self.drops())
        for output, name in self.outputs:
            content = page.render_page(found) if name == "output" else (json.dumps(found, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "replace")
            output.save(content) if output.regular else deliver(output, content)
        return (1 if found["verdict"] == "error" else 0), page.summary(found, [o.path for o, _ in self.outputs])
