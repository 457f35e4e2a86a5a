//! The API's description, generated from the code, and the page that shows it without the internet.

use std::sync::Arc;

use axum::{Router, response::IntoResponse, routing::get};
use utoipa::openapi::{
    ContactBuilder, InfoBuilder, LicenseBuilder, OpenApi,
    security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme},
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{Api, cookies};

/// Where the description is.
pub(crate) const PATH: &str = "/api/openapi.json";

/// Adds what the handlers don't say: who we are, and how callers prove who they are.
pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    document.info = InfoBuilder::new()
        .title("Streamr")
        .version("1")
        .description(Some(
            "Live streaming carried by friends: accounts, streams and who may watch them. Errors are \
             application/problem+json (RFC 9457). Lists come in pages. A POST that creates takes an \
             Idempotency-Key. Every answer carries X-Request-Id, RateLimit and RateLimit-Policy.",
        ))
        .license(Some(
            LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build(),
        ))
        .contact(None::<utoipa::openapi::Contact>.or(Some(ContactBuilder::new().name(Some("Streamr")).build())))
        .build();
    let components = document.components.get_or_insert_default();
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.bearer_format = Some("JWT".to_owned());
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let refresh = ApiKey::Cookie(ApiKeyValue::new(cookies::REFRESH));
    components.add_security_scheme("refresh", SecurityScheme::ApiKey(refresh));
    document
}

/// The description itself, and `/api/docs`.
pub(crate) fn routes(document: OpenApi) -> Router<Arc<Api>> {
    let json = serde_json::to_string(&document).unwrap_or_default();
    let json = axum::body::Bytes::from(json);
    let describe = async move || ([("content-type", "application/json")], json).into_response();
    let docs: Router<Arc<Api>> = SwaggerUi::new("/api/docs")
        .config(Config::from(PATH).validator_url("none"))
        .into();
    Router::new()
        .route(
            PATH,
            get(describe)
                .layer(tower_http::cors::CorsLayer::new().allow_origin(tower_http::cors::Any)),
        )
        .merge(docs)
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

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
