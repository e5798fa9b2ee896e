"""Rows of three forms to one: a list of messages with roles, tools, and which turns are trained."""

ROLES = ("system", "developer", "user", "assistant", "tool", "function", "ipython", "environment")
SPEAKERS = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant", "bot": "assistant",
    "model": "assistant", "system": "system", "tool": "tool", "observation": "tool", "function_response": "tool",
    "function_call": "assistant", "tool_call": "assistant",
}  # fmt: skip
FORMS = ("messages", "sharegpt", "alpaca")
LEAST_WEIGHT, MOST_WEIGHT = 0.001, 1000  # of a turn that is trained; weights are kept to a millionth


def shown(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def refuse(field, value, legal):
    raise Refused(f"{field}: {shown(value)}: legal: {legal}")


def opened(field, value, kind, legal):
    """A value of `kind`, or a text that holds one as JSON, as columns of CSV and Parquet files do."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            refuse(field, value, legal)
    if not isinstance(value, kind):
        refuse(field, value, legal)
    return value


def form_of(row):
    """Tells the form of a row from the columns that it has. `turns`: what --messages names."""
    turns = row.get("turns")
    if turns is not None:
        turns = opened(row["name"], turns, list, "a list of messages")
        first = turns[0] if turns and isinstance(turns[0], dict) else {}
        return "sharegpt" if "from" in first and "role" not in first else "messages"
    if row.get("instruction") is not None and row.get("output") is not None:
        return "alpaca"
    raise Refused("no conversation; legal: a column messages or conversations (another: --messages NAME), or instruction and output")


def weight_of(field, message):
    """By how much the loss of a turn's tokens is multiplied; 0: the turn is read only. `train` turns a turn off or on, as
    axolotl has it, `weight` is 0 or 1 with OpenAI, and here what lies between and above them too."""
    found = 1 if message["role"] == "assistant" else 0
    legal = {"weight": f"0, not trained, or {LEAST_WEIGHT} to {MOST_WEIGHT}", "train": "0 or 1, not trained or trained"}
    for name in legal:
        value = message.pop(name, None)
        if value is None:
            continue
        number = isinstance(value, (int, float))
        if not number or not (value in (0, 1) or (name == "weight" and LEAST_WEIGHT <= value <= MOST_WEIGHT)):
            refuse(f"{field}.{name}", value, legal[name])
        if value and message["role"] != "assistant":
            refuse(f"{field}.{name}", value, f"0, as only turns of the assistant are trained, and this one's role is {message['role']}")
        found *= value
    return found


def text_content(field, content):
    """Parts of text are one text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        refuse(field, content, "a text, or a list of parts {\"type\": \"text\", \"text\": ...}")
    for place, part in enumerate(content):
        if not isinstance(part, dict) or part.get("type", "text") != "text" or not isinstance(part.get("text"), str):
            refuse(f"{field}[{place}]", part, "a part {\"type\": \"text\", \"text\": ...}: only text is trained here")
    return "".join(part["text"] for part in content)


def tool_calls(field, calls):
    """Calls with their arguments as an object, which is what templates write as JSON."""
    made = []
    for place, call in enumerate(opened(field, calls, list, "a list of calls")):
        of = f"{field}[{place}]"
        if not isinstance(call, dict):
            refuse(of, call, "{\"function\": {\"name\": ..., \"arguments\": {...}}}")
        function = call.get("function", call)
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            refuse(of, call, "{\"function\": {\"name\": ..., \"arguments\": {...}}}")
        function = dict(function)
        if "arguments" in function:
            function["arguments"] = opened(f"{of}.arguments", function["arguments"], dict, "an object, or a text that holds one as JSON")
        made.append({**call, "function": function} if "function" in call else function)
    return made


def message_of(field, message):
    if not isinstance(message, dict):
        refuse(field, message, "{\"role\": ..., \"content\": ...}")
    role = message.get("role")
    if role not in ROLES:
        refuse(f"{field}.role", role, ", ".join(ROLES))
    made = {name: value for name, value in message.items() if value is not None}  # as transformers hands them on
    if "tool_calls" in made:
        made["tool_calls"] = tool_calls(f"{field}.tool_calls", made["tool_calls"])
    if "content" in made:
        made["content"] = text_content(f"{field}.content", made["content"])
    elif not made.get("tool_calls"):
        refuse(f"{field}.content", None, "a text; only a turn of the assistant with tool_calls may lack it")
    for name in REASONING:
        if name in made and not isinstance(made[name], str):
            refuse(f"{field}.{name}", made[name], "a text")
    reasoning = next((made[name] for name in REASONING if name in made), None)
    return made if reasoning is None else {"thinking": reasoning, **made, "reasoning_content": reasoning}


def of_messages(row):
    return opened(row["name"], row.get("turns"), list, "a list of messages")


def of_sharegpt(row):
    name, made = row["name"], []
    if row.get("system"):
        made.append({"role": "system", "content": row["system"]})
    for place, turn in enumerate(opened(name, row.get("turns"), list, "a list of turns")):
        field = f"{name}[{place}]"
        if not isinstance(turn, dict):
            refuse(field, turn, "{\"from\": ..., \"value\": ...}")
        if not isinstance(turn.get("from"), str) or turn["from"] not in SPEAKERS:
            refuse(f"{field}.from", turn.get("from"), ", ".join(SPEAKERS))
        message = {key: value for key, value in turn.items() if key not in ("from", "value")}
        message["role"] = SPEAKERS[turn["from"]]
        if turn["from"] in ("function_call", "tool_call"):
            call = opened(f"{field}.value", turn.get("value"), (dict, list), "a call as JSON")
            calls = call if isinstance(call, list) else [call]
            message |= {"content": "", "tool_calls": [{"type": "function", "function": one} for one in calls]}
        else:
            message["content"] = turn.get("value")
        made.append(message)
    return made


def of_alpaca(row):
    asked, more, answer = (row.get(name) for name in ("instruction", "input", "output"))
    for name, value in (("instruction", asked), ("output", answer)):
        if not isinstance(value, str):
            refuse(name, value, "a text")
    if more is not None and not isinstance(more, str):
        refuse("input", more, "a text, or nothing")
    made = [{"role": "system", "content": row["system"]}] if row.get("system") else []
    return made + [
        {"role": "user", "content": asked + ("\n\n" + more if more else "")},
        {"role": "assistant", "content": answer},
    ]


def tools_of(row):
    tools = row.get("tools")
    if tools is None or tools == "":
        return None
    tools = opened("tools", tools, list, "a list of tools, each an object")
    for place, tool in enumerate(tools):
        if not isinstance(tool, dict):
            refuse(f"tools[{place}]", tool, "an object that describes a tool")
    return tools or None


def conversation_of(row, form):
    """Messages, tools, and the weight of each message in the loss."""
    messages = {"messages": of_messages, "sharegpt": of_sharegpt, "alpaca": of_alpaca}[form](row)
    field = row["name"] if form != "alpaca" else "messages"
    messages = [message_of(f"{field}[{place}]", message) for place, message in enumerate(messages)]
    weights = [weight_of(f"{field}[{place}]", message) for place, message in enumerate(messages)]
    if not any(message["role"] == "assistant" for message in messages):
        refuse(field, [message["role"] for message in messages], "one turn of the assistant or more")
    return messages, tools_of(row), weights
