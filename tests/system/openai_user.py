"""OpenAI's own SDK on behalf of users: the token is a default header of a client, or an extra one of a request."""

import os

import openai

question = [{"role": "user", "content": "How long does a refund for staff take?"}]
edge = {"base_url": os.environ["PERIGEE_URL"] + "/v1", "api_key": os.environ["PERIGEE_KEY"], "max_retries": 0}
staff = {"Perigee-User": os.environ["PERIGEE_USER"]}

for client, extra in [(openai.OpenAI(**edge, default_headers=staff), None), (openai.OpenAI(**edge), staff)]:
    answer = client.chat.completions.create(model="docs", messages=question, extra_headers=extra)
    assert "one hour" in answer.choices[0].message.content, answer

stranger = openai.OpenAI(**edge, default_headers={"Perigee-User": staff["Perigee-User"][:-8]})
try:
    stranger.chat.completions.create(model="docs", messages=question)
    raise SystemExit("a truncated token was believed")
except openai.AuthenticationError as refused:
    assert refused.code == "invalid_user_token", refused
