# Runs the bare worker in workerd, to measure the edge against.

using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "bare", worker = .bare)],
  sockets = [(name = "edge", address = "127.0.0.1:0", service = "bare", http = ())],
);

const bare :Workerd.Worker = (
  compatibilityDate = "2026-10-15",
  modules = [
    (name = "index.js", esModule = embed "bare-worker/build/index.js"),
    (name = "./index_bg.wasm", wasm = embed "bare-worker/build/index_bg.wasm"),
  ],
);
