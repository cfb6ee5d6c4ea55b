# Runs the built worker in workerd, without wrangler and without an account: `cargo xtask dev`,
# the system tests and compose.yaml all use this one file.
#
# What differs between them comes from the environment (the names are those of wrangler.toml, and a
# test compares the two) and from `--socket-addr`:
#
#   workerd serve perigee.capnp --socket-addr edge=127.0.0.1:8787
#
# On Cloudflare, `keys` and `cache` are the platform's own KV and cache; here two small services
# stand in for them.

using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "edge", worker = .edge),
    (name = "ledger", worker = .ledger),
    (name = "keys", worker = .keys),
    (name = "cache", worker = .cache),
    (name = "ledgers", disk = (writable = true)),
    # Origins are often on private addresses (loopback in development, the compose network).
    (name = "internet", network = (
      allow = ["public", "private"],
      tlsOptions = (trustBrowserCas = true),
    )),
  ],
  sockets = [
    # CF-Blob carries `request.cf` as JSON, so that a test can ask from anywhere in the world.
    (name = "edge", address = "127.0.0.1:8787", service = "edge", http = (cfBlobHeader = "CF-Blob")),
    # For whoever runs this machine: PUT and DELETE /{name} change the key-value store. Never expose it.
    (name = "keys", address = "127.0.0.1:0", service = "keys", http = ()),
  ],
);

const edge :Workerd.Worker = (
  compatibilityDate = "2026-10-15",
  modules = .modules,
  bindings = .bindings,
  cacheApiOutbound = "cache",
);

# The tenants' ledgers: Durable Objects of the same code, in an isolate of their own, as on Cloudflare.
const ledger :Workerd.Worker = (
  compatibilityDate = "2026-10-15",
  modules = .modules,
  bindings = .bindings,
  durableObjectNamespaces = [
    (className = "Ledger", uniqueKey = "perigee-ledger-v1", enableSql = true),
  ],
  # One SQLite file each, in the directory that `--directory-path ledgers=PATH` names.
  durableObjectStorage = (localDisk = "ledgers"),
);

const modules :List(Workerd.Worker.Module) = [
  (name = "index.js", esModule = embed "../../edge/build/index.js"),
  (name = "./index_bg.wasm", wasm = embed "../../edge/build/index_bg.wasm"),
];

const bindings :List(Workerd.Worker.Binding) = [
  (name = "KEYS", kvNamespace = "keys"),
  (name = "LEDGER", durableObjectNamespace = (className = "Ledger", serviceName = "ledger")),
  (name = "ORIGINS", fromEnvironment = "ORIGINS"),
  (name = "ORIGIN_SECRET", fromEnvironment = "ORIGIN_SECRET"),
  (name = "EPOCH_STALENESS_S", fromEnvironment = "EPOCH_STALENESS_S"),
  (name = "EPOCH_REFRESH_S", fromEnvironment = "EPOCH_REFRESH_S"),
  (name = "KEY_CACHE_S", fromEnvironment = "KEY_CACHE_S"),
  (name = "KEY_SECRET", fromEnvironment = "KEY_SECRET"),
  (name = "ADMIN_SECRET", fromEnvironment = "ADMIN_SECRET"),
  (name = "QUOTAS", fromEnvironment = "QUOTAS"),
  (name = "TIERS", fromEnvironment = "TIERS"),
  (name = "TIER_DEFAULT", fromEnvironment = "TIER_DEFAULT"),
  (name = "CLIENT_ADDRESS_HEADER", fromEnvironment = "CLIENT_ADDRESS_HEADER"),
];

const keys :Workerd.Worker = (
  compatibilityDate = "2026-10-15",
  modules = [(name = "keys.js", esModule = embed "keys.js")],
  # JSON object: name -> value, both strings. What the store holds when it starts.
  bindings = [(name = "SEED", fromEnvironment = "KEYS_SEED")],
);

const cache :Workerd.Worker = (
  compatibilityDate = "2026-10-15",
  modules = [(name = "cache.js", esModule = embed "cache.js")],
);
