"""Asks a server through OpenAI's client for Python, as its documentation says, and prints what came back as JSON."""

import json
import sys

import openai

base_url, api_key, extra = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
client = openai.OpenAI(base_url=base_url, api_key=api_key, max_retries=0)
messages = [{"role": "user", "content": "hello"}]
chat = {"model": "tiny", "messages": messages, "max_tokens": 20, "extra_body": extra}
asked = {"model": "tiny", "input": "hello", "max_output_tokens": 20, "extra_body": extra}


def failure(call):
    try:
        call()
    except openai.APIStatusError as error:
        return {"kind": type(error).__name__, "code": error.code, "param": error.param}
    return None


whole = client.chat.completions.create(**chat, n=2, logprobs=True, top_logprobs=1)
options = {"include_usage": True}
chunks = list(client.chat.completions.create(**chat, stream=True, stream_options=options))
response = client.responses.create(**asked, include=["message.output_text.logprobs"], top_logprobs=1)
events = list(client.responses.create(**asked, stream=True))
with client.responses.stream(**asked) as stream:
    helped = stream.until_done().get_final_response()

print(
    json.dumps(
        {
            "chat": {
                "texts": [choice.message.content for choice in whole.choices],
                "logprobs": [len(choice.logprobs.content) for choice in whole.choices],
                "tokens": whole.usage.completion_tokens,
                "steer": whole.steer["effective"],
            },
            "chunks": {
                "text": "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices),
                "tokens": chunks[-1].usage.completion_tokens,
            },
            "response": {
                "text": response.output_text,
                "status": response.status,
                "tokens": response.usage.output_tokens,
                "logprobs": len(response.output[0].content[0].logprobs),
                "steer": response.steer["effective"],
            },
            "events": {
                "text": "".join(event.delta for event in events if event.type == "response.output_text.delta"),
                "last": events[-1].type,
                "tokens": events[-1].response.usage.output_tokens,
            },
            "helped": helped.output_text,
            "failures": [
                failure(lambda: client.responses.create(**asked, background=True)),
                failure(lambda: client.chat.completions.create(**{**chat, "model": "gpt-4o"})),
            ],
        }
    )
)
