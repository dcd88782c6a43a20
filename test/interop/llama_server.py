"""Serves a GGUF file and a LoRA with llama.cpp's own HTTP server; prints its address, and stops when standard input is closed.

    llama_server.py MODEL.gguf LORA.gguf
"""

import os
import sys

import xllamacpp

model, lora = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = model
params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(lora, 1.0)]
params.port = 0
params.n_ctx = 512
params.n_parallel = 1
params.cpuparams.n_threads = 1
params.cache_prompt = False
# Keys and values as the others hold them; flash attention would compute in float16.
params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
params.cache_type_k = xllamacpp.ggml_type.GGML_TYPE_F32
params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
# Its threads would be waited for.
os._exit(0)
