# Three isolates of the edge with one set of ledgers behind them, as three data centres would be: for tests of what holds
# across isolates. Everything else is as in perigee.capnp.

using Workerd = import "/workerd/workerd.capnp";
using Perigee = import "perigee.capnp";

const config :Workerd.Config = (
  services = [
    (name = "edge", worker = Perigee.edge),
    (name = "edge-2", worker = Perigee.edge),
    (name = "edge-3", worker = Perigee.edge),
    (name = "ledger", worker = Perigee.ledger),
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
    (name = "edge-2", address = "127.0.0.1:0", service = "edge-2", http = (cfBlobHeader = "CF-Blob")),
    (name = "edge-3", address = "127.0.0.1:0", service = "edge-3", http = (cfBlobHeader = "CF-Blob")),
    (name = "keys", address = "127.0.0.1:0", service = "keys", http = ()),
  ],
);
