"""Scores of a completion against its reference.

Exact match and F1 of bags of words after lower-casing and without punctuation, articles and extra space: the definitions of SQuAD
1.1 (Rajpurkar et al., EMNLP 2016, section 6.1), where Python's Unicode rules are part of them. ROUGE-L: the F1 of their longest
common subsequence of words (Lin, 2004), which are of the letters a to z and of digits, in lower case, as the package rouge-score
has it without stemming; none where one of the two has no such word.
"""

import collections
import re
import string


def words(text):
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def plain_words(text):
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).split()


def longest_in_common(some, others):
    row = [0] * (len(others) + 1)
    for word in some:
        before = 0
        for i, other in enumerate(others, 1):
            before, row[i] = row[i], before + 1 if word == other else max(row[i], row[i - 1])
    return row[-1]


def rouge_l(completion, reference):
    made, wanted = plain_words(completion), plain_words(reference)
    common = longest_in_common(made, wanted)
    return 2 * common / (len(made) + len(wanted)) if common else 0.0


def score(completion, reference):
    made, wanted = words(completion), words(reference)
    common = sum((collections.Counter(made) & collections.Counter(wanted)).values())
    if not made or not wanted or not common:
        f1 = float(made == wanted)
    else:
        f1 = 2 * common / (len(made) + len(wanted))
    return float(made == wanted), f1, rouge_l(completion, reference)
