//! Who may call what: every operation that the API's description names, by everybody there is. Nobody
//! reads another's key, private stream or sessions (promise G2).

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::{Account, Sandbox, http, send};

use crate::support::scenario;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Stranger,
    Streamer,
    Friend,
    Owner,
    Admin,
}

const EVERYBODY: [Who; 5] = [
    Who::Stranger,
    Who::Streamer,
    Who::Friend,
    Who::Owner,
    Who::Admin,
];

/// What an operation asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Nothing: a stranger may, and is answered by what is sent.
    Nothing,
    /// To be logged in; it is about the caller alone.
    Login,
    /// To own the private stream it is about.
    Stream,
    /// To own it, or to run the server.
    StreamOrAdmin,
    /// To run the server.
    Admin,
}

/// Every operation, by hand: a new one without a rule fails the test.
fn needs(method: &str, path: &str) -> Option<Needs> {
    Some(match (method, path) {
        (_, path) if path.starts_with("/api/v1/admin/") => Needs::Admin,
        ("post", "/api/v1/auth/logout-everywhere") => Needs::Login,
        (_, path) if path.starts_with("/api/v1/auth/") => Needs::Nothing,
        ("get", "/.well-known/jwks.json" | "/api/v1/instance" | "/api/v1/streams") => {
            Needs::Nothing
        }
        ("post", "/api/v1/streams") => Needs::Login,
        // Opened by what is sent along: an invite, a session's token, the key of a friend's page.
        ("post", "/api/v1/invites/look") | ("get", "/api/v1/supporters/{node}") => Needs::Nothing,
        (_, path) if path.starts_with("/api/v1/sessions/{session}/") => Needs::Nothing,
        (_, path) if path.starts_with("/api/v1/me") => Needs::Login,
        (
            "get",
            "/api/v1/streams/{stream}"
            | "/api/v1/streams/{stream}/delivery"
            | "/api/v1/streams/{stream}/events"
            | "/api/v1/streams/{stream}/history",
        )
        | ("post", "/api/v1/streams/{stream}/state") => Needs::StreamOrAdmin,
        (_, path) if path.starts_with("/api/v1/streams/{stream}") => Needs::Stream,
        _ => return None,
    })
}

struct People {
    base: String,
    accounts: BTreeMap<Who, Account>,
    /// What a walk has to say nothing of to others.
    secrets: Vec<String>,
    link: String,
    session: String,
}

impl People {
    async fn gather(sandbox: &Sandbox) -> Result<Self> {
        let admin = sandbox.owner().await?;
        let mut accounts = BTreeMap::new();
        for (who, name) in [
            (Who::Streamer, "another"),
            (Who::Friend, "friend"),
            (Who::Owner, "owns"),
        ] {
            accounts.insert(who, sandbox.register(name).await?);
        }
        let friend = &accounts[&Who::Friend];
        admin
            .patch(
                &format!("/admin/users/{}", friend.id),
                &json!({ "role": "friend" }),
            )
            .await?;
        let owner = &accounts[&Who::Owner];
        let made = owner
            .post(
                "/streams",
                &json!({ "title": "Private matters", "slug": "theirs", "visibility": "private" }),
            )
            .await?;
        let link = owner
            .post("/streams/theirs/links", &json!({ "label": "For one" }))
            .await?;
        let session = owner.post("/streams/theirs/sessions", &json!({})).await?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("not a text");
        let secrets = vec![
            text(&made["stream_key"])?,
            text(&link["secret"])?,
            text(&session["token"])?,
            text(&session["session"])?,
            "Private matters".to_owned(),
            "owns@example.org".to_owned(),
        ];
        accounts.insert(Who::Admin, admin);
        Ok(Self {
            base: sandbox.pages(),
            link: text(&link["id"])?,
            session: text(&session["session"])?,
            accounts,
            secrets,
        })
    }

    /// The operation's address, about the owner's things.
    fn fill(&self, path: &str) -> String {
        path.replace("{stream}", "theirs")
            .replace("{link}", &self.link)
            .replace("{session}", &self.session)
            .replace("{user}", &self.accounts[&Who::Owner].id)
            .replace("{flag}", "thumbnails")
            .replace("{invite}", "01a1fecb-8cc9-7027-926d-43ee61a5a0a9")
            .replace("{node}", "01a1fecb-8cc9-7027-926d-43ee61a5a0a9")
            .replace("{login}", "01a1fecb-8cc9-7027-926d-43ee61a5a0a9")
            .replace("{invitation}", "01a1fecb-8cc9-7027-926d-43ee61a5a0a9")
    }

    async fn ask(&self, who: Who, method: &str, path: &str) -> Result<(StatusCode, String)> {
        let url = format!("{}{}", self.base, self.fill(path));
        let method = Method::from_bytes(method.to_uppercase().as_bytes())?;
        let bearer = self
            .accounts
            .get(&who)
            .map(|account| format!("Bearer {}", account.token));
        let headers: Vec<_> = bearer
            .iter()
            .map(|bearer| ("authorization", bearer.as_str()))
            .collect();
        let client = http::client()?;
        if path.ends_with("/events") {
            // It lasts: its head is the answer.
            let mut request = client.get(&url);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            return Ok((request.send().await?.status(), String::new()));
        }
        let body = body(method.as_str(), path);
        let answer = send(&client, method, &url, &headers, body.as_ref()).await?;
        Ok((answer.status, answer.text()))
    }
}

/// A body that would be taken: nobody is refused for its form who should be for who they are.
fn body(method: &str, path: &str) -> Option<Value> {
    Some(match (method, path) {
        ("GET", _) => return None,
        ("PATCH", "/api/v1/streams/{stream}") => json!({ "description": "changed" }),
        ("POST", "/api/v1/streams/{stream}/state") => json!({ "state": "offline" }),
        ("POST", "/api/v1/streams/{stream}/links") => json!({ "label": "Another" }),
        ("POST", "/api/v1/streams/{stream}/friends/{node}/message") => json!({ "text": "Thanks" }),
        ("POST", "/api/v1/streams") => json!({ "title": "Another" }),
        ("PATCH", "/api/v1/me") => json!({ "display_name": "Another" }),
        ("POST", "/api/v1/me/password") => json!({ "current": "wrong", "new": "a new password" }),
        ("POST", "/api/v1/me/totp/confirm") => json!({ "code": "000000" }),
        (_, "/api/v1/me" | "/api/v1/me/totp") => json!({ "password": "wrong" }),
        ("PATCH", "/api/v1/admin/users/{user}") => json!({ "role": "streamer" }),
        ("PATCH", "/api/v1/admin/settings") => json!({ "registration": "open" }),
        ("PUT", "/api/v1/admin/flags/{flag}") => json!({ "enabled": true }),
        _ => json!({}),
    })
}

/// Whether somebody got past the door: what was answered is not "who are you", "you may not" or "there is
/// nothing".
fn let_in(status: StatusCode) -> bool {
    !matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND
    )
}

#[tokio::test]
async fn nobody_reads_or_changes_what_is_another_s() -> Result<()> {
    let sandbox = Sandbox::embedded()
        .set("ACCOUNTS__REGISTRATION", "open")
        .start()
        .await?;
    scenario(&sandbox, async {
        let people = People::gather(&sandbox).await?;
        let url = format!("{}/api/openapi.json", sandbox.pages());
        let document: Value =
            serde_json::from_slice(&http::fetch(&http::client()?, &url).await?.body)?;
        let paths = document["paths"].as_object().context("no paths")?;
        let mut walked = 0;
        for (path, operations) in paths {
            for method in operations.as_object().context("no operations")?.keys() {
                let needs =
                    needs(method, path).with_context(|| format!("no rule for {method} {path}"))?;
                for who in EVERYBODY {
                    walk(&people, who, method, path, needs).await?;
                    walked += 1;
                }
            }
        }
        ensure!(walked > 150, "only {walked} steps");
        // Nothing was changed on the way.
        let owner = &people.accounts[&Who::Owner];
        ensure!(owner.get("/streams/theirs").await?["title"] == "Private matters");
        Ok(())
    })
    .await
}

async fn walk(people: &People, who: Who, method: &str, path: &str, needs: Needs) -> Result<()> {
    // These would do what they say to whoever may: they are tried by who may not.
    let does_something = matches!(
        (method, path),
        (
            "delete",
            "/api/v1/streams/{stream}"
                | "/api/v1/streams/{stream}/links/{link}"
                | "/api/v1/streams/{stream}/sessions/{session}"
        ) | (
            "post",
            "/api/v1/streams/{stream}/key"
                | "/api/v1/auth/logout-everywhere"
                | "/api/v1/admin/users/{user}/reset-link"
        )
    );
    let allowed = match needs {
        Needs::Nothing => true,
        Needs::Login => who != Who::Stranger,
        Needs::Stream => who == Who::Owner,
        Needs::StreamOrAdmin => matches!(who, Who::Owner | Who::Admin),
        Needs::Admin => who == Who::Admin,
    };
    if does_something && allowed {
        return Ok(());
    }
    let (status, text) = people.ask(who, method, path).await?;
    ensure!(
        !status.is_server_error(),
        "{who:?} {method} {path}: {status} {text}"
    );
    if allowed {
        let missing = matches!(
            path,
            "/api/v1/me/logins/{login}"
                | "/api/v1/admin/invitations/{invitation}"
                | "/api/v1/streams/{stream}/invites/{invite}"
                | "/api/v1/streams/{stream}/friends/{node}"
                | "/api/v1/streams/{stream}/friends/{node}/message"
        );
        let door = path.starts_with("/api/v1/auth/");
        ensure!(
            let_in(status) || missing || door,
            "{who:?} may {method} {path}, but: {status} {text}"
        );
    } else {
        let stranger = who == Who::Stranger;
        let expected = if stranger && matches!(needs, Needs::Login | Needs::Admin) {
            status == StatusCode::UNAUTHORIZED
        } else {
            !let_in(status)
        };
        ensure!(
            expected,
            "{who:?} may not {method} {path}, but: {status} {text}"
        );
    }
    let knows = matches!(who, Who::Owner | Who::Admin);
    for secret in people.secrets.iter().filter(|_| !knows) {
        ensure!(
            !text.contains(secret.as_str()),
            "{who:?} {method} {path} reads {secret}: {text}"
        );
    }
    Ok(())
}
