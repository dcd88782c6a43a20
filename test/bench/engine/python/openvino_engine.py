"""OpenVINO GenAI, which reads the GGUF itself.

Its continuous batching pipeline serves one row as fast as its pipeline for single requests (91-103 against 87-95 tok/s on
AVX-512, on a machine that was not quiet), so it serves all cells.
"""

import importlib.metadata
import time

import cells
import numpy
import openvino
import openvino_genai


class OpenVino:
    def __init__(self, settings):
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.cache_size = 2
        scheduler.enable_prefix_caching = False
        # Every prompt of a cell at once.
        scheduler.max_num_batched_tokens = settings["rows"] * 256
        scheduler.max_num_seqs = settings["rows"]
        self.pipeline = openvino_genai.ContinuousBatchingPipeline(
            settings["model"], scheduler, "CPU", {"INFERENCE_NUM_THREADS": settings["threads"]}
        )
        self.count = 0

    def submit(self, prompt, **options):
        config = openvino_genai.GenerationConfig(do_sample=False, ignore_eos=True, **options)
        self.count += 1
        return self.pipeline.add_request(self.count, openvino.Tensor(numpy.array([prompt], dtype=numpy.int64)), config)

    def generate(self, prompts, tokens):
        handles = [self.submit(prompt, max_new_tokens=tokens) for prompt in prompts]
        rows = [[] for _ in handles]
        while self.pipeline.has_non_finished_requests():
            self.pipeline.step()
            now = time.perf_counter()
            for handle, times in zip(handles, rows):
                if handle.can_read():
                    for output in handle.read().values():
                        times.extend([now] * len(output.generated_ids))
        if any(len(times) != tokens for times in rows):
            raise RuntimeError(f"asked for {tokens} tokens a row, got {[len(times) for times in rows]}")
        return rows

    def perplexity(self, tokens):
        handle = self.submit(tokens, max_new_tokens=1, echo=True, logprobs=1)
        while self.pipeline.has_non_finished_requests():
            self.pipeline.step()
        [output] = handle.read_all()
        return cells.perplexity(output.generated_log_probs[1 : len(tokens)])


cells.serve(
    OpenVino(cells.settings()),
    importlib.metadata.version("openvino-genai"),
    "GGUF read by OpenVINO, continuous batching pipeline, its default precisions",
)
