"""OpenAI's own SDK against an edge: what its users do, with nothing adapted for Perigee."""

import os

import openai

URL = os.environ["PERIGEE_URL"] + "/v1"
KEY = os.environ["PERIGEE_KEY"]
QUESTION = [{"role": "user", "content": "How long does a refund take?"}]


def main() -> None:
    client = openai.OpenAI(base_url=URL, api_key=KEY, max_retries=0)

    answer = client.chat.completions.create(model="docs", messages=QUESTION)
    message = answer.choices[0].message
    assert "five working days" in message.content, message
    assert message.annotations[0].type == "url_citation", message
    assert message.annotations[0].url_citation.title == "Refunds", message
    assert answer.usage.total_tokens > 0, answer

    stream = client.chat.completions.create(
        model="docs", messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == message.content, text
    assert chunks[-1].usage.total_tokens == answer.usage.total_tokens, chunks[-1]
    finished = [c for c in chunks if c.choices and c.choices[0].finish_reason == "stop"]
    assert finished[0].choices[0].delta.annotations, finished

    raw = client.chat.completions.with_raw_response.create(model="docs", messages=QUESTION)
    assert raw.headers["cache-status"] == "perigee-edge; hit; detail=exact", raw.headers

    assert [m.id for m in client.models.list()] == ["docs"]
    assert client.models.retrieve("docs").id == "docs"
    expect(openai.NotFoundError, lambda: client.models.retrieve("nothing"))

    expect(openai.NotFoundError, lambda: client.chat.completions.create(model="nothing", messages=QUESTION))
    expect(openai.BadRequestError, lambda: client.chat.completions.create(model="docs", messages=[]))
    expect(openai.BadRequestError, lambda: client.chat.completions.create(model="docs", messages=QUESTION, n=2))
    stranger = openai.OpenAI(base_url=URL, api_key="pgk_wrong", max_retries=0)
    expect(openai.AuthenticationError, lambda: stranger.chat.completions.create(model="docs", messages=QUESTION))


def expect(error: type[openai.APIStatusError], call) -> None:
    try:
        call()
    except error as raised:
        assert raised.message and raised.code, raised
    else:
        raise AssertionError(f"no {error.__name__}")


if __name__ == "__main__":
    main()
