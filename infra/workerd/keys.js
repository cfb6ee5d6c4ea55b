// A key-value namespace in memory, speaking the protocol that workerd's KV binding sends:
// GET, PUT and DELETE on /{name}, with the name percent-encoded.
//
// It starts with what SEED holds and forgets every change when the process ends. It does not list,
// and unlike the real KV it is consistent at once: do not learn timing from it.

const VALUE_BYTES_MAX = 1 << 20;
const ENTRIES_MAX = 10_000;

/** name -> { value: ArrayBuffer | string, metadata: string | null, expiresAtMs: number } */
let entries;

function load(seed) {
  const initial = new Map();
  for (const [name, value] of Object.entries(JSON.parse(seed ?? "{}"))) {
    if (typeof value !== "string") throw new Error("KEYS_SEED: every value must be a string");
    initial.set(name, { value, metadata: null, expiresAtMs: Infinity });
  }
  return initial;
}

/** The name in the path; empty when there is none or it is badly encoded. */
function nameOf(url) {
  try {
    return decodeURIComponent(url.pathname.slice(1));
  } catch {
    return "";
  }
}

function expiryOf(url) {
  const ttlSeconds = Number(url.searchParams.get("expiration_ttl") ?? NaN);
  if (Number.isFinite(ttlSeconds)) return Date.now() + ttlSeconds * 1000;
  const atSeconds = Number(url.searchParams.get("expiration") ?? NaN);
  return Number.isFinite(atSeconds) ? atSeconds * 1000 : Infinity;
}

function get(name) {
  const entry = entries.get(name);
  if (entry === undefined || entry.expiresAtMs <= Date.now()) {
    entries.delete(name);
    return new Response(null, { status: 404 });
  }
  const headers = new Headers();
  if (entry.metadata !== null) headers.set("CF-KV-Metadata", entry.metadata);
  return new Response(entry.value, { headers });
}

async function put(name, request, url) {
  const value = await request.arrayBuffer();
  if (value.byteLength > VALUE_BYTES_MAX) return new Response("value too large", { status: 413 });
  if (entries.size >= ENTRIES_MAX && !entries.has(name)) {
    return new Response("the store is full", { status: 507 });
  }
  const metadata = request.headers.get("CF-KV-Metadata");
  entries.set(name, { value, metadata, expiresAtMs: expiryOf(url) });
  return new Response(null, { status: 200 });
}

export default {
  async fetch(request, env) {
    entries ??= load(env.SEED);
    const url = new URL(request.url);
    const name = nameOf(url);
    if (name === "") return new Response("name a key", { status: 400 });
    switch (request.method) {
      case "GET":
        return get(name);
      case "PUT":
        return put(name, request, url);
      case "DELETE":
        entries.delete(name);
        return new Response(null, { status: 200 });
      default:
        return new Response("GET, PUT or DELETE", { status: 405, headers: { Allow: "GET, PUT, DELETE" } });
    }
  },
};
