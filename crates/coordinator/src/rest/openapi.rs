//! The API's description, generated from the code, and the page that shows it without the internet.

use std::sync::Arc;

use axum::{Router, response::IntoResponse, routing::get};
use serde_json::{Map, Value};
use tower_http::cors::{Any, CorsLayer};
use types::{Registration, Role, StreamState, Visibility};
use utoipa::openapi::{
    InfoBuilder, LicenseBuilder, OpenApi,
    security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme},
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{Api, cookies};

/// Where the description is.
pub(crate) const PATH: &str = "/api/openapi.json";

/// Adds what the handlers don't say: who we are, how callers prove who they are, names that are unique, and
/// the words that a text may be.
pub(crate) fn complete(mut document: OpenApi) -> Value {
    document.info = InfoBuilder::new()
        .title("Streamr")
        .version("1")
        .description(Some(
            "Live streaming carried by friends: accounts, streams and who may watch them. Errors are \
             application/problem+json (RFC 9457). Lists come in pages. A POST that creates takes an \
             Idempotency-Key. Every answer carries X-Request-Id, RateLimit and RateLimit-Policy.",
        ))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ))
        .build();
    let components = document.components.get_or_insert_default();
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.bearer_format = Some("JWT".to_owned());
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let refresh = ApiKey::Cookie(ApiKeyValue::new(cookies::REFRESH));
    components.add_security_scheme("refresh", SecurityScheme::ApiKey(refresh));
    let mut json = serde_json::to_value(&document).unwrap_or_default();
    for (path, operations) in members(&mut json["paths"]) {
        for (method, operation) in members(operations) {
            operation["operationId"] = name_of(method, path).into();
            name_problems(&mut operation["responses"]);
        }
    }
    for (_, schema) in members(&mut json["components"]["schemas"]) {
        list_words(schema);
    }
    json
}

fn members(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flat_map(Map::iter_mut)
}

/// `get_streams_by_stream_health`.
fn name_of(method: &str, path: &str) -> String {
    let mut name = method.to_owned();
    for part in path.trim_start_matches("/api/v1").split(['/', '.']) {
        if let Some(parameter) = part.strip_prefix('{') {
            name.push_str("_by_");
            name.push_str(parameter.trim_end_matches('}'));
        } else if !part.is_empty() {
            name.push('_');
            name.push_str(&part.replace('-', "_"));
        }
    }
    name
}

/// What goes wrong is told as `application/problem+json`.
fn name_problems(responses: &mut Value) {
    for (_, response) in members(responses).filter(|(status, _)| status.starts_with('4')) {
        if let Some(content) = response.get_mut("content").and_then(Value::as_object_mut)
            && let Some(problem) = content.remove("application/json")
        {
            content.insert("application/problem+json".to_owned(), problem);
        }
    }
}

/// The words that members of these names may be.
fn list_words(schema: &mut Value) {
    let states = StreamState::ALL.map(StreamState::as_str).to_vec();
    let words = |name: &str| match name {
        "state" => Some(states.clone()),
        "visibility" => Some(Visibility::ALL.iter().map(|one| one.as_str()).collect()),
        "role" => Some(Role::ALL.iter().map(|one| one.as_str()).collect()),
        "registration" => Some(Registration::ALL.iter().map(|one| one.as_str()).collect()),
        _ => None,
    };
    if let Some(parts) = schema.get_mut("allOf").and_then(Value::as_array_mut) {
        parts.iter_mut().for_each(list_words);
    }
    for (name, property) in members(&mut schema["properties"]) {
        let Some(mut words) = words(name).map(|words| serde_json::json!(words)) else {
            continue;
        };
        let optional = property["type"].is_array();
        if let Some(words) = words.as_array_mut().filter(|_| optional) {
            words.push(Value::Null);
        }
        property["enum"] = words;
    }
}

/// The description itself, and `/api/docs`.
pub(crate) fn routes(document: &Value) -> Router<Arc<Api>> {
    let json = axum::body::Bytes::from(document.to_string());
    let describe = async move || ([("content-type", "application/json")], json).into_response();
    let docs: Router<Arc<Api>> = SwaggerUi::new("/api/docs")
        .config(Config::from(PATH).validator_url("none"))
        .into();
    let open = CorsLayer::new().allow_origin(Any);
    Router::new()
        .route(PATH, get(describe).layer(open))
        .merge(docs)
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    #[test]
    fn operations_have_names_of_their_own() {
        let document = crate::rest::document();
        let mut names = Vec::new();
        for operations in document["paths"].as_object().unwrap().values() {
            for operation in operations.as_object().unwrap().values() {
                names.push(operation["operationId"].as_str().unwrap().to_owned());
            }
        }
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(names.contains(&"get_streams_by_stream_health".to_owned()));
    }

    /// The pages' client is generated from the copy beside them: it must be the same.
    #[test]
    fn the_pages_copy_is_current() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/openapi.json");
        let mut current = serde_json::to_string_pretty(&crate::rest::document()).unwrap();
        current.push('\n');
        if env::var_os("STREAMR_UPDATE_OPENAPI").is_some() {
            fs::write(&file, &current).unwrap();
        }
        let kept = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            kept == current,
            "crates/web/openapi.json is old: run `cargo xtask openapi`"
        );
    }
}
