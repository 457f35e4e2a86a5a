//! Somebody who calls the API.

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::http::{self, Answer};

/// An account that is logged in.
#[derive(Debug, Clone)]
pub struct Account {
    client: Client,
    base: String,
    /// Its id.
    pub id: String,
    /// The access token.
    pub token: String,
    /// The refresh token, from its cookie.
    pub refresh: String,
}

/// The value of a cookie that an answer sets.
pub fn cookie(answer: &Answer, name: &str) -> Option<String> {
    let set = answer.headers.get_all("set-cookie").iter();
    set.filter_map(|value| value.to_str().ok())
        .filter_map(|text| text.split(';').next()?.split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.to_owned())
}

/// Sends JSON, with headers.
pub async fn send(
    client: &Client,
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Result<Answer> {
    let mut request = client.request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let response = request.send().await.with_context(|| format!("ask {url}"))?;
    Ok(Answer {
        status: response.status(),
        headers: response.headers().clone(),
        body: response.bytes().await?,
    })
}

impl Account {
    /// Logs in at `base`.
    pub async fn log_in(base: &str, email: &str, password: &str) -> Result<Self> {
        let body = json!({ "email": email, "password": password });
        let url = format!("{base}/api/v1/auth/login");
        let client = http::client()?;
        let answer = send(&client, Method::POST, &url, &[], Some(&body)).await?;
        Self::from_answer(base, &answer)
    }

    /// Somebody that `answer` logged in.
    pub fn from_answer(base: &str, answer: &Answer) -> Result<Self> {
        ensure!(
            answer.status.is_success(),
            "{}: {}",
            answer.status,
            answer.text()
        );
        let said: Value = serde_json::from_slice(&answer.body)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Ok(Self {
            client: http::client()?,
            base: base.to_owned(),
            id: text(&said["user"]["id"]).context("no user")?,
            token: text(&said["access_token"]).context("no access token")?,
            refresh: cookie(answer, "streamr_refresh").context("no refresh cookie")?,
        })
    }

    /// Makes an account; registration must be open.
    pub async fn register(base: &str, email: &str, password: &str) -> Result<()> {
        let body = json!({ "email": email, "password": password });
        let url = format!("{base}/api/v1/auth/register");
        let answer = send(&http::client()?, Method::POST, &url, &[], Some(&body)).await?;
        ensure!(
            answer.status == StatusCode::CREATED,
            "{}: {}",
            answer.status,
            answer.text()
        );
        Ok(())
    }

    /// Any request under `/api/v1`, by this account.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let bearer = format!("Bearer {}", self.token);
        let url = format!("{}/api/v1{path}", self.base);
        send(
            &self.client,
            method,
            &url,
            &[("authorization", &bearer)],
            body,
        )
        .await
    }

    async fn told(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.ask(method.clone(), path, body).await?;
        ensure!(
            answer.status.is_success(),
            "{method} {path}: {} {}",
            answer.status,
            answer.text()
        );
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).with_context(|| answer.text())
    }

    /// A GET that must succeed.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.told(Method::GET, path, None).await
    }

    /// A POST that must succeed.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.told(Method::POST, path, Some(body)).await
    }

    /// A PATCH that must succeed.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        self.told(Method::PATCH, path, Some(body)).await
    }

    /// A PUT that must succeed.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.told(Method::PUT, path, Some(body)).await
    }

    /// A DELETE that must succeed.
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.told(Method::DELETE, path, None).await.map(drop)
    }

    /// Makes a stream. Answers its slug and key.
    pub async fn stream(&self, slug: &str, visibility: &str) -> Result<crate::Stream> {
        let body = json!({ "title": slug, "slug": slug, "visibility": visibility });
        let made = self.post("/streams", &body).await?;
        Ok(crate::Stream {
            slug: slug.to_owned(),
            key: made["stream_key"].as_str().context("no key")?.to_owned(),
        })
    }
}
