// A data-centre cache in memory, speaking the protocol that workerd's cache API sends:
//   GET    the URL is the key; answers the stored response with `CF-Cache-Status: HIT`, else 504 and MISS
//   PUT    the body is a whole HTTP response as bytes: status line, headers, empty line, body
//   PURGE  200 when something was removed, else 404
//
// Responses live for their `s-maxage` or `max-age`; without one, or with `no-store`, `private` or
// `Set-Cookie`, they are refused (413), as Cloudflare's cache refuses them. The least recently used
// leave first when the cache is full. Ranges and conditional requests get the whole response.

const ENTRY_BYTES_MAX = 8 << 20;
const TOTAL_BYTES_MAX = 64 << 20;

/** key -> { status, headers: [name, value][], body: Uint8Array, storedAtMs, expiresAtMs }, oldest use first */
const entries = new Map();
let totalBytes = 0;

function keyOf(request) {
  const namespace = request.headers.get("CF-Cache-Namespace") ?? "";
  return `${namespace}\n${request.cf?.cacheKey ?? request.url}`;
}

function remove(key) {
  const entry = entries.get(key);
  if (entry === undefined) return false;
  entries.delete(key);
  totalBytes -= entry.body.byteLength;
  return true;
}

function match(key) {
  const entry = entries.get(key);
  if (entry === undefined || entry.expiresAtMs <= Date.now()) {
    remove(key);
    return new Response(null, { status: 504, headers: { "CF-Cache-Status": "MISS" } });
  }
  entries.delete(key);
  entries.set(key, entry);
  const headers = new Headers(entry.headers);
  headers.set("CF-Cache-Status", "HIT");
  headers.set("Age", String(Math.floor((Date.now() - entry.storedAtMs) / 1000)));
  const bodyless = entry.status === 204 || entry.status === 304;
  return new Response(bodyless ? null : entry.body, { status: entry.status, headers });
}

/** Reads at most `limit` bytes; null when there are more. */
async function readBounded(stream, limit) {
  const chunks = [];
  let length = 0;
  for await (const chunk of stream) {
    length += chunk.byteLength;
    if (length > limit) return null; // leaving the loop cancels the stream
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

/** Splits a serialised response; null when it is none. */
function parseResponse(bytes) {
  let end = 0;
  while (end + 3 < bytes.length && !(bytes[end] === 13 && bytes[end + 1] === 10 && bytes[end + 2] === 13 && bytes[end + 3] === 10)) end++;
  if (end + 3 >= bytes.length) return null;
  const [statusLine, ...lines] = new TextDecoder().decode(bytes.subarray(0, end)).split("\r\n");
  const status = Number(statusLine.split(" ")[1]);
  if (!Number.isInteger(status) || status < 200 || status > 599) return null;
  const headers = lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
  });
  return { status, headers, body: bytes.slice(end + 4) };
}

/** Seconds that a shared cache may keep the response; 0 when it may not keep it. */
function lifetimeSeconds(headers) {
  if (headers.some(([name]) => name === "set-cookie")) return 0;
  const directives = new Map();
  for (const [name, value] of headers) {
    if (name !== "cache-control") continue;
    for (const part of value.split(",")) {
      const [directive, argument] = part.trim().toLowerCase().split("=", 2);
      directives.set(directive, argument?.replaceAll('"', ""));
    }
  }
  if (["no-store", "private", "no-cache"].some((directive) => directives.has(directive))) return 0;
  const seconds = Number(directives.get("s-maxage") ?? directives.get("max-age") ?? 0);
  return Number.isFinite(seconds) ? seconds : 0;
}

async function put(key, request) {
  const refused = new Response(null, { status: 413 });
  const bytes = request.body === null ? null : await readBounded(request.body, ENTRY_BYTES_MAX);
  const response = bytes === null ? null : parseResponse(bytes);
  if (response === null) return refused;
  const lifetime = lifetimeSeconds(response.headers);
  if (lifetime <= 0) return refused;

  remove(key);
  const now = Date.now();
  entries.set(key, { ...response, storedAtMs: now, expiresAtMs: now + lifetime * 1000 });
  totalBytes += response.body.byteLength;
  for (const oldest of entries.keys()) {
    if (totalBytes <= TOTAL_BYTES_MAX) break;
    remove(oldest);
  }
  return new Response(null, { status: 204 });
}

export default {
  async fetch(request) {
    const key = keyOf(request);
    switch (request.method) {
      case "GET":
        return match(key);
      case "PUT":
        return put(key, request);
      case "PURGE":
        return new Response(null, { status: remove(key) ? 200 : 404 });
      default:
        return new Response(null, { status: 405 });
    }
  },
};
