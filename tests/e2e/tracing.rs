//! Telemetry: one publish is one trace over all processes, metrics keep to their scheme, and no secret is in
//! logs, metrics or traces.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::{Collector, Fixture, FlvViewer, OWNER, Sandbox, SeenSpan, Source, eventually, http};

use crate::support::{SOON, flv_path, live, scenario};

const TOKEN: &str = "a-token-shared-by-the-services-of-a-test";
const PROCESSES: [&str; 3] = ["coordinator", "ingest", "packager"];

fn named<'a>(spans: &'a [SeenSpan], name: &str) -> Option<&'a SeenSpan> {
    spans.iter().find(|span| span.name == name)
}

#[tokio::test]
async fn one_publish_is_one_trace() -> Result<()> {
    let collector = Collector::start();
    let sandbox = Sandbox::three_processes()
        .set("TELEMETRY__OTLP_ENDPOINT", &collector.url())
        .start()
        .await?;
    scenario(&sandbox, async {
        let fixture = Fixture::plain().await?;
        let (_stream, _publication) = live(&sandbox, "traced", &fixture).await?;
        // Name, process, and the name of its parent.
        let wanted = [
            ("publish", "streamr-ingest", ""),
            (
                "streamr.coordinator.v1.Coordinator/AuthorizePublish",
                "streamr-coordinator",
                "publish",
            ),
            ("start stream", "streamr-coordinator", "publish"),
            ("StreamStarted", "streamr-coordinator", "start stream"),
            ("package", "streamr-packager", "publish"),
            (
                "streamr.media.v1.Media/Subscribe",
                "streamr-ingest",
                "package",
            ),
        ];
        let spans = eventually(SOON, "all spans of the publish", || async {
            let spans = collector.spans();
            for (name, _, _) in wanted {
                named(&spans, name).with_context(|| format!("no span {name:?} in {spans:?}"))?;
            }
            Ok(Some(spans))
        })
        .await?;
        let root = named(&spans, "publish").context("no root")?;
        for (name, service, parent) in wanted {
            let span = named(&spans, name).context("it was there")?;
            ensure!(span.service == service, "{span:?}");
            ensure!(
                span.trace == root.trace,
                "{name} is in another trace: {span:?}"
            );
            let parent = named(&spans, parent).map_or("", |parent| &parent.id);
            // A root's parent is eight zero bytes or none.
            let own = span.parent.trim_start_matches('0');
            ensure!(own == parent.trim_start_matches('0'), "{name}: {span:?}");
        }
        let services = collector.services_of(&root.trace);
        ensure!(services.len() == 3, "{services:?}");
        // Media costs no spans: a stream that goes on adds none.
        let before = collector.spans().len();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let added = collector.spans().len() - before;
        ensure!(added == 0, "{added} spans while nothing was controlled");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_caller_s_trace_goes_on_in_ours() -> Result<()> {
    let collector = Collector::start();
    let sandbox = Sandbox::embedded()
        .set("TELEMETRY__OTLP_ENDPOINT", &collector.url())
        .start()
        .await?;
    scenario(&sandbox, async {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let url = format!("{}/api/v1/auth/login", sandbox.pages());
        let body = json!({ "email": OWNER.0, "password": OWNER.1 });
        let answer = http::client()?
            .post(url)
            .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"))
            .json(&body)
            .send()
            .await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        eventually(SOON, "the request's span", || async {
            let spans = collector.spans();
            let span = spans.iter().find(|span| span.trace == trace);
            let span = span.with_context(|| format!("{spans:?}"))?;
            ensure!(span.parent == "b7ad6b7169203331", "{span:?}");
            ensure!(span.name == "POST /api/v1/auth/login", "{span:?}");
            Ok(Some(()))
        })
        .await
    })
    .await
}

/// What a whole run used that nobody may read later.
#[derive(Default)]
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn add(&mut self, what: &'static str, secret: impl Into<String>) {
        self.0.push((what, secret.into()));
    }

    /// Every secret that `text` holds.
    fn found_in(&self, text: &str) -> Vec<&'static str> {
        let found = self
            .0
            .iter()
            .filter(|(_, secret)| text.contains(secret.as_str()));
        found.map(|(what, _)| *what).collect()
    }
}

/// Strings of an answer under names that mean a secret.
fn gather(secrets: &mut Secrets, what: &'static str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let is_secret = ["token", "key", "secret", "password"]
                    .iter()
                    .any(|word| name.contains(word));
                match field.as_str() {
                    Some(text) if is_secret && text.len() >= 16 => secrets.add(what, text),
                    _ => gather(secrets, what, field),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|one| gather(secrets, what, one)),
        _ => {}
    }
}

/// Uses the API as people do, and notes every secret it hands out.
async fn use_everything(sandbox: &Sandbox, secrets: &mut Secrets) -> Result<()> {
    let client = http::client()?;
    let api = format!("{}/api/v1", sandbox.pages());
    let wrong = json!({ "email": OWNER.0, "password": "a wrong password of somebody" });
    secrets.add("wrong password", "a wrong password of somebody");
    client
        .post(format!("{api}/auth/login"))
        .json(&wrong)
        .send()
        .await?;
    let right = json!({ "email": OWNER.0, "password": OWNER.1 });
    let answer = client
        .post(format!("{api}/auth/login"))
        .json(&right)
        .send()
        .await?;
    let cookies = answer.headers().get_all("set-cookie").iter();
    for cookie in cookies.filter_map(|cookie| cookie.to_str().ok()) {
        let value = cookie.split(['=', ';']).nth(1).unwrap_or_default();
        if value.len() >= 16 {
            secrets.add("cookie", value);
        }
    }
    let login: Value = answer.json().await?;
    gather(secrets, "login", &login);
    let token = login["access_token"]
        .as_str()
        .context("no access token")?
        .to_owned();
    let private = json!({ "slug": "private", "title": "Mine", "visibility": "private" });
    let post = |path: String, body: Value| {
        let request = client
            .post(format!("{api}{path}"))
            .bearer_auth(&token)
            .json(&body);
        async move {
            let answer = request.send().await?;
            let status = answer.status();
            let text = answer.text().await?;
            ensure!(status.is_success(), "{path}: {status} {text}");
            Ok(serde_json::from_str::<Value>(&text).unwrap_or_default())
        }
    };
    let stream = post("/streams".to_owned(), private).await?;
    gather(secrets, "stream key", &stream);
    let shared = post(
        "/streams/private/links".to_owned(),
        json!({ "label": "friends" }),
    )
    .await?;
    gather(secrets, "share link", &shared);
    let key = stream["stream_key"].as_str().context("no stream key")?;
    let fixture = Fixture::plain().await?;
    let publication = Source::new(&fixture).publish(sandbox.rtmp(), key).await?;
    let session = post("/streams/private/sessions".to_owned(), json!({})).await?;
    gather(secrets, "playback token", &session);
    if let Some(token) = session["token"].as_str() {
        let path = format!("{}?token={token}", flv_path("private"));
        // The edge hears of the stream and of the keys in its own time.
        let mut viewer = eventually(SOON, "the private stream plays", || async {
            FlvViewer::open(sandbox.playback_address(), &path)
                .await
                .map(Some)
        })
        .await?;
        viewer.more_frames(SOON, 10).await?;
    }
    let forgotten = json!({ "email": OWNER.0 });
    client
        .post(format!("{api}/auth/password/forgot"))
        .json(&forgotten)
        .send()
        .await?;
    secrets.add("wrong key", "a-wrong-stream-key-of-somebody");
    let source = Source::new(&fixture);
    let wrong = source.publish(sandbox.rtmp(), "a-wrong-stream-key-of-somebody");
    ensure!(wrong.await.is_err(), "a wrong key was taken");
    drop(publication);
    Ok(())
}

#[tokio::test]
async fn no_secret_is_in_logs_metrics_or_traces() -> Result<()> {
    let collector = Collector::start();
    let sandbox = Sandbox::three_processes()
        .set("TELEMETRY__OTLP_ENDPOINT", &collector.url())
        .set("LOG__LEVEL", "debug")
        .set("LOG__FORMAT", "json")
        .set("SERVICE_TOKEN", TOKEN)
        .start()
        .await?;
    scenario(&sandbox, async {
        let mut secrets = Secrets::default();
        secrets.add("service token", TOKEN);
        secrets.add("password", OWNER.1);
        secrets.add("first stream key", Sandbox::first_stream().key);
        use_everything(&sandbox, &mut secrets).await?;
        let kinds: BTreeSet<_> = secrets.0.iter().map(|(what, _)| *what).collect();
        for kind in ["login", "stream key", "share link", "playback token"] {
            ensure!(kinds.contains(kind), "no {kind} was seen: {kinds:?}");
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let client = http::client()?;
        for name in PROCESSES {
            let log = sandbox.log(name).await?;
            ensure!(log.lines().count() > 10, "{name} logged nothing");
            let found = secrets.found_in(&log);
            ensure!(found.is_empty(), "{name}'s log has {found:?}");
            let url = format!("{}/metrics", sandbox.health(name));
            let metrics = http::fetch(&client, &url).await?.text();
            let found = secrets.found_in(&metrics);
            ensure!(found.is_empty(), "{name}'s metrics have {found:?}");
            keeps_to_the_scheme(name, &metrics)?;
        }
        let traces = collector.text();
        ensure!(!traces.is_empty(), "nothing was traced");
        let found = secrets.found_in(&traces);
        ensure!(found.is_empty(), "traces have {found:?}");
        Ok(())
    })
    .await
}

/// Names are `streamr_<words>` with a unit or `_total`; labels have few values, none of them anybody's.
fn keeps_to_the_scheme(process: &str, metrics: &str) -> Result<()> {
    let mut series = 0;
    for line in metrics
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let (name, rest) = line
            .split_once(['{', ' '])
            .context("a line without a value")?;
        ensure!(
            name.starts_with("streamr_")
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{process}: {name}"
        );
        series += 1;
        let labels = line
            .contains('{')
            .then(|| rest.split_once('}').map_or(rest, |(labels, _)| labels));
        for (label, value) in labels
            .iter()
            .flat_map(|labels| labels.split(','))
            .filter_map(|pair| pair.split_once('='))
        {
            let value = value.trim_matches('"');
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./+-".contains(&byte);
            ensure!(
                value.len() <= 40 && value.bytes().all(plain),
                "{process}: {name} has {label}={value:?}"
            );
            let is_somebody = value.parse::<std::net::IpAddr>().is_ok()
                || value.matches('-').count() >= 4
                || ["live", "private"].contains(&value);
            ensure!(!is_somebody, "{process}: {name} has {label}={value:?}");
        }
    }
    ensure!((1..2000).contains(&series), "{process} has {series} series");
    let counters = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    for typed in counters {
        let (name, kind) = typed.split_once(' ').context("a type without a kind")?;
        let fits = match kind {
            "counter" => name.ends_with("_total"),
            "histogram" | "summary" => name.ends_with("_seconds") || name.ends_with("_bytes"),
            _ => !name.ends_with("_total"),
        };
        ensure!(fits, "{process}: {name} is a {kind}");
    }
    Ok(())
}
