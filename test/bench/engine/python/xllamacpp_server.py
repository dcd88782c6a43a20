"""llama.cpp's own HTTP server, from the wheel xllamacpp. Lives until its stdin ends."""

import importlib.metadata
import sys

import cells
import xllamacpp

settings = cells.settings()
parameters = xllamacpp.CommonParams()
parameters.model.path = settings["model"]
parameters.n_gpu_layers = 0
parameters.hostnames = ["127.0.0.1"]
parameters.port = 0
parameters.n_parallel = settings["rows"]
parameters.n_ctx = settings["rows"] * settings["rowTokens"]
parameters.cpuparams.n_threads = settings["threads"]
parameters.cpuparams_batch.n_threads = settings["threads"]
# No two prompts of the benchmark begin alike: keeping them would only cost time.
parameters.cache_ram_mib = 0
server = xllamacpp.Server(parameters)
cells.send(
    type="ready",
    version=importlib.metadata.version("xllamacpp"),
    detail=xllamacpp.get_system_info().strip(),
    url=server.listening_address,
)
sys.stdin.read()
