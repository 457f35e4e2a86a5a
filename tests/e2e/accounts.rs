//! Accounts from outside: the first one, others, log-ins, second factors, forgotten passwords.

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::{Account, OWNER, Sandbox, cookie, eventually, http, send};

use crate::support::{SOON, scenario, setup_link};

const REFRESH: &str = "/api/v1/auth/refresh";

async fn post(sandbox: &Sandbox, path: &str, body: &Value) -> Result<http::Answer> {
    let url = format!("{}{path}", sandbox.pages());
    send(&http::client()?, Method::POST, &url, &[], Some(body)).await
}

async fn refresh(sandbox: &Sandbox, token: &str) -> Result<http::Answer> {
    let url = format!("{}{REFRESH}", sandbox.pages());
    let cookie = format!("streamr_refresh={token}");
    send(
        &http::client()?,
        Method::POST,
        &url,
        &[("cookie", &cookie)],
        None,
    )
    .await
}

fn json_of(answer: &http::Answer) -> Result<Value> {
    serde_json::from_slice(&answer.body).with_context(|| answer.text())
}

#[tokio::test]
async fn the_owner_s_account_is_made_once_through_the_terminal_s_link() -> Result<()> {
    let sandbox = Sandbox::one_process()
        .unset("BOOTSTRAP__EMAIL")
        .unset("BOOTSTRAP__PASSWORD")
        .start()
        .await?;
    scenario(&sandbox, async {
        let link = setup_link(&sandbox).await?;
        let token = link.split('#').nth(1).context("no token")?;
        let instance = http::fetch(&http::client()?, &format!("{}/api/v1/instance", sandbox.pages())).await?;
        ensure!(json_of(&instance)?["setup_required"] == true);
        let body = |token: &str, password: &str| {
            json!({ "token": token, "email": "Ana@Example.org", "password": password })
        };
        let setup = "/api/v1/auth/setup";
        let wrong = post(&sandbox, setup, &body("not-the-token-at-all", "a good password")).await?;
        ensure!(wrong.status == StatusCode::BAD_REQUEST, "{}", wrong.text());
        let weak = post(&sandbox, setup, &body(token, "password123")).await?;
        ensure!(weak.status == StatusCode::BAD_REQUEST && weak.text().contains("\"password\""), "{}", weak.text());
        let made = post(&sandbox, setup, &body(token, "a good password")).await?;
        ensure!(made.status == StatusCode::CREATED, "{}", made.text());
        let owner = Account::from_answer(&sandbox.pages(), &made)?;
        ensure!(json_of(&made)?["user"]["role"] == "admin");
        let mine = owner.get("/streams?owner=me").await?;
        ensure!(mine["streams"][0]["slug"] == "live", "the first stream is the owner's: {mine}");
        let again = post(&sandbox, setup, &body(token, "a good password")).await?;
        ensure!(again.status == StatusCode::BAD_REQUEST, "the link works once: {}", again.text());
        ensure!(!sandbox.log("streamr").await?.contains("a good password"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_refresh_token_rotates_and_reuse_ends_the_log_in() -> Result<()> {
    let sandbox = Sandbox::embedded().start().await?;
    scenario(&sandbox, async {
        let owner = sandbox.owner().await?;
        let first = owner.refresh.clone();
        let rotated = refresh(&sandbox, &first).await?;
        let set = rotated.header("set-cookie").to_owned();
        for attribute in [
            "HttpOnly",
            "SameSite=Strict",
            "Path=/api/v1/auth",
            "Max-Age=604800",
        ] {
            ensure!(set.contains(attribute), "{set}");
        }
        let went_on = Account::from_answer(&sandbox.pages(), &rotated)?;
        ensure!(went_on.refresh != first);
        ensure!(
            json_of(&rotated)?["expires_in"] == 900 && json_of(&rotated)?["token_type"] == "Bearer"
        );
        went_on.get("/me").await?;
        // Somebody has the old one.
        ensure!(refresh(&sandbox, &first).await?.status == StatusCode::UNAUTHORIZED);
        let over = refresh(&sandbox, &went_on.refresh).await?;
        ensure!(
            over.status == StatusCode::UNAUTHORIZED,
            "the family goes on"
        );
        eventually(SOON, "the access token dies with its log-in", || async {
            let answer = went_on.ask(Method::GET, "/me", None).await?;
            Ok((answer.status == StatusCode::UNAUTHORIZED).then_some(()))
        })
        .await?;
        // Logging out twice is no error, and another log-in is not touched.
        let other = sandbox.owner().await?;
        for _ in 0..2 {
            let url = format!("{}/api/v1/auth/logout", sandbox.pages());
            let cookie = format!("streamr_refresh={}", other.refresh);
            let out = send(
                &http::client()?,
                Method::POST,
                &url,
                &[("cookie", &cookie)],
                None,
            )
            .await?;
            ensure!(out.status == StatusCode::NO_CONTENT, "{}", out.text());
        }
        ensure!(refresh(&sandbox, &other.refresh).await?.status == StatusCode::UNAUTHORIZED);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn logging_out_everywhere_ends_everything_at_once() -> Result<()> {
    let sandbox = Sandbox::embedded().start().await?;
    scenario(&sandbox, async {
        let (here, there) = (sandbox.owner().await?, sandbox.owner().await?);
        let logins = here.get("/me/logins").await?;
        ensure!(
            logins["items"].as_array().is_some_and(|all| all.len() == 2),
            "{logins}"
        );
        here.post("/auth/logout-everywhere", &json!({})).await?;
        for account in [&here, &there] {
            let answer = account.ask(Method::GET, "/me", None).await?;
            ensure!(
                answer.status == StatusCode::UNAUTHORIZED,
                "{}",
                answer.text()
            );
            ensure!(refresh(&sandbox, &account.refresh).await?.status == StatusCode::UNAUTHORIZED);
        }
        let back = sandbox.owner().await?;
        back.get("/me").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_restart_accepts_tokens_and_keys_are_published() -> Result<()> {
    let sandbox = Sandbox::embedded().start().await?;
    scenario(&sandbox, async {
        let owner = sandbox.owner().await?;
        let url = format!("{}/.well-known/jwks.json", sandbox.pages());
        let before = http::fetch(&http::client()?, &url).await?.text();
        sandbox.kill("streamr").await?;
        sandbox.launch("streamr").await?;
        sandbox.ready("streamr").await?;
        owner.get("/me").await?;
        Account::from_answer(&sandbox.pages(), &refresh(&sandbox, &owner.refresh).await?)?;
        ensure!(http::fetch(&http::client()?, &url).await?.text() == before);
        ensure!(
            before.contains("Ed25519") && !before.contains("\"d\""),
            "{before}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn registration_is_open_by_invitation_or_closed() -> Result<()> {
    let sandbox = Sandbox::embedded().start().await?;
    scenario(&sandbox, async {
        let owner = sandbox.owner().await?;
        let body = |email: &str| json!({ "email": email, "password": "a good password" });
        let register = "/api/v1/auth/register";
        let refused = post(&sandbox, register, &body("ben@example.org")).await?;
        ensure!(refused.status == StatusCode::FORBIDDEN, "by invitation at first: {}", refused.text());
        let invitation = owner.post("/admin/invitations", &json!({ "role": "friend", "email": "ben@example.org" })).await?;
        let secret = invitation["url"].as_str().and_then(|url| url.split('#').nth(1)).context("no link")?;
        let invited = |email: &str| json!({ "email": email, "password": "a good password", "invitation": secret });
        let another = post(&sandbox, register, &invited("eve@example.org")).await?;
        ensure!(another.status == StatusCode::FORBIDDEN, "it is Ben's: {}", another.text());
        let made = post(&sandbox, register, &invited("ben@example.org")).await?;
        ensure!(made.status == StatusCode::CREATED, "{}", made.text());
        let ben = Account::log_in(&sandbox.pages(), "ben@example.org", "a good password").await?;
        ensure!(ben.get("/me").await?["role"] == "friend");
        let used = post(&sandbox, register, &invited("ben@example.org")).await?;
        ensure!(used.status == StatusCode::FORBIDDEN, "{}", used.text());
        owner.patch("/admin/settings", &json!({ "registration": "open" })).await?;
        // Who has an account can't be asked: both are answered alike, and the password stays.
        let new = post(&sandbox, register, &body("cem@example.org")).await?;
        let taken = post(&sandbox, register, &json!({ "email": OWNER.0, "password": "another password" })).await?;
        ensure!(new.status == StatusCode::CREATED && taken.status == new.status);
        ensure!(new.text().replace("cem@example.org", OWNER.0) == taken.text());
        sandbox.owner().await?;
        owner.patch("/admin/settings", &json!({ "registration": "closed" })).await?;
        let closed = post(&sandbox, register, &body("dan@example.org")).await?;
        ensure!(closed.status == StatusCode::FORBIDDEN, "{}", closed.text());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_used_once() -> Result<()> {
    let sandbox = Sandbox::embedded().start().await?;
    scenario(&sandbox, async {
        let owner = sandbox.owner().await?;
        let proposed = owner
            .post("/me/totp", &json!({ "password": OWNER.1 }))
            .await?;
        let secret = proposed["secret"].as_str().context("no secret")?;
        ensure!(
            proposed["otpauth_url"]
                .as_str()
                .is_some_and(|url| url.starts_with("otpauth://totp/"))
        );
        let totp = totp_rs::Builder::new()
            .with_secret(
                totp_rs::Secret::try_from_base32(secret).map_err(|e| anyhow::anyhow!("{e:?}"))?,
            )
            .build_noncompliant();
        let now = || {
            std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |d| d.as_secs())
        };
        let code = |at: u64| totp.generate(at).to_string();
        let wrong = owner
            .ask(
                Method::POST,
                "/me/totp/confirm",
                Some(&json!({ "code": "000000" })),
            )
            .await?;
        ensure!(wrong.status == StatusCode::BAD_REQUEST, "{}", wrong.text());
        let confirmed = owner
            .post("/me/totp/confirm", &json!({ "code": code(now() - 30) }))
            .await?;
        let recovery = confirmed["recovery_codes"][0]
            .as_str()
            .context("no recovery code")?
            .to_owned();
        let log_in = async |code: Option<&str>| {
            let mut body = json!({ "email": OWNER.0, "password": OWNER.1 });
            if let Some(code) = code {
                body["totp"] = code.into();
            }
            post(&sandbox, "/api/v1/auth/login", &body).await
        };
        let asked = log_in(None).await?;
        ensure!(
            asked.status == StatusCode::UNAUTHORIZED && asked.text().contains("totp_required"),
            "{}",
            asked.text()
        );
        let current = code(now());
        ensure!(log_in(Some(&current)).await?.status == StatusCode::OK);
        ensure!(
            log_in(Some(&current)).await?.status == StatusCode::UNAUTHORIZED,
            "a code works once"
        );
        ensure!(log_in(Some(&recovery)).await?.status == StatusCode::OK);
        ensure!(
            log_in(Some(&recovery)).await?.status == StatusCode::UNAUTHORIZED,
            "so does a recovery code"
        );
        owner
            .ask(
                Method::DELETE,
                "/me/totp",
                Some(&json!({ "password": OWNER.1 })),
            )
            .await?;
        ensure!(log_in(None).await?.status == StatusCode::OK);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_by_mail() -> Result<()> {
    let mail = testkit::MailServer::start().await?;
    let sandbox = Sandbox::embedded()
        .set("MAIL__URL", &mail.url())
        .set("MAIL__FROM", "Streamr <streamr@example.org>")
        .set("PUBLIC_URL", "https://streamr.example")
        .start()
        .await?;
    scenario(&sandbox, async {
        let forgot = "/api/v1/auth/password/forgot";
        for email in ["nobody@example.org", OWNER.0] {
            let answer = post(&sandbox, forgot, &json!({ "email": email })).await?;
            ensure!(answer.status == StatusCode::ACCEPTED && answer.body.is_empty());
        }
        let letter = eventually(SOON, "a letter", || async { mail.letter_to(OWNER.0) }).await?;
        ensure!(
            letter.contains("From: Streamr <streamr@example.org>"),
            "{letter}"
        );
        ensure!(
            mail.letter_to("nobody@example.org")?.is_none(),
            "mail to a stranger"
        );
        let joined = letter
            .replace("=\r\n", "")
            .replace("=\n", "")
            .replace("=3D", "=");
        let link = joined
            .split_whitespace()
            .find(|word| word.contains("/reset#"))
            .context("no link")?;
        ensure!(link.starts_with("https://streamr.example/reset#"), "{link}");
        let token = link.split('#').nth(1).unwrap_or("");
        let reset = |password: &str| json!({ "token": token, "password": password });
        let path = "/api/v1/auth/password/reset";
        let before = sandbox.owner().await?;
        ensure!(post(&sandbox, path, &reset("short")).await?.status == StatusCode::BAD_REQUEST);
        let done = post(&sandbox, path, &reset("another good password")).await?;
        ensure!(done.status == StatusCode::NO_CONTENT, "{}", done.text());
        ensure!(
            post(&sandbox, path, &reset("a third password"))
                .await?
                .status
                == StatusCode::BAD_REQUEST
        );
        ensure!(before.ask(Method::GET, "/me", None).await?.status == StatusCode::UNAUTHORIZED);
        ensure!(sandbox.owner().await.is_err(), "the old password");
        Account::log_in(&sandbox.pages(), OWNER.0, "another good password").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_operator_resets_the_owner_and_bans() -> Result<()> {
    let sandbox = Sandbox::embedded()
        .set("ACCOUNTS__REGISTRATION", "open")
        .start()
        .await?;
    scenario(&sandbox, async {
        let printed = sandbox.streamr(&["admin", "reset-owner"]).await?;
        let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
        let token = printed
            .split('#')
            .nth(1)
            .context("no link")?
            .trim()
            .to_owned();
        let body = json!({ "token": token, "password": "another good password" });
        let reset = post(&sandbox, "/api/v1/auth/password/reset", &body).await?;
        ensure!(reset.status == StatusCode::NO_CONTENT, "{}", reset.text());
        Account::log_in(&sandbox.pages(), OWNER.0, "another good password").await?;
        let ben = sandbox.register("ben").await?;
        let banned = sandbox
            .streamr(&["admin", "ban", "ben@example.org"])
            .await?;
        ensure!(banned.status.success(), "{banned:?}");
        eventually(SOON, "the ban", || async {
            let answer = ben.ask(Method::GET, "/me", None).await?;
            Ok((answer.status == StatusCode::UNAUTHORIZED).then_some(()))
        })
        .await?;
        let again =
            Account::log_in(&sandbox.pages(), "ben@example.org", "the password of ben").await;
        ensure!(again.is_err_and(|error| error.to_string().contains("403")));
        let last = sandbox.streamr(&["admin", "ban", OWNER.0]).await?;
        ensure!(!last.status.success(), "the last admin can't be banned");
        ensure!(
            sandbox
                .streamr(&["admin", "unban", "ben@example.org"])
                .await?
                .status
                .success()
        );
        Account::log_in(&sandbox.pages(), "ben@example.org", "the password of ben").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deleted_account_is_gone_with_its_streams() -> Result<()> {
    let sandbox = Sandbox::embedded()
        .set("ACCOUNTS__REGISTRATION", "open")
        .start()
        .await?;
    scenario(&sandbox, async {
        let (owner, ben) = (sandbox.owner().await?, sandbox.register("ben").await?);
        ben.stream("bens", "public").await?;
        let wrong = ben
            .ask(Method::DELETE, "/me", Some(&json!({ "password": "wrong" })))
            .await?;
        ensure!(wrong.status == StatusCode::BAD_REQUEST, "{}", wrong.text());
        let body = json!({ "password": "the password of ben" });
        let deleted = ben.ask(Method::DELETE, "/me", Some(&body)).await?;
        ensure!(
            deleted.status == StatusCode::NO_CONTENT,
            "{}",
            deleted.text()
        );
        ensure!(ben.ask(Method::GET, "/me", None).await?.status == StatusCode::UNAUTHORIZED);
        ensure!(
            owner.ask(Method::GET, "/streams/bens", None).await?.status == StatusCode::NOT_FOUND
        );
        let users = owner.get("/admin/users").await?.to_string();
        let audit = owner.get("/admin/audit").await?.to_string();
        ensure!(!users.contains("ben@example.org") && !audit.contains("ben@example.org"));
        ensure!(
            audit.contains("user.deleted"),
            "the books are kept: {audit}"
        );
        // The last admin can't go.
        let last = owner
            .ask(Method::DELETE, "/me", Some(&json!({ "password": OWNER.1 })))
            .await?;
        ensure!(last.status == StatusCode::CONFLICT, "{}", last.text());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_new_log_in_is_a_new_session() -> Result<()> {
    let sandbox = Sandbox::embedded().start().await?;
    scenario(&sandbox, async {
        // Fixation: a cookie that somebody planted is not taken over.
        let url = format!("{}/api/v1/auth/login", sandbox.pages());
        let body = json!({ "email": OWNER.0, "password": OWNER.1 });
        let planted = [("cookie", "streamr_refresh=plantedplantedplantedplanted")];
        let answer = send(&http::client()?, Method::POST, &url, &planted, Some(&body)).await?;
        let given = cookie(&answer, "streamr_refresh").context("no cookie")?;
        ensure!(given != "plantedplantedplantedplanted");
        let reused = refresh(&sandbox, "plantedplantedplantedplanted").await?;
        ensure!(reused.status == StatusCode::UNAUTHORIZED);
        Ok(())
    })
    .await
}
