"""OpenAI's own SDK at a limit: its built-in retry waits as long as the edge says, and no longer."""

import os
import time

import openai

client = openai.OpenAI(base_url=os.environ["PERIGEE_URL"] + "/v1", api_key=os.environ["PERIGEE_KEY"], max_retries=3)
question = [{"role": "user", "content": "How long does a refund take?"}]

# One request a second: the next ones have to wait, and none may fail.
began = time.monotonic()
retries = 0
for _ in range(3):
    raw = client.chat.completions.with_raw_response.create(model="docs", messages=question)
    retries += raw.retries_taken
took = time.monotonic() - began
assert retries > 0, "nothing was ever refused"
assert took > 1.0, took
