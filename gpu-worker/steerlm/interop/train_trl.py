"""Trains a LoRA to obey label lines, with TRL on any number of GPUs, from what `attune data convert --to trl` writes.

    accelerate launch --multi_gpu --num_processes 8 train_trl.py --model MODEL --data train.jsonl --profile profile.json --out ADAPTER

Each labelled answer is one example: the conversation before it, a turn `attributes` with its label line right before the answer, and
the loss on the answer alone. The model's own chat template renders the turns, as the worker that serves the adapter does. Needs torch,
transformers, trl, peft and datasets (docs/interop.md names versions that work together).
"""

import argparse
import json
import pathlib
import shutil

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer


def label_line(levels, order):
    return ",".join(f"{name}:{levels[name]}" for name in order if levels.get(name) is not None)


def conditioned(messages, order):
    """The turns as the worker renders them: before every answer that has labels, a turn that holds them."""
    turns = []
    for message in messages:
        line = label_line(message.get("steer", {}).get("attributes", {}), order)
        if message["role"] == "assistant" and line:
            turns.append({"role": "attributes", "content": line})
        turns.append({"role": message["role"], "content": message["content"]})
    return turns


def examples(path, order, markers):
    """One example for each answer that has labels; an answer without any in a row without any is one, too: the model must also
    answer where nothing is asked for. A row with a marker in somebody's text is left out: it would be read as the marker."""
    for line in path.open(encoding="utf-8"):
        messages = json.loads(line)["messages"]
        if any(marker in message["content"] for message in messages for marker in markers):
            continue
        is_labelled = any(message.get("steer") for message in messages)
        for end, message in enumerate(messages):
            if message["role"] == "assistant" and (message.get("steer") or not is_labelled):
                turns = conditioned(messages[: end + 1], order)
                yield {"prompt": turns[:-1], "completion": turns[-1:]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="directory or Hugging Face id of the base model")
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--profile", required=True, type=pathlib.Path, help="steering profile: which attributes, in which order")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="directory of the adapter")
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--steps", type=int, default=-1, help="instead of epochs")
    parser.add_argument("--batch", type=int, default=8, help="examples of each process and step")
    parser.add_argument("--max-tokens", type=int, default=2048)
    options = parser.parse_args()

    profile = json.loads(options.profile.read_text())
    order = [attribute["name"] for attribute in profile["attributes"]]
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    rows = list(examples(options.data, order, list(tokenizer.get_added_vocab())))
    if not rows:
        raise SystemExit(f"{options.data} has no answers to train on.")
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(options.model, dtype="auto"),
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(rows),
        peft_config=LoraConfig(
            task_type="CAUSAL_LM", r=options.rank, lora_alpha=2 * options.rank, target_modules="all-linear"
        ),
        args=SFTConfig(
            output_dir=str(options.out.with_name(options.out.name + "-checkpoints")),
            learning_rate=options.learning_rate,
            lr_scheduler_type="cosine",
            num_train_epochs=options.epochs,
            max_steps=options.steps,
            per_device_train_batch_size=options.batch,
            max_length=options.max_tokens,
            completion_only_loss=True,
            bf16=torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
            use_cpu=not torch.cuda.is_available(),
            report_to="none",
        ),
    )
    trainer.train()
    trainer.save_model(str(options.out))
    if trainer.is_world_process_zero():
        shutil.copyfile(options.profile, options.out / "profile.json")


if __name__ == "__main__":
    main()
