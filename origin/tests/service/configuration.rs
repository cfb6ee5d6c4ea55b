//! What the program says when it cannot start.

use std::net::TcpListener;

use tempfile::TempDir;
use tokio::process::Command;

use crate::stage::{TOKEN, perigee};

async fn refused(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().await.unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = refused(perigee().arg("serve").env("PERIGEE_LISTEN", &address)).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&address) && said.contains("the port is taken"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_is_named_and_no_secret_is_shown() {
    for (name, value, expected) in [
        ("PERIGEE_LISTEM", "127.0.0.1:0", "PERIGEE_LISTEM is not known"),
        ("PERIGEE_LISTEN", "everywhere", "PERIGEE_LISTEN must be an address"),
        ("PERIGEE_EDGE_SECRETS", "hunter2", "edge_secrets must have at least 32 characters"),
        ("PERIGEE_LIMITS_QUEUE_WAIT", "5", "must be a duration with its unit"),
        ("PERIGEE_LOG_FILTER", "a=b=c", "log.filter"),
    ] {
        let (code, said) = refused(perigee().arg("serve").env(name, value)).await;
        assert!(matches!(code, Some(1 | 2)), "{name}: {code:?} {said}");
        assert!(said.contains(expected), "{name}: {said}");
        assert!(!said.contains("hunter2") && !said.contains(TOKEN), "{said}");
    }
    let (_, said) = refused(perigee().arg("serve").env_remove("PERIGEE_OPERATOR_TOKEN")).await;
    assert!(said.contains("PERIGEE_EDGE_SECRETS, PERIGEE_OPERATOR_TOKEN"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_model_file_is_named_with_what_to_do() {
    let empty = TempDir::new().unwrap();
    let mut command = perigee();
    command.arg("serve").env("PERIGEE_LISTEN", "127.0.0.1:0").env("PERIGEE_MODEL_DIR", empty.path());
    let (code, said) = refused(command.env("PERIGEE_DATA_DIR", empty.path().join("data"))).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("model.onnx") && said.contains("restore the model's files"), "{said}");
}
