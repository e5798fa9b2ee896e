"""Renders conversations by a model's own template, as transformers does it: jinja2 in a sandbox, with its loop
controls, its `generation` blocks and its functions. A template is somebody else's program: time, memory and size of
what it makes are bounded. Runs inside trireme-text, which puts the files of this folder into one scope."""

import contextlib
import glob
import json
import os
import re
import resource
import signal
from datetime import datetime

import jinja2
import jinja2.ext
import jinja2.sandbox

SECONDS, CHARACTERS, BYTES, BITS = 5, 1 << 24, 1 << 30, 4096  # of one rendering, and of a whole number in it
NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
REASONING = ("reasoning_content", "thinking", "reasoning")  # names of it, the usual one first
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
BUILT_IN = {"chatml": CHATML}


class Refused(Exception):
    """One line for people."""


class Exhausted(BaseException):
    """Raised in a template that takes too much: not an Exception, so that no filter swallows it."""


def one_line(error):
    return " ".join(str(error).split())


class Generation(jinja2.ext.Extension):
    """{% generation %}: notes which part of the text the model is to make."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_note"), [], [], body).set_lineno(line)

    def _note(self, caller):
        text = caller()
        self.environment.notes.append((self.environment.written, text))
        return text


class Environment(jinja2.sandbox.ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(("*", "**"))

    def __init__(self):
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
        self.notes, self.written = [], 0
        self.filters["tojson"] = to_json
        self.globals.update(
            raise_exception=raise_exception, strftime_now=lambda form: datetime.now().strftime(form), namespace=Namespace
        )

    def call_binop(self, context, operator, left, right):
        """Whole numbers stay short: a product of long ones takes minutes in which no signal is served."""
        if isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * max(1, right) if operator == "**" else left.bit_length() + right.bit_length()
            if bits > BITS:
                raise Exhausted(f"makes a number of more than {BITS} bits")
        return super().call_binop(context, operator, left, right)


class Namespace(jinja2.utils.Namespace):
    """A namespace whose attributes have no underscore in front, behind which Python keeps its own."""

    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        attributes = dict(*args, **kwargs)
        for name in attributes:
            Namespace.check(name)
        jinja2.utils.Namespace.__init__(self, attributes)

    def __setitem__(self, name, value):
        Namespace.check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"the attribute {name} of a namespace begins with an underscore")


def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    """jinja2's own filter spells characters of HTML otherwise."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


class RaisedByTemplate(jinja2.exceptions.TemplateError):
    pass


def raise_exception(message):
    raise RaisedByTemplate(message)


@contextlib.contextmanager
def bounded():
    """Ends what takes too much processor time or memory. Wall-clock time would depend on the machine's load."""

    def stop(*_):
        raise Exhausted(f"takes more than {SECONDS} s of processor time")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as pages:
        room = int(pages.read().split()[0]) * resource.getpagesize() + BYTES
    handler = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (room if soft == resource.RLIM_INFINITY else min(soft, room), hard))
    try:
        yield
    except MemoryError:
        raise Exhausted(f"takes more than {BYTES >> 30} GiB of memory") from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, handler or signal.SIG_DFL)


def line_of(error):
    """Line of the template where an exception was raised; 0: none."""
    line, trace = 0, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


class Template:
    """One template. `place`: where it stands, for messages."""

    def __init__(self, text, place, tokens):
        self.place, self.tokens, self.environment = place, tokens, Environment()
        self.marks = re.search(r"\{%-?\s*generation\s*-?%\}", text) is not None
        try:
            with bounded():
                self.compiled = self.environment.from_string(text)
        except jinja2.exceptions.TemplateSyntaxError as error:
            raise Refused(f"{place}: line {error.lineno}: not a template: {one_line(error.message)}; legal: a template of jinja2")
        except (Exhausted, Exception) as error:
            raise Refused(f"{place}: not a template: {one_line(error)}; legal: a template of jinja2")

    def render(self, messages, tools=None, prompt=False):
        """The text, and [(place, text)] of what {% generation %} marks in it. `prompt`: with what stands in front of an
        assistant's turn."""
        environment, blocks = self.environment, []
        environment.notes, environment.written = [], 0
        try:
            with bounded():
                for block in self.compiled.generate(
                    messages=messages, tools=tools, documents=None, add_generation_prompt=prompt, **self.tokens
                ):
                    blocks.append(block)
                    environment.written += len(block)
                    if environment.written > CHARACTERS:
                        raise Exhausted(f"makes more than {CHARACTERS} characters")
        except RaisedByTemplate as error:
            raise Refused(f"{self.place} refuses the conversation: {one_line(error)}")
        except Exhausted as error:
            raise Refused(f"{self.place}: {error}; legal: a template that ends")
        except RecursionError:
            raise Refused(f"{self.place}: calls itself without end; legal: a template that ends")
        except Exception as error:
            raise Refused(f"{self.place}: line {line_of(error)}: {type(error).__name__}: {one_line(error)}")
        return "".join(blocks), environment.notes


def json_of(path):
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        try:
            found = json.load(file)
        except ValueError as error:
            raise Refused(f"{path}: not JSON: {one_line(error)}")
    return found if isinstance(found, dict) else {}


def text_of(path):
    with open(path, encoding="utf-8") as file:
        try:
            return file.read()
        except ValueError:
            raise Refused(f"{path}: not UTF-8; legal: a template of jinja2, as UTF-8")


def named_tokens(folder):
    """Special tokens by the names by which templates call them."""
    found = {}
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        for name, token in json_of(f"{folder}/{file}").items():
            token = token.get("content") if isinstance(token, dict) else token
            if name in NAMED_TOKENS and isinstance(token, str):
                found[name] = token
    return found


def templates_of(folder):
    """{name: (text, place)}. A template in a file of its own wins over one in tokenizer_config.json."""
    found = {}
    for file in ("tokenizer_config.json", "chat_template.json"):
        held, place = json_of(f"{folder}/{file}").get("chat_template"), f"{folder}/{file}: chat_template"
        for one in held if isinstance(held, list) else [{"name": "default", "template": held}]:
            if isinstance(one, dict) and isinstance(one.get("template"), str):
                found[str(one.get("name"))] = one["template"], place
    for path in sorted(glob.glob(f"{glob.escape(folder)}/additional_chat_templates/*.jinja")):
        found[os.path.basename(path)[: -len(".jinja")]] = text_of(path), path
    if os.path.exists(f"{folder}/chat_template.jinja"):
        found["default"] = text_of(f"{folder}/chat_template.jinja"), f"{folder}/chat_template.jinja"
    return found


class Templates:
    """The templates of a folder, or the one that --chat-template names: a file, a name of the folder's, or `chatml`."""

    def __init__(self, folder, asked=""):
        self.folder, self.tokens, self.opened = folder, named_tokens(folder), {}
        self.asked, self.found = None, templates_of(folder)
        if asked:
            if asked not in self.found and asked not in BUILT_IN and not os.path.isfile(asked):
                names = ", ".join(sorted({*self.found, *BUILT_IN}))
                raise Refused(f"--chat-template: {asked}: legal: a file with a template, or {names}")
            text, place = (
                self.found[asked] if asked in self.found
                else (BUILT_IN[asked], asked) if asked in BUILT_IN
                else (text_of(asked), asked)
            )
            self.found, self.asked = {"default": (text, place)}, text
        if not self.found:
            raise Refused(
                f"{folder}: no chat_template in tokenizer_config.json and no chat_template.jinja: a base model has none; "
                f"legal: --chat-template FILE, or {', '.join(BUILT_IN)}"
            )

    def __call__(self, tools):
        """Chooses as transformers does: `tool_use`, if there is one, for a conversation with tools."""
        name = "tool_use" if tools is not None and "tool_use" in self.found else "default"
        if name not in self.found:
            raise Refused(
                f"{self.folder}: no template named default; legal: --chat-template {' or '.join(sorted(self.found))}"
            )
        if name not in self.opened:
            self.opened[name] = Template(*self.found[name], self.tokens)
        return self.opened[name]
