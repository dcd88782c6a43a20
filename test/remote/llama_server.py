"""Serves a GGUF file with llama.cpp's own HTTP server; prints its address, and stops when standard input is closed."""

import os
import sys

import xllamacpp

model, alias = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = model
params.model_alias = {alias}
params.port = 0
params.n_ctx = 512
params.n_parallel = 2
params.kv_unified = True
params.cpuparams.n_threads = 1
params.endpoint_slots = True
# A prompt that is read in other pieces than before may give another token where two are nearly as likely.
params.cache_prompt = False

server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
# Its threads would be waited for.
os._exit(0)
