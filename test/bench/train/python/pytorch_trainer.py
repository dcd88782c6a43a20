"""PyTorch with transformers and PEFT: LoRA on the seven linear layers, float32, the loss of wanted tokens only."""

import importlib.metadata
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "engine" / "python"))

import cells
import peft
import torch
import transformers
from torch.nn.functional import cross_entropy, softplus

MEASURED = ("torch", "transformers", "peft")


def whole_rows(batch):
    """Every reply with all that precedes it: PyTorch's attention has no rows that share a beginning."""
    for row in batch["rows"]:
        yield row["tokens"], row["weights"], row["inReply"]
        for other in row.get("alternatives", []):
            given = [0] * other["fork"]
            yield row["tokens"][: other["fork"]] + other["tokens"], given + other["weights"], given + other["inReply"]


class Batch:
    """Token ids padded to the longest row, and the tokens whose log-probabilities the loss is made of."""

    def __init__(self, batch):
        rows = list(whole_rows(batch))
        longest = max(len(tokens) for tokens, _, _ in rows)
        scored = [
            (row * longest + place - 1, tokens[place], weights[place], row, place)
            for row, (tokens, weights, in_reply) in enumerate(rows)
            for place in range(1, len(tokens))
            if weights[place] != 0 or in_reply[place]
        ]
        self.replies = len(rows)
        self.ids = torch.tensor([tokens + [0] * (longest - len(tokens)) for tokens, _, _ in rows])
        self.wanted, self.targets, self.weights, self.reply, _ = map(torch.tensor, zip(*scored))
        self.in_reply = torch.tensor([float(rows[row][2][place]) for _, _, _, row, place in scored])
        self.own = torch.tensor([pair["own"] for pair in batch["pairs"]], dtype=torch.long)
        self.other = torch.tensor([pair["other"] for pair in batch["pairs"]], dtype=torch.long)
        self.pair_weights = torch.tensor([pair["weight"] for pair in batch["pairs"]], dtype=torch.float32)


class Trainer:
    def __init__(self, settings):
        torch.set_num_threads(settings["threads"])
        base = transformers.AutoModelForCausalLM.from_pretrained(
            settings["model"], dtype=torch.float32, attn_implementation="sdpa", use_cache=False
        )
        model = peft.PeftModel.from_pretrained(base, settings["adapter"], is_trainable=True).train()
        self.decoder = model.base_model.model.model
        self.head = model.base_model.model.lm_head
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimiser = settings["optimiser"]
        self.clip = optimiser["clip"]
        self.optimiser = torch.optim.AdamW(
            self.parameters,
            lr=optimiser["learningRate"],
            betas=(optimiser["beta1"], optimiser["beta2"]),
            eps=optimiser["epsilon"],
            weight_decay=optimiser["weightDecay"],
            fused=True,
        )

    def loss(self, batch):
        # Padding is on the right, so causal attention alone keeps it out of every wanted token, without a mask to add.
        hidden = self.decoder(input_ids=batch.ids).last_hidden_state
        logits = self.head(hidden.flatten(0, 1)[batch.wanted])
        logprobs = -cross_entropy(logits, batch.targets, reduction="none")
        likelihood = -(batch.weights * logprobs).sum()
        if len(batch.own) == 0:
            return likelihood
        replies = torch.zeros(batch.replies).index_add(0, batch.reply, batch.in_reply * logprobs)
        margins = replies[batch.own] - replies[batch.other]
        return likelihood + (batch.pair_weights * softplus(-0.5 * margins)).sum()

    def step(self, batch):
        loss = self.loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return loss.item()

    def answer(self, request):
        batch = Batch(request["batch"])
        began = time.perf_counter()
        losses = [self.step(batch) for _ in range(request["steps"])]
        return time.perf_counter() - began if request["kind"] == "seconds" else losses[-1]


cells.answer_requests(
    Trainer(cells.settings()).answer,
    ", ".join(f"{name} {importlib.metadata.version(name)}" for name in MEASURED),
    f"float32, sdpa, eager, {torch.backends.cpu.get_cpu_capability()}",
)
