//! `GET /v1/models` and `GET /v1/models/{id}`: the corpora that this key may ask, in OpenAI's shape. A key that names its
//! corpora is answered here; for one that may ask all of its tenant's, only an origin knows them.

use perigee_shared::caller::CorpusScope;
use perigee_shared::header::{CACHE_STATUS, EDGE_CACHE};
use perigee_shared::id::CorpusName;
use perigee_shared::problem::Problem;
use serde_json::{Value, json};
use web_sys::Response;

use crate::admit::Admitted;
use crate::error::platform;
use crate::respond::{Head, JSON_TYPE};
use crate::visit::Visit;

/// The list, or the one that is named; which the caller may ask. `None`: ask an origin.
pub(crate) fn show_models(
    visit: &Visit,
    admitted: &Admitted,
    named: Option<&CorpusName>,
) -> Option<Result<Response, Problem>> {
    let body = models_json(&admitted.caller.corpora, named)?;
    let response = Head::new(200)
        .with("content-type", JSON_TYPE)
        .with(CACHE_STATUS, format!("{EDGE_CACHE}; detail=key"))
        .signed_off(visit, None, 0)
        .respond(visit.content(&body));
    Some(response.map_err(|cause| platform("the list can't be sent", &cause)))
}

fn models_json(corpora: &CorpusScope, named: Option<&CorpusName>) -> Option<String> {
    let CorpusScope::Only(names) = corpora else { return None };
    let model = |name| json!({"id": name, "object": "model", "created": 0, "owned_by": "perigee"});
    let body = match named {
        Some(name) => model(name),
        None => json!({"object": "list", "data": names.iter().map(model).collect::<Vec<Value>>()}),
    };
    Some(body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lists_the_corpora_that_it_names_and_no_others() {
        let scope = |names: &[&str]| {
            CorpusScope::try_from(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap()
        };
        let docs = CorpusName::new("docs").unwrap();
        assert_eq!(models_json(&scope(&["*"]), None), None);
        assert_eq!(models_json(&scope(&["*"]), Some(&docs)), None);
        assert_eq!(models_json(&scope(&[]), None).unwrap(), r#"{"data":[],"object":"list"}"#);
        let model = r#"{"created":0,"id":"docs","object":"model","owned_by":"perigee"}"#;
        assert_eq!(
            models_json(&scope(&["docs"]), None).unwrap(),
            format!(r#"{{"data":[{model}],"object":"list"}}"#)
        );
        assert_eq!(models_json(&scope(&["docs"]), Some(&docs)).unwrap(), model);
    }
}
