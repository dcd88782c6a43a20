"""The real model in transformers and PEFT, on its GGUF file's weights as float32.

    peft_model.py make MODEL.gguf ADAPTER      saves a random LoRA with PEFT's default options, beside the rank
    peft_model.py answer MODEL.gguf ADAPTER    reads {"prompts": [[ids]], "count": n} from standard input; prints the logits after each
                                               prompt (base64 of float32) and the n tokens that follow greedily
"""

import base64
import json
import pathlib
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

command, model_path, adapter = sys.argv[1:]
model_path = pathlib.Path(model_path)
torch.set_num_threads(1)
base = AutoModelForCausalLM.from_pretrained(model_path.parent, gguf_file=model_path.name, dtype=torch.float32)

if command == "make":
    torch.manual_seed(3)
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # PEFT begins with B = 0, which would change nothing.
            if "lora_B" in name:
                parameter.normal_(0, 0.2)
    model.save_pretrained(adapter)
else:
    asked = json.load(sys.stdin)
    model = PeftModel.from_pretrained(base, adapter).eval()
    answers = []
    for prompt in asked["prompts"]:
        ids = torch.tensor([prompt])
        with torch.no_grad():
            logits = model(ids).logits[0, -1]
            tokens = model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=asked["count"], min_new_tokens=asked["count"],
                eos_token_id=None, pad_token_id=0,
            )[0, len(prompt):]
        answers.append({"logits": base64.b64encode(logits.numpy().tobytes()).decode(), "tokens": tokens.tolist()})
    json.dump(answers, sys.stdout)
