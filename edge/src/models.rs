//! `GET /v1/models`: the corpora that this key may ask, in OpenAI's shape. A key that names its corpora is
//! answered here; for one that may ask all of its tenant's, only an origin knows them.

use perigee_shared::caller::CorpusScope;
use perigee_shared::header::{CACHE_STATUS, EDGE_CACHE};
use perigee_shared::problem::Problem;
use serde_json::json;
use web_sys::Response;

use crate::admit::Admitted;
use crate::error::platform;
use crate::respond::{Head, JSON_TYPE};
use crate::visit::Visit;

/// `None`: ask an origin.
pub(crate) fn list_models(visit: &Visit, admitted: &Admitted) -> Option<Result<Response, Problem>> {
    let body = models_json(&admitted.caller.corpora)?;
    let response = Head::new(200)
        .with("content-type", JSON_TYPE)
        .with(CACHE_STATUS, format!("{EDGE_CACHE}; detail=key"))
        .signed_off(visit, None, 0)
        .respond(visit.content(&body));
    Some(response.map_err(|cause| platform("the list can't be sent", &cause)))
}

fn models_json(corpora: &CorpusScope) -> Option<String> {
    let CorpusScope::Only(names) = corpora else { return None };
    let data: Vec<_> = names
        .iter()
        .map(|name| json!({"id": name, "object": "model", "created": 0, "owned_by": "perigee"}))
        .collect();
    Some(json!({"object": "list", "data": data}).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lists_the_corpora_that_it_names_and_no_others() {
        let scope = |names: &[&str]| {
            CorpusScope::try_from(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap()
        };
        assert_eq!(models_json(&scope(&["*"])), None);
        assert_eq!(models_json(&scope(&[])).unwrap(), r#"{"data":[],"object":"list"}"#);
        assert_eq!(
            models_json(&scope(&["docs"])).unwrap(),
            r#"{"data":[{"created":0,"id":"docs","object":"model","owned_by":"perigee"}],"object":"list"}"#
        );
    }
}
