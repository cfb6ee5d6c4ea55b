//! Which route refuses with what: OpenAI's error shape on its routes, problem details on all others.
#![expect(dead_code, reason = "only their schemas are used")]

use utoipa::{IntoResponses, ToSchema};

use crate::problem::ProblemDetails;

/// OpenAI's error shape.
#[derive(ToSchema)]
pub(super) struct OpenAiError {
    error: OpenAiErrorDetail,
}

#[derive(ToSchema)]
struct OpenAiErrorDetail {
    message: String,
    /// `authentication_error`, `permission_error`, `rate_limit_error`, `invalid_request_error` or `server_error`.
    r#type: String,
    /// The field at fault.
    param: Option<String>,
    /// A `ProblemKind`; but `model_not_found`, as OpenAI has it, where there is no such corpus.
    code: String,
}

/// Makes a set of refusals. The statuses and what they mean are the same everywhere; which of them a route can answer
/// with is its own.
macro_rules! refusals {
    ($set:ident, $shape:ident, $content_type:literal: $($name:ident $status:literal $meaning:literal,)+) => {
        #[derive(IntoResponses)]
        pub(super) enum $set {
            $(
                #[response(status = $status, description = $meaning, content_type = $content_type)]
                $name($shape),
            )+
        }
    };
}

refusals!(ChatRefusals, OpenAiError, "application/json":
    Invalid 400 "The request is no question: broken JSON, wrong types, no or too long a question, a bad header.",
    Key 401 "There is no key, or nobody holds it; or no user's token that is believed.",
    Spent 402 "The month's budget is spent.",
    Scope 403 "The key lacks the scope `ask`.",
    Absent 404 "There is no such model for this key.",
    Slow 408 "The body came too slowly.",
    TooLarge 413 "The body is too large.",
    Limit 429 "A limit is reached: the message names it, `Retry-After` says when it is not.",
    Internal 500 "Something broke on our side.",
    Upstream 502 "The model server failed.",
    Busy 503 "Busy, not ready, no origin, no keys of the users' issuer, or the epoch has not arrived; `Retry-After` says when to come back.",
    Late 504 "The deadline passed; or nothing is cached and only that was asked for.",
);

refusals!(ModelRefusals, OpenAiError, "application/json":
    Invalid 400 "There is a user's token, and the tenant takes none.",
    Key 401 "There is no key, or nobody holds it; or no user's token that is believed.",
    Spent 402 "The month's budget is spent.",
    Scope 403 "The key lacks the scope.",
    Limit 429 "A limit is reached: the detail names it, `Retry-After` says when it is not.",
    Internal 500 "Something broke on our side.",
    Busy 503 "Busy, not ready, no origin, or no keys of the users' issuer; `Retry-After` says when to come back.",
    Late 504 "The deadline passed.",
);

refusals!(NamedModelRefusals, OpenAiError, "application/json":
    Invalid 400 "There is a user's token, and the tenant takes none.",
    Key 401 "There is no key, or nobody holds it; or no user's token that is believed.",
    Spent 402 "The month's budget is spent.",
    Scope 403 "The key lacks the scope.",
    Absent 404 "There is no such model for this key.",
    Limit 429 "A limit is reached: the detail names it, `Retry-After` says when it is not.",
    Internal 500 "Something broke on our side.",
    Busy 503 "Busy, not ready, no origin, or no keys of the users' issuer; `Retry-After` says when to come back.",
    Late 504 "The deadline passed.",
);

refusals!(CorporaRefusals, ProblemDetails, "application/problem+json":
    Invalid 400 "There is a user's token, and the tenant takes none.",
    Key 401 "There is no key, or nobody holds it; or no user's token that is believed.",
    Spent 402 "The month's budget is spent.",
    Scope 403 "The key lacks the scope `read`.",
    Limit 429 "A limit is reached: the detail names it, `Retry-After` says when it is not.",
    Internal 500 "Something broke on our side.",
    Busy 503 "Busy, not ready, no origin, or no keys of the users' issuer; `Retry-After` says when to come back.",
    Late 504 "The deadline passed.",
);

refusals!(SearchRefusals, ProblemDetails, "application/problem+json":
    Invalid 400 "The request is no search: broken JSON, wrong types, unknown fields, a bad filter or header.",
    Key 401 "There is no key, or nobody holds it; or no user's token that is believed.",
    Spent 402 "The month's budget is spent.",
    Scope 403 "The key lacks the scope `search`.",
    Absent 404 "There is no such corpus for this key.",
    Slow 408 "The body came too slowly.",
    TooLarge 413 "The body is too large.",
    Limit 429 "A limit is reached: the detail names it, `Retry-After` says when it is not.",
    Internal 500 "Something broke on our side.",
    Busy 503 "Busy, not ready, no origin, no keys of the users' issuer, or the epoch has not arrived; `Retry-After` says when to come back.",
    Late 504 "The deadline passed.",
);

refusals!(CreateRefusals, ProblemDetails, "application/problem+json":
    Invalid 400 "The name is not valid.",
    Key 401 "There is no key, or nobody holds it; or no user's token that is believed.",
    Spent 402 "The month's budget is spent.",
    Scope 403 "The key lacks the scope `write`.",
    Absent 404 "The key may not name this corpus.",
    Slow 408 "The body came too slowly.",
    Exists 409 "A corpus of this name exists.",
    TooLarge 413 "The body is too large.",
    MediaType 415 "The body is not JSON.",
    Limit 429 "A limit is reached: the detail names it, `Retry-After` says when it is not.",
    Internal 500 "Something broke on our side.",
    Busy 503 "Busy, not ready, no origin, or no keys of the users' issuer; `Retry-After` says when to come back.",
    Late 504 "The deadline passed.",
    Full 507 "The storage is full.",
);

refusals!(ChangeRefusals, ProblemDetails, "application/problem+json":
    Invalid 400 "The tolerance is not valid, or something else is named.",
    Key 401 "There is no key, or nobody holds it.",
    Spent 402 "The month's budget is spent.",
    Scope 403 "The key lacks the scope `write`.",
    Absent 404 "There is no such corpus for this key.",
    Slow 408 "The body came too slowly.",
    TooLarge 413 "The body is too large.",
    Limit 429 "A limit is reached: the detail names it, `Retry-After` says when it is not.",
    Internal 500 "Something broke on our side.",
    Busy 503 "Busy, not ready or no origin; `Retry-After` says when to come back.",
    Late 504 "The deadline passed.",
    Full 507 "The storage is full.",
);

refusals!(CorpusRefusals, ProblemDetails, "application/problem+json":
    Invalid 400 "There is a user's token, and the tenant takes none.",
    Key 401 "There is no key, or nobody holds it; or no user's token that is believed.",
    Spent 402 "The month's budget is spent.",
    Scope 403 "The key lacks the scope.",
    Absent 404 "There is no such corpus for this key.",
    Limit 429 "A limit is reached: the detail names it, `Retry-After` says when it is not.",
    Internal 500 "Something broke on our side.",
    Busy 503 "Busy, not ready, no origin, or no keys of the users' issuer; `Retry-After` says when to come back.",
    Late 504 "The deadline passed.",
);

refusals!(ListRefusals, ProblemDetails, "application/problem+json":
    Invalid 400 "The limit or the cursor is not valid.",
    Key 401 "There is no key, or nobody holds it; or no user's token that is believed.",
    Spent 402 "The month's budget is spent.",
    Scope 403 "The key lacks the scope `read`.",
    Absent 404 "There is no such corpus for this key.",
    Limit 429 "A limit is reached: the detail names it, `Retry-After` says when it is not.",
    Internal 500 "Something broke on our side.",
    Busy 503 "Busy, not ready, no origin, or no keys of the users' issuer; `Retry-After` says when to come back.",
    Late 504 "The deadline passed.",
);

refusals!(DocumentRefusals, ProblemDetails, "application/problem+json":
    Invalid 400 "The id is not valid.",
    Key 401 "There is no key, or nobody holds it; or no user's token that is believed.",
    Spent 402 "The month's budget is spent.",
    Scope 403 "The key lacks the scope.",
    Absent 404 "There is no such corpus or document for this key.",
    Limit 429 "A limit is reached: the detail names it, `Retry-After` says when it is not.",
    Internal 500 "Something broke on our side.",
    Busy 503 "Busy, not ready, no origin, or no keys of the users' issuer; `Retry-After` says when to come back.",
    Late 504 "The deadline passed.",
    Full 507 "The storage is full.",
);

refusals!(WriteRefusals, ProblemDetails, "application/problem+json":
    Invalid 400 "The id or a field is not valid.",
    Key 401 "There is no key, or nobody holds it; or no user's token that is believed.",
    Spent 402 "The month's budget is spent.",
    Scope 403 "The key lacks the scope `write`.",
    Absent 404 "There is no such corpus for this key.",
    Slow 408 "The body came too slowly.",
    TooLarge 413 "The body or the document is too large.",
    MediaType 415 "The body is not JSON.",
    Unreadable 422 "The content can't be read.",
    Limit 429 "A limit is reached: the detail names it, `Retry-After` says when it is not.",
    Internal 500 "Something broke on our side.",
    Busy 503 "Busy, not ready, no origin, or no keys of the users' issuer; `Retry-After` says when to come back.",
    Late 504 "The deadline passed.",
    Full 507 "The storage is full.",
);

refusals!(UploadRefusals, ProblemDetails, "application/problem+json":
    Invalid 400 "The body breaks off, or its description of the files is not valid.",
    Key 401 "There is no key, or nobody holds it; or no user's token that is believed.",
    Spent 402 "The month's budget is spent.",
    Scope 403 "The key lacks the scope `write`.",
    Absent 404 "There is no such corpus for this key.",
    Slow 408 "The body came too slowly.",
    TooLarge 413 "The body is too large.",
    MediaType 415 "The body is of another type.",
    Unreadable 422 "There is one file, and it can't be read.",
    Limit 429 "A limit is reached: the detail names it, `Retry-After` says when it is not.",
    Internal 500 "Something broke on our side.",
    Busy 503 "Busy, not ready, no origin, or no keys of the users' issuer; `Retry-After` says when to come back.",
    Late 504 "The deadline passed.",
    Full 507 "The storage is full.",
);

refusals!(UsageRefusals, ProblemDetails, "application/problem+json":
    Invalid 400 "There is a user's token, and the tenant takes none.",
    Key 401 "There is no key, or nobody holds it; or no user's token that is believed.",
    Scope 403 "The key is publishable, or may not be used on this site.",
    Internal 500 "Something broke on our side.",
    Busy 503 "The ledger can't be reached, or the users' issuer; `Retry-After` says when to come back.",
);

refusals!(AdminRefusals, ProblemDetails, "application/problem+json":
    Invalid 400 "The request is not valid; the detail says why.",
    Key 401 "There is neither the admin secret nor a key.",
    Scope 403 "The key lacks the scope `admin`, is another tenant's, or it is the operator's alone.",
    Absent 404 "There is no such key.",
    Slow 408 "The body came too slowly.",
    TooMany 409 "The tenant has as many keys as it may have.",
    TooLarge 413 "The body is too large.",
    Limit 429 "The tenant's own keys manage it too often.",
    Internal 500 "Something broke on our side.",
    Busy 503 "The ledger can't be reached; `Retry-After` says when to come back.",
);
