"""A decoder, asked through `trireme generate` and `trireme evaluate --choices`."""
import json
import os

import tokenizers

from bias.model import Model
from memorization import exposure
from report import reading
from report.command import refuse

LEGAL = "a Hugging Face folder of a decoder"


class Decoder(Model):
    """`given`: launcher and set of the command line."""

    def __init__(self, folder, given):
        super().__init__(folder, given)
        config = reading.read_json(os.path.join(folder, "config.json"), LEGAL)
        if self.classifies or config["architectures"][0].endswith("ForMaskedLM"):
            refuse(f"{folder}/config.json: architectures: {config['architectures'][0]}: legal: a decoder, which goes on from a prompt")
        rooms = [config.get(name) for name in ("max_position_embeddings", "n_positions")]
        self.room = next((room for room in rooms if isinstance(room, int)), None)
        path = os.path.join(folder, "tokenizer.json")
        try:
            self.tokenizer = tokenizers.Tokenizer.from_file(path)
        except Exception as error:  # the library throws nothing narrower
            refuse(f"{path}: {str(error).splitlines()[0]}; legal: {LEGAL}")
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()

    def completions(self, prompts, tokens, folder):
        """(tokens, text) of each greedy completion."""
        given, found = folder / "prompts.jsonl", folder / "completions.jsonl"
        given.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts), encoding="utf-8")
        self.command("generate", self.folder, "--prompts", str(given), "--output", str(found), "--force", "--max-new-tokens", str(tokens))
        return [(line["tokens"], line["completion"]) for _, line in reading.read_json_lines(str(found), "completions")]

    def exposures(self, canaries, count, folder):
        rows, template, found = folder / "choices.jsonl", folder / "template.json", folder / "choices-scores.jsonl"
        choices = [[c.secret, *exposure.candidates(c.secret, count)] for c in canaries]
        rows.write_text("".join(json.dumps({"question": c.prefix, "choices": some, "answer": 0}) + "\n" for c, some in zip(canaries, choices)), encoding="utf-8")
        template.write_text(json.dumps(exposure.TEMPLATE))
        self.command("evaluate", "--model", self.folder, "--choices", str(rows), "--template", str(template), "--predictions", str(found), "--force")
        return [exposure.of_scores(line["scores"], c.secret) for c, (_, line) in zip(canaries, reading.read_json_lines(str(found), "scores"))]
