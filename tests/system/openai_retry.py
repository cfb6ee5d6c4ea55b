"""OpenAI's own SDK at a limit: its built-in retry comes back when the edge said, and no question is lost.

At so small a limit it may be refused once more when it comes back: what an isolate has spent reaches the ledger up to two
seconds late."""

import os
import time

import openai

# When each response arrived and each request left, and how long a refusal told to wait.
responses: list[tuple[int, float, float]] = []
requests: list[float] = []


def note_request(_) -> None:
    requests.append(time.monotonic())


def note_response(response) -> None:
    told_s = int(response.headers.get("retry-after-ms", "0")) / 1000
    responses.append((response.status_code, time.monotonic(), told_s))


client = openai.OpenAI(
    base_url=os.environ["PERIGEE_URL"] + "/v1",
    api_key=os.environ["PERIGEE_KEY"],
    max_retries=2,
    http_client=openai.DefaultHttpxClient(event_hooks={"request": [note_request], "response": [note_response]}),
)
question = [{"role": "user", "content": "How long does a refund take?"}]

# One request a second: the next ones have to wait, and none may fail.
for _ in range(4):
    client.chat.completions.create(model="docs", messages=question)

refusals = [at for at, (status, _, _) in enumerate(responses) if status == 429]
assert refusals, "nothing was ever refused"
for at in refusals:
    _, arrived, told_s = responses[at]
    assert 0 < told_s <= 60, responses
    waited_s = requests[at + 1] - arrived
    assert waited_s >= told_s, f"it came back after {waited_s} s, before the {told_s} s that it was told"
