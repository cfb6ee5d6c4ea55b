//! The images, compose.yaml and the Kubernetes manifest say what the project says: every path, port,
//! variable and version in them is one that the build and the programs use. No engine is needed.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail as tests do")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use xtask::tools::onnxruntime;
use xtask::workspace::Workspace;
use xtask::{origin, worker};

/// Set in the edge's container or by whoever runs it, and read by `perigee.capnp`.
const EDGE_SECRETS_AND_SEED: [&str; 4] = ["ORIGIN_SECRET", "KEY_SECRET", "ADMIN_SECRET", "KEYS_SEED"];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap()
}

/// One instruction of a Containerfile with its continuation lines joined.
fn instructions(path: &str) -> Vec<(String, String)> {
    let joined = read(path).replace("\\\n", " ");
    joined
        .lines()
        .filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            let (instruction, rest) = line.split_once(' ').unwrap();
            (instruction.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect()
}

fn all<'a>(instructions: &'a [(String, String)], wanted: &str) -> Vec<&'a str> {
    instructions.iter().filter(|(name, _)| name == wanted).map(|(_, rest)| rest.as_str()).collect()
}

/// Sources of `COPY --from=build /perigee/…`, relative to the root.
fn copied_from_the_build(instructions: &[(String, String)]) -> Vec<String> {
    all(instructions, "COPY")
        .iter()
        .filter_map(|rest| rest.strip_prefix("--from=build /perigee/"))
        .map(|rest| rest.split(' ').next().unwrap().to_owned())
        .collect()
}

/// The names that `fromEnvironment` in perigee.capnp reads.
fn edge_environment() -> BTreeSet<String> {
    read("infra/workerd/perigee.capnp")
        .split("fromEnvironment = \"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_image_of_the_origin_builds_what_developers_build() {
    let file = instructions("infra/container/Containerfile");
    let build = format!("cargo {} --release --locked", origin::BUILD.join(" "));
    assert!(all(&file, "RUN").contains(&build.as_str()), "no `{build}`");
    let binary = origin::binary(Path::new("target"), origin::Profile::Release);
    let workspace = Workspace::find().unwrap();
    let model = origin::model_dir(&workspace);
    let model = model.strip_prefix(workspace.root()).unwrap();
    let copied = copied_from_the_build(&file);
    assert_eq!(copied, [model.to_str().unwrap(), binary.to_str().unwrap()]);
    assert!(origin::model_dir(&workspace).join("model.onnx").exists());
}

#[test]
fn the_image_of_the_origin_takes_the_onnx_runtime_that_the_tests_ran_with() {
    let file = instructions("infra/container/Containerfile");
    let download = format!(
        "--python-version {} --dest /wheel onnxruntime=={} ",
        onnxruntime::CPYTHON,
        onnxruntime::VERSION
    );
    assert!(all(&file, "RUN").iter().any(|run| run.contains(&download)), "no `{download}`");
}

#[test]
fn the_images_build_with_the_toolchain_that_the_project_asks_for() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let version = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    for path in ["infra/container/Containerfile", "infra/container/edge.Containerfile"] {
        let file = instructions(path);
        let from = format!("rust:{version}.0-bookworm AS build");
        assert!(all(&file, "FROM").contains(&from.as_str()), "{path}: no `{from}`");
        assert!(all(&file, "ENV").contains(&format!("RUSTUP_TOOLCHAIN={version}.0").as_str()), "{path}");
    }
}

#[test]
fn every_path_that_the_image_of_the_origin_names_is_one_it_copied() {
    let file = instructions("infra/container/Containerfile");
    let copies = all(&file, "COPY");
    let settings = all(&file, "ENV").join(" ");
    for (name, path) in settings.split_whitespace().filter_map(|setting| setting.split_once('=')) {
        if name == "ORT_DYLIB_PATH" || name == "PERIGEE_MODEL_DIR" {
            assert!(copies.iter().any(|copy| copy.ends_with(path)), "{name}={path} is copied from nowhere");
        }
    }
    assert_eq!(all(&file, "USER"), ["10001"]);
    assert_eq!(all(&file, "EXPOSE"), ["8080"]);
    assert!(settings.contains("PERIGEE_LISTEN=0.0.0.0:8080"));
    assert!(settings.contains("PERIGEE_DATA_DIR=/data"));
    assert_eq!(all(&file, "VOLUME"), ["/data"]);
}

#[test]
fn the_image_of_the_edge_holds_every_file_that_workerd_is_told_to_load() {
    let file = instructions("infra/container/edge.Containerfile");
    assert!(all(&file, "RUN").contains(&"cargo xtask worker"));
    let copied = copied_from_the_build(&file);
    let workspace = Workspace::find().unwrap();
    let entry = worker::entry(&workspace);
    let built = entry.parent().unwrap().strip_prefix(workspace.root()).unwrap();
    assert_eq!(copied, [built.to_str().unwrap(), "infra/workerd", "node_modules/workerd/bin/workerd"]);
    for embedded in read("infra/workerd/perigee.capnp").split("embed \"").skip(1) {
        let path = embedded.split('"').next().unwrap();
        let inside = Path::new("infra/workerd").join(path);
        let inside = inside.to_str().unwrap().replace("infra/workerd/../../", "");
        assert!(copied.iter().any(|copy| inside.starts_with(copy.as_str())), "{path} is not in the image");
        if inside.starts_with("infra/") {
            assert!(workspace.root().join(&inside).exists(), "{inside}");
        }
    }
}

#[test]
fn wrangler_and_workerd_give_the_worker_the_same_variables() {
    let workspace = Workspace::find().unwrap();
    let mut deployed: BTreeSet<String> = worker::default_vars(&workspace).unwrap().into_keys().collect();
    // Secrets are not in wrangler.toml, and the seed is for the stand-in of KV.
    deployed.extend(EDGE_SECRETS_AND_SEED.map(str::to_owned));
    assert_eq!(edge_environment(), deployed);
}

#[test]
fn wrangler_and_workerd_agree_on_the_compatibility_date_and_the_entry() {
    let workspace = Workspace::find().unwrap();
    let wrangler: toml::Table = read("wrangler.toml").parse().unwrap();
    let date = wrangler["compatibility_date"].as_str().unwrap();
    let capnp = read("infra/workerd/perigee.capnp");
    assert!(capnp.contains(&format!("compatibilityDate = \"{date}\"")));
    assert_eq!(workspace.root().join(wrangler["main"].as_str().unwrap()), worker::entry(&workspace));
}

#[test]
fn compose_gives_both_halves_what_they_need_and_the_same_secret() {
    let compose = yaml("infra/compose.yaml");
    let services = &compose["services"];
    for (name, path) in
        [("origin", "infra/container/Containerfile"), ("edge", "infra/container/edge.Containerfile")]
    {
        assert_eq!(services[name]["build"]["context"], "..");
        assert_eq!(services[name]["build"]["dockerfile"], path);
        read(path);
    }
    let edge: BTreeSet<String> =
        services["edge"]["environment"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(edge, edge_environment());
    assert_eq!(
        services["edge"]["environment"]["ORIGIN_SECRET"],
        services["origin"]["environment"]["PERIGEE_EDGE_SECRETS"]
    );
    let origins: Vec<perigee_shared::region::Origin> =
        serde_json::from_str(services["edge"]["environment"]["ORIGINS"].as_str().unwrap()).unwrap();
    assert_eq!(origins[0].url, "http://origin:8080");
    let volume = services["origin"]["volumes"][0].as_str().unwrap();
    let (volume, mounted_at) = volume.split_once(':').unwrap();
    assert!(compose["volumes"].as_object().unwrap().contains_key(volume));
    assert_eq!(mounted_at, "/data");
}

#[test]
fn kubernetes_runs_the_image_as_it_was_built() {
    let text = read("infra/kubernetes/origin.yaml");
    let (service, set) = text.split_once("\n---\n").unwrap();
    let service: Value = serde_saphyr::from_str(service).unwrap();
    let set: Value = serde_saphyr::from_str(set).unwrap();
    let pod = &set["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["ports"][0]["containerPort"], 8080);
    assert_eq!(service["spec"]["ports"][0]["targetPort"], container["ports"][0]["name"]);
    assert_eq!(service["spec"]["selector"], set["spec"]["selector"]["matchLabels"]);
    assert_eq!(pod["securityContext"]["runAsUser"], 10001);
    assert_eq!(container["volumeMounts"][0]["mountPath"], "/data");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz");
    let compose = yaml("infra/compose.yaml");
    let wanted: BTreeSet<&String> =
        compose["services"]["origin"]["environment"].as_object().unwrap().keys().collect();
    let names: Vec<String> = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variable| variable["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>(), wanted);
    // SIGTERM comes after the pause before it; the rest of the grace is for draining.
    assert_eq!(pod["terminationGracePeriodSeconds"], 40);
}
