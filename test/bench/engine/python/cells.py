"""The benchmark's line protocol (engine/protocol.ts) for engines that are reached from Python."""

import json
import math
import sys
import time
import traceback

MARK = "@attune-bench "


def send(**reply):
    print(MARK + json.dumps(reply), flush=True)


def settings():
    return json.loads(sys.argv[1])


def decode_rate(rows):
    """As engine/decode-window.ts; times in seconds."""
    begin = max(times[0] for times in rows)
    end = min(times[-1] for times in rows)
    return sum(1 for times in rows for at in times if begin < at <= end) / (end - begin)


def perplexity(log_probabilities):
    return math.exp(-sum(log_probabilities) / len(log_probabilities))


def answer_requests(compute, version, detail):
    """Answers each request, a line of JSON, with the number that `compute` makes of it, until stdin ends."""
    send(type="ready", version=version, detail=detail)
    for line in sys.stdin:
        try:
            send(type="result", value=compute(json.loads(line)))
        except Exception as error:  # whatever a peer throws is part of the report
            traceback.print_exc()
            send(type="failed", reason=f"{type(error).__name__}: {error}")


def serve(engine, version, detail):
    """`engine` has generate(prompts, tokens): the seconds at which each row's tokens came; and perhaps perplexity(tokens)."""

    def compute(request):
        if request["kind"] == "prefill":
            began = time.perf_counter()
            rows = engine.generate([request["prompt"]], 1)
            return len(request["prompt"]) / (rows[0][0] - began)
        if request["kind"] == "decode":
            return decode_rate(engine.generate(request["prompts"], request["steps"] + 1))
        if not hasattr(engine, "perplexity"):
            raise RuntimeError("its interface shows no probabilities")
        return engine.perplexity(request["tokens"])

    answer_requests(compute, version, detail)
