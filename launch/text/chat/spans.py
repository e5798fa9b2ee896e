"""Finds what of a rendered conversation is trained: the assistant's turns, each with the token that ends it."""

MARKED, NESTED, SEPARATE = "generation blocks of the template", "prefixes that nest", "one sample for each turn"


class Ends:
    """Special tokens in a text."""

    def __init__(self, specials):
        tokens = "|".join(re.escape(token) for token in sorted(specials, key=len, reverse=True)) or "(?!)"
        self.any, self.last = re.compile(tokens), re.compile(f"({tokens})\\s*\\Z")
        self.two = re.compile(f"(?:{tokens})\\s*((?:{tokens})\\s*)\\Z")

    def of_turn(self, text, start, end):
        """Where a turn ends that lies between `start` and `end`: behind its last token, if only blanks follow that, since
        generation ends there. Also the token; "" if it has none."""
        found = self.last.search(text[start:end])
        return (start + found.end(1), found[1]) if found else (end, "")

    def without_last(self, text):
        """A text without the second of two tokens at its end, which some templates put behind the last turn of all."""
        found = self.two.search(text)
        return text[: found.start(1)] if found else text


def marked(text, notes, ends, messages, weights):
    """Spans of what the template marks; none if they do not stand where it says, or nobody knows which turn they are of."""
    spans = []
    turns = [weight for message, weight in zip(messages, weights) if message["role"] == "assistant"]
    if not notes or (len(notes) != len(turns) and (not all(turns) or len(set(turns)) > 1)):
        return None
    for place, (start, part) in enumerate(notes):
        end = start + len(part)
        if text[start:end] != part:
            return None
        following = ends.any.match(text, end)  # some templates leave the token outside
        if following and not ends.last.search(part):
            end = following.end()
        weight = turns[place if len(notes) == len(turns) else 0]
        if weight:
            spans.append((start, *ends.of_turn(text, start, end), weight))
    return spans


def turns_of(template, messages, tools, weights):
    """(place, weight, prompt, prompt and turn) of each trained turn, as inference renders the prompt."""
    for place, weight in enumerate(weights):
        if weight:
            yield place, weight, template.render(messages[:place], tools, True)[0], template.render(messages[: place + 1], tools)[0]


def nested(text, turns, ends):
    spans = []
    for _, weight, prompt, whole in turns:
        whole = whole if text.startswith(whole) else ends.without_last(whole)
        if not whole.startswith(prompt) or not text.startswith(whole):
            return None
        spans.append((len(prompt), *ends.of_turn(text, len(prompt), len(whole)), weight))
    return spans


def separate(template, turns, ends):
    samples = []
    for place, weight, prompt, whole in turns:
        if not whole.startswith(prompt):
            common = len(os.path.commonprefix([prompt, whole]))
            raise Refused(
                f"turn {place}: {template.place} asks for a turn with {shown(prompt[common:])}, and does not write it where "
                "the turn stands; legal: a template that writes a turn as it asks for it"
            )
        span = (len(prompt), *ends.of_turn(whole, len(prompt), len(whole)), weight)
        samples.append((whole[: span[1]], [span]))
    return samples


def samples_of(template, messages, tools, weights, ends):
    """The rule, and [(text, [(start, end, token at the end, weight)])]: places of characters."""
    text, notes = template.render(messages, tools)
    if template.marks:
        spans = marked(text, notes, ends, messages, weights)
        if spans is not None:
            return MARKED, [(text, spans)]
    turns = list(turns_of(template, messages, tools, weights))
    spans = nested(text, turns, ends)
    return (NESTED, [(text, spans)]) if spans is not None else (SEPARATE, separate(template, turns, ends))


def texts_in(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts_in(one)


class Chat:
    """Answers trireme-text, which holds one object of it."""

    def __init__(self, folder, asked, specials):
        self.templates, self.ends = Templates(folder, asked), Ends(specials)
        self.form = None

    def asked_template(self):
        return self.templates.asked or ""

    def choose_form(self, form, row):
        self.form = form or form_of(json.loads(row))
        return self.form

    def samples(self, row):
        """JSON of {"rule", "written", "samples": [[text, [[start, end, stop, weight], ...]], ...]}. `written`: contents that hold
        special tokens, which the model reads as such."""
        messages, tools, weights = conversation_of(json.loads(row), self.form)
        rule, samples = samples_of(self.templates(tools), messages, tools, weights, self.ends)
        written = sum(1 for text in texts_in(messages) if self.ends.any.search(text))
        return json.dumps({"rule": rule, "written": written, "samples": samples})

    def render(self, request):
        """A conversation as a prompt, or whole: {"messages", "tools", "prompt"}."""
        asked = json.loads(request)
        row = {"name": "messages", "turns": asked["messages"], "tools": asked.get("tools")}
        messages = [message_of(f"messages[{i}]", one) for i, one in enumerate(of_messages(row))]
        tools = tools_of(row)
        return self.templates(tools).render(messages, tools, asked.get("prompt", True))[0]
