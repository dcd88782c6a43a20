"""Reads a row of messages from standard input; prints the ids of the prompt that each of its answers is trained after.

    chat_ids.py TRAIN_TRL.py MODEL PROFILE.json
"""

import importlib.util
import json
import pathlib
import sys
import tempfile

from transformers import AutoTokenizer

script, model, profile = sys.argv[1:]
spec = importlib.util.spec_from_file_location("train_trl", script)
train_trl = importlib.util.module_from_spec(spec)
spec.loader.exec_module(train_trl)

tokenizer = AutoTokenizer.from_pretrained(model)
order = [attribute["name"] for attribute in json.loads(pathlib.Path(profile).read_text())["attributes"]]
with tempfile.TemporaryDirectory() as temporary:
    rows = pathlib.Path(temporary) / "rows.jsonl"
    rows.write_text(sys.stdin.read())
    examples = list(train_trl.examples(rows, order, list(tokenizer.get_added_vocab())))
prompts = [
    tokenizer.apply_chat_template(example["prompt"], add_generation_prompt=True, tokenize=True, return_dict=False)
    for example in examples
]
json.dump(prompts, sys.stdout)
