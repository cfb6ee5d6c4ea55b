// Does to KV and the cache what the request's JSON body says, and answers with what they said.

async function shown(response) {
  if (response === undefined) return null;
  return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
}

const operations = {
  kv_get: ({ name }, env) => env.KEYS.get(name),
  kv_put: async ({ name, value }, env) => (await env.KEYS.put(name, value)) ?? null,
  kv_delete: async ({ name }, env) => (await env.KEYS.delete(name)) ?? null,
  async put({ cache, url, body, bytes, headers, stream }) {
    let content = bytes === undefined ? body : "x".repeat(bytes);
    if (stream) content = new Blob([content]).stream();
    await (await opened(cache)).put(url, new Response(content, { headers }));
    return null;
  },
  match: async ({ cache, url }) => shown(await (await opened(cache)).match(url)),
  status: async ({ cache, url }) => (await (await opened(cache)).match(url))?.status ?? null,
  delete: async ({ cache, url }) => (await opened(cache)).delete(url),
};

async function opened(name) {
  return name === undefined ? caches.default : await caches.open(name);
}

export default {
  async fetch(request, env) {
    const { op, ...rest } = await request.json();
    return Response.json(await operations[op](rest, env));
  },
};
