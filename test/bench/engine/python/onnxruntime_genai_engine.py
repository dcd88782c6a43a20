"""ONNX Runtime GenAI, on a graph of our own in its layout (engine/genai-model.ts)."""

import importlib.metadata
import time

import cells
import numpy
import onnxruntime_genai

onnxruntime_genai.disable_telemetry_events()


class Genai:
    def __init__(self, settings):
        self.model = onnxruntime_genai.Model(settings["model"])

    def generator(self, rows, length):
        parameters = onnxruntime_genai.GeneratorParams(self.model)
        # Below min_length no end token is drawn.
        parameters.set_search_options(batch_size=rows, do_sample=False, min_length=length, max_length=length)
        return onnxruntime_genai.Generator(self.model, parameters)

    def generate(self, prompts, tokens):
        generator = self.generator(len(prompts), len(prompts[0]) + tokens)
        generator.append_tokens(numpy.array(prompts, dtype=numpy.int32))
        times = []
        for _ in range(tokens):
            generator.generate_next_token()
            times.append(time.perf_counter())
        return [times] * len(prompts)

    def perplexity(self, tokens):
        generator = self.generator(1, len(tokens) + 1)
        log_probabilities = []
        # One token at a time: its graph returns the logits of the last one.
        for token, following in zip(tokens, tokens[1:]):
            generator.append_tokens(numpy.array([[token]], dtype=numpy.int32))
            logits = generator.get_logits().reshape(-1).astype(numpy.float64)
            peak = logits.max()
            log_probabilities.append(logits[following] - peak - numpy.log(numpy.exp(logits - peak).sum()))
        return cells.perplexity(log_probabilities)


cells.serve(
    Genai(cells.settings()),
    importlib.metadata.version("onnxruntime-genai"),
    f"onnxruntime {importlib.metadata.version('onnxruntime')}, GroupQueryAttention, shared key/value buffer, our int8 weights",
)
