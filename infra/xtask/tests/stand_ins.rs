//! The services that stand in for Cloudflare's KV and cache do, for a worker in workerd, what the real
//! ones do.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::http;
use xtask::tools::node_packages;
use xtask::workerd::Workerd;
use xtask::workspace::Workspace;

const URL: &str = "https://cache.example/answer?of=7";

struct Probe {
    workerd: Workerd,
    _logs: TempDir,
}

impl Probe {
    fn start() -> Self {
        let workspace = Workspace::find().unwrap();
        assert!(node_packages::is_ready(&workspace), "run `cargo xtask setup` first: workerd is missing");
        let logs = tempfile::tempdir().unwrap();
        let mut command = Command::new(workspace.npm_bin("workerd"));
        command.env("KEYS_SEED", r#"{"key:a b/é":"seeded"}"#);
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probe/probe.capnp");
        let sockets = [("probe", 0), ("keys", 0)];
        let workerd =
            Workerd::start("the probe", command, &config, &sockets, &[], logs.path().join("probe.log"))
                .unwrap();
        Self { workerd, _logs: logs }
    }

    fn ask(&self, operation: Value) -> Value {
        let answer =
            http::request("POST", self.workerd.address("probe"), "/", &operation.to_string()).unwrap();
        assert_eq!(answer.status, 200, "{operation}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    fn put(&self, headers: Value) {
        self.ask(json!({ "op": "put", "url": URL, "body": "forty-two", "headers": headers }));
    }

    fn matched(&self) -> Value {
        self.ask(json!({ "op": "match", "url": URL }))
    }
}

#[test]
fn a_response_that_says_no_lifetime_or_is_private_is_not_kept() {
    let probe = Probe::start();
    for headers in [
        json!({}),
        json!({ "cache-control": "max-age=0" }),
        json!({ "cache-control": "no-store, max-age=60" }),
        json!({ "cache-control": "private, max-age=60" }),
        json!({ "cache-control": "s-maxage=0, max-age=60" }),
        json!({ "cache-control": "max-age=60", "set-cookie": "a=b" }),
    ] {
        probe.put(headers.clone());
        assert_eq!(probe.matched(), Value::Null, "{headers}");
    }
}

#[test]
fn a_response_is_matched_with_its_headers_until_it_is_deleted() {
    let probe = Probe::start();
    assert_eq!(probe.matched(), Value::Null);
    probe.put(json!({ "cache-control": "max-age=60", "x-kept": "yes" }));
    let found = probe.matched();
    assert_eq!(found["status"], 200);
    assert_eq!(found["body"], "forty-two");
    assert_eq!(found["headers"]["x-kept"], "yes");
    assert_eq!(found["headers"]["cf-cache-status"], "HIT");
    let delete = json!({ "op": "delete", "url": URL });
    assert_eq!(probe.ask(delete.clone()), true);
    assert_eq!(probe.ask(delete), false);
    assert_eq!(probe.matched(), Value::Null);
}

#[test]
fn a_streamed_response_is_kept_whole_and_one_that_is_too_large_not_at_all() {
    let probe = Probe::start();
    let put = |bytes: u32| {
        probe.ask(json!({ "op": "put", "url": URL, "bytes": bytes, "stream": true,
            "headers": { "cache-control": "max-age=60" } }));
    };
    put(100_000);
    assert_eq!(probe.matched()["body"].as_str().unwrap().len(), 100_000);
    let other = "https://cache.example/large";
    probe.ask(json!({ "op": "put", "url": other, "bytes": 9 << 20, "stream": true,
        "headers": { "cache-control": "max-age=60" } }));
    assert_eq!(probe.ask(json!({ "op": "match", "url": other })), Value::Null);
}

#[test]
fn caches_with_different_names_share_nothing() {
    let probe = Probe::start();
    probe.put(json!({ "cache-control": "max-age=60" }));
    assert_eq!(probe.ask(json!({ "op": "match", "url": URL, "cache": "other" })), Value::Null);
}

#[test]
fn when_the_cache_is_full_the_least_recently_used_leave_first() {
    let probe = Probe::start();
    let url = |number: u32| format!("https://cache.example/{number}");
    let put = |number: u32| {
        probe.ask(json!({ "op": "put", "url": url(number), "bytes": 7 << 20,
            "headers": { "cache-control": "max-age=60" } }));
    };
    let status = |number: u32| {
        // HEAD would do, but the cache API has none: match by URL and look at the status only.
        probe.ask(json!({ "op": "status", "url": url(number) }))
    };
    for number in 0..9 {
        put(number);
    }
    assert_eq!(status(0), 200, "nine of 7 MiB fit into 64 MiB");
    put(9);
    assert_eq!(status(0), 200, "it was used a moment ago");
    assert_eq!(status(1), Value::Null, "nobody asked for it");
}

#[test]
fn a_key_is_read_as_it_was_seeded_written_or_changed_from_outside() {
    let probe = Probe::start();
    let get = |name: &str| probe.ask(json!({ "op": "kv_get", "name": name }));
    assert_eq!(get("key:a b/é"), "seeded");
    assert_eq!(get("key:unknown"), Value::Null);

    probe.ask(json!({ "op": "kv_put", "name": "key:b", "value": "written" }));
    assert_eq!(get("key:b"), "written");
    probe.ask(json!({ "op": "kv_delete", "name": "key:b" }));
    assert_eq!(get("key:b"), Value::Null);

    let outside = probe.workerd.address("keys");
    assert_eq!(http::request("PUT", outside, "/key%3Ac", "changed").unwrap().status, 200);
    assert_eq!(get("key:c"), "changed");
    assert_eq!(http::request("PUT", outside, "/%ZZ", "x").unwrap().status, 400);
    assert_eq!(http::request("POST", outside, "/key%3Ac", "x").unwrap().status, 405);
}
