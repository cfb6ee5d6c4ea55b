# The edge as in infra/workerd/perigee.capnp, with faults that tests can call for: see faults.js.

using Workerd = import "/workerd/workerd.capnp";
using Perigee = import "../../infra/workerd/perigee.capnp";

const config :Workerd.Config = (
  services = [
    (name = "edge", worker = .edge),
    (name = "ledger", worker = .ledger),
    (name = "keys", worker = Perigee.keys),
    (name = "cache", worker = Perigee.cache),
    (name = "ledgers", disk = (writable = true)),
    (name = "internet", network = (
      allow = ["public", "private"],
      tlsOptions = (trustBrowserCas = true),
    )),
  ],
  sockets = [
    (name = "edge", address = "127.0.0.1:0", service = "edge", http = (cfBlobHeader = "CF-Blob")),
    (name = "keys", address = "127.0.0.1:0", service = "keys", http = ()),
  ],
);

const edge :Workerd.Worker = (
  compatibilityDate = "2026-10-15",
  modules = .modules,
  bindings = Perigee.bindings,
  cacheApiOutbound = "cache",
);

const ledger :Workerd.Worker = (
  compatibilityDate = "2026-10-15",
  modules = .modules,
  bindings = Perigee.bindings,
  durableObjectNamespaces = [
    (className = "Ledger", uniqueKey = "perigee-ledger-v1", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "ledgers"),
);

const modules :List(Workerd.Worker.Module) = [
  (name = "faults.js", esModule = embed "faults.js"),
  (name = "index.js", esModule = embed "../../edge/build/index.js"),
  (name = "./index_bg.wasm", wasm = embed "../../edge/build/index_bg.wasm"),
];
