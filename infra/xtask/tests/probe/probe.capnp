# The services that stand in for KV and the cache, behind a worker that does what it is told.

using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "probe", worker = .probe),
    (name = "keys", worker = .keys),
    (name = "cache", worker = .cache),
  ],
  sockets = [
    (name = "probe", service = "probe", http = ()),
    (name = "keys", service = "keys", http = ()),
  ],
);

const probe :Workerd.Worker = (
  compatibilityDate = "2026-10-15",
  modules = [(name = "probe.js", esModule = embed "probe.js")],
  bindings = [(name = "KEYS", kvNamespace = "keys")],
  cacheApiOutbound = "cache",
);

const keys :Workerd.Worker = (
  compatibilityDate = "2026-10-15",
  modules = [(name = "keys.js", esModule = embed "../../../workerd/keys.js")],
  bindings = [(name = "SEED", fromEnvironment = "KEYS_SEED")],
);

const cache :Workerd.Worker = (
  compatibilityDate = "2026-10-15",
  modules = [(name = "cache.js", esModule = embed "../../../workerd/cache.js")],
);
