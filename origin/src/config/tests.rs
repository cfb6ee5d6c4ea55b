//! What operators may rely on when they configure a server, and what they are told when they err.

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn load(file: &str, environment: &Environment) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("perigee.toml");
    std::fs::write(&path, file).unwrap();
    Config::load(Some(&path), environment).map_err(|error| {
        let shown = error.to_string();
        shown.replace(&*path.to_string_lossy(), "perigee.toml")
    })
}

fn refused(file: &str) -> String {
    load(file, &Environment::default()).unwrap_err()
}

fn refused_variable(name: &str, value: &str) -> String {
    load("", &Environment::of([(name, value)])).unwrap_err()
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    insta::assert_snapshot!(refused("listen = \"127.0.0.1:1\"\nlisten_on = 3\n").split(", expected").next().unwrap(), @"perigee.toml, line 2: unknown field `listen_on`");
    assert!(
        refused("[limits]\nconcurent_requests = 3\n").contains("line 2: unknown field `concurent_requests`")
    );
    assert!(refused("[upstream]\nbase_url = \"http://a\"\nmodel = \"m\"\nkey = \"x\"\n").contains("line 4"));
}

#[test]
fn a_wrong_value_is_refused_with_what_it_should_be() {
    insta::assert_snapshot!(refused("[limits]\nqueue_wait = \"8\"\n"), @r#"perigee.toml, line 2: invalid value: string "8", expected a duration"#);
    insta::assert_snapshot!(refused("listen = \"here\"\n"), @"perigee.toml, line 1: invalid socket address syntax");
    insta::assert_snapshot!(refused_variable("PERIGEE_LISTEN", "8080"), @"the environment variable PERIGEE_LISTEN must be an address and port such as 127.0.0.1:8080");
    insta::assert_snapshot!(refused_variable("PERIGEE_LIMITS_QUEUE_WAIT", "8"), @"the environment variable PERIGEE_LIMITS_QUEUE_WAIT must be a duration with its unit, such as 8s or 500ms");
    insta::assert_snapshot!(refused_variable("PERIGEE_LISTEM", "x"), @"the environment variable PERIGEE_LISTEM is not known; `perigee serve --help` lists those that are");
    insta::assert_snapshot!(refused_variable("PERIGEE_UPSTREAM_MODEL", "m"), @"upstream.base_url must be set along with upstream.model");
    insta::assert_snapshot!(refused_variable("PERIGEE_LIMITS_UPLOAD_BYTES", "33554431"), @"limits.upload_bytes must be at least 33554432");
    insta::assert_snapshot!(refused_variable("PERIGEE_LIMITS_CONNECTIONS", "0"), @"limits.connections must be at least 1");
    insta::assert_snapshot!(refused_variable("PERIGEE_LIMITS_UPLOAD_TIMEOUT", "0s"), @"limits.upload_timeout must be more than 0");
    insta::assert_snapshot!(refused_variable("PERIGEE_URL", "example.com"), @"client.url must be a URL such as https://api.openai.com/v1");
}

#[test]
fn a_secret_is_never_shown_whatever_is_wrong_with_it() {
    for file in [
        "operator_token = 1234567890",
        "operator_token = { a = \"hunter2hunter2\" }",
        "edge_secrets = [\"hunter2hunter2\"]",
        "operator_token = \"hunter2hunter2",
        "operator_token = \"hunter2hunter2\" x",
    ] {
        let message = refused(file);
        assert!(!message.contains("hunter2") && !message.contains("1234567890"), "{message}");
    }
    let config = load("", &Environment::of([("PERIGEE_OPERATOR_TOKEN", SECRET)])).unwrap();
    assert!(!format!("{config:?}").contains(SECRET));
}

#[test]
fn a_short_secret_and_a_third_one_are_refused() {
    insta::assert_snapshot!(refused_variable("PERIGEE_OPERATOR_TOKEN", "short"), @"operator_token must have at least 32 characters; `openssl rand -hex 32` makes a good one");
    let three = [SECRET; 3].join(",");
    insta::assert_snapshot!(refused_variable("PERIGEE_EDGE_SECRETS", &three), @"edge_secrets must be one secret, or two during a rotation");
}

#[test]
fn a_server_that_would_refuse_everybody_is_refused() {
    assert!(Config::default().check_for_serving().is_err());
}

#[test]
fn the_environment_goes_over_the_file() {
    let file = "listen = \"127.0.0.1:1\"\n[upstream]\nbase_url = \"http://a/v1\"\nmodel = \"m\"\nwhole_timeout = \"7s\"\n";
    let environment = Environment::of([
        ("PERIGEE_LISTEN", "127.0.0.1:2"),
        ("PERIGEE_UPSTREAM_MODEL", "n"),
        ("PERIGEE_EDGE_SECRETS", &[SECRET; 2].join(", ")),
    ]);
    let config = load(file, &environment).unwrap();
    assert_eq!(config.listen.port(), 2);
    let upstream = config.upstream().unwrap().unwrap();
    assert_eq!((upstream.model.as_str(), upstream.whole_timeout), ("n", Duration::from_secs(7)));
    assert_eq!(config.edge_secrets.len(), 2);
}

#[test]
fn answers_are_kept_as_configured() {
    let file = "[answers]\ncache_bytes = 1000\ncache_ttl = \"1h\"\nwhen_upstream_fails = \"refuse\"\n";
    let options = load(file, &Environment::default()).unwrap().answers.options();
    assert_eq!((options.cache_bytes_max.get(), options.cache_ttl), (1_000, Duration::from_secs(3_600)));
    assert_eq!(options.when_upstream_fails, WhenUpstreamFails::Refuse);
    let file = "[upstream]\nbase_url = \"http://a/v1\"\nmodel = \"m\"\n";
    let environment = Environment::of([("PERIGEE_UPSTREAM_TOKEN_LIMIT", "max_completion_tokens")]);
    let upstream = load(file, &environment).unwrap().upstream().unwrap().unwrap();
    assert_eq!(upstream.token_limit, TokenLimit::MaxCompletionTokens);
    insta::assert_snapshot!(refused_variable("PERIGEE_ANSWERS_CACHE_BYTES", "0"), @"the environment variable PERIGEE_ANSWERS_CACHE_BYTES must be a whole number, at least 1");
    insta::assert_snapshot!(refused_variable("PERIGEE_ANSWERS_WHEN_UPSTREAM_FAILS", "panic"), @"the environment variable PERIGEE_ANSWERS_WHEN_UPSTREAM_FAILS must be substitute or refuse");
}
