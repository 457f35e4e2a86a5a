//! Every query that is asked often, explained by PostgreSQL itself on some thousand rows: none reads a
//! whole table.

use events::Outbox;
use storage::{
    AuditFilter, Database, KeyHash, LinkPurpose, NewLogin, Order, PlaybackSession, Scope,
    SecretHash, Seen,
};
use testkit::engines::Postgres;
use time::{Duration, OffsetDateTime};
use types::{
    AuditId, LoginId, Secret, SessionId, ShareLinkId, Slug, StreamId, StreamState, UserId,
};

use super::{done, unique_key};

/// Rows of a thousand users with five streams each, most of them long over.
const ROWS: &[&str] = &[
    "CREATE FUNCTION nr(kind int, n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS
     $$ SELECT (lpad(to_hex(kind), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$",
    "CREATE FUNCTION secret(kind int, n int) RETURNS bytea LANGUAGE sql IMMUTABLE AS
     $$ SELECT sha256((kind || '/' || n)::bytea) $$",
    "INSERT INTO users (id, email, display_name, password, role, totp_enabled, totp_step, valid_from, created_at)
     SELECT nr(1, n), n || '@example.org', 'User ' || n, 'x', CASE WHEN n = 1 THEN 'admin' ELSE 'friend' END,
            false, 0, now(), now() FROM generate_series(1, 1000) n",
    "INSERT INTO streams (id, slug, title, state, version, created_at, owner_id, visibility)
     SELECT nr(2, n), 'stream-' || n, 'A title', CASE WHEN n % 500 = 0 THEN 'live' ELSE 'offline' END, 1, now(),
            nr(1, n % 1000 + 1), CASE WHEN n % 3 = 0 THEN 'private' ELSE 'public' END
     FROM generate_series(1, 5000) n",
    "INSERT INTO stream_keys (id, stream_id, hash, created_at)
     SELECT nr(3, n), nr(2, n), secret(3, n), now() FROM generate_series(1, 5000) n",
    "INSERT INTO origins (stream_id, epoch, msn, target_duration_s, part_target_ms, discontinuity_sequence, updated_at)
     SELECT nr(2, n), 1, 1, 2, 300, 0, now() FROM generate_series(1, 5000) n",
    "INSERT INTO logins (id, user_id, user_agent, network, created_at, last_used_at, expires_at)
     SELECT nr(4, n), nr(1, n % 1000 + 1), 'x', '192.0.2.0/24', now(), now(), now() + interval '30 days'
     FROM generate_series(1, 10000) n",
    "INSERT INTO refresh_tokens (hash, login_id, created_at)
     SELECT secret(4, n), nr(4, n), now() FROM generate_series(1, 10000) n",
    "INSERT INTO recovery_codes (hash, user_id)
     SELECT secret(5, n), nr(1, n % 1000 + 1) FROM generate_series(1, 10000) n",
    "INSERT INTO one_time_links (hash, purpose, user_id, created_at, expires_at)
     SELECT secret(6, n), 'reset', nr(1, n % 1000 + 1), now(), now() + interval '1 hour'
     FROM generate_series(1, 5000) n",
    "INSERT INTO share_links (id, stream_id, hash, label, created_at)
     SELECT nr(7, n), nr(2, n % 5000 + 1), secret(7, n), 'x', now() FROM generate_series(1, 10000) n",
    "INSERT INTO playback_sessions (id, stream_id, link_id, issued_at)
     SELECT nr(8, n), nr(2, n % 5000 + 1), nr(7, n % 10000 + 1), now() FROM generate_series(1, 50000) n",
    "INSERT INTO audit_log (id, at, action, actor, subject)
     SELECT nr(9, n), now(), 'action.' || n % 50, nr(1, n % 1000 + 1), 'user/' || nr(1, n % 700 + 1)
     FROM generate_series(1, 30000) n",
    "INSERT INTO outbox (id, payload, attempts, created_at, sent_at)
     SELECT nr(10, n), '', 0, now(), now() FROM generate_series(1, 20000) n",
    "INSERT INTO idempotency_keys (scope, key, request, created_at)
     SELECT nr(1, n % 1000 + 1)::text, 'key-' || n, secret(11, n), now() FROM generate_series(1, 10000) n",
    "ANALYZE",
];

/// Too small, or read as a whole on purpose.
const WHOLE: &[&str] = &[
    "settings",
    "signing_keys",
    "origin_keys",
    "seaql_migrations",
];

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(kind: u32, number: u32) -> T {
    format!("{kind:08x}-0000-7000-8000-{number:012x}")
        .parse()
        .unwrap()
}

fn secret(byte: u8) -> SecretHash {
    SecretHash([byte; 32])
}

async fn ask_for_streams(database: &Database) {
    let (streams, stream) = (database.streams(), number::<StreamId>(2, 77));
    streams.by_id(stream).await.unwrap();
    streams
        .by_slug(&"stream-77".parse::<Slug>().unwrap())
        .await
        .unwrap();
    streams.by_key(KeyHash([1; 32])).await.unwrap();
    streams.on_air().await.unwrap();
    let scopes = [Scope::All, Scope::Public, Scope::OwnedBy(number(1, 7))];
    for scope in scopes {
        for state in [None, Some(StreamState::Live), Some(StreamState::Offline)] {
            for after in [None, Some(stream)] {
                streams.list(scope, state, after, 50).await.unwrap();
            }
        }
    }
    streams.owned(&[number(1, 7), number(1, 8)]).await.unwrap();
    streams.key_times(&[stream]).await.unwrap();
    streams.set_peak(stream, 3).await.unwrap();
    streams
        .replace_key(stream, unique_key(), done())
        .await
        .unwrap();
    streams.start(stream).await.unwrap();
    streams.stop(stream, Seen::default(), done()).await.unwrap();
    streams.delete(stream, done()).await.unwrap();
    let stream = number(2, 78);
    let record = database.origins().open_epoch(stream).await.unwrap();
    database.origins().record(stream, record).await.unwrap();
    database.origins().get(stream).await.unwrap();
    database.outbox().pending(100).await.unwrap();
}

async fn ask_for_people(database: &Database) {
    let (users, user) = (database.users(), number::<UserId>(1, 7));
    users.by_id(user).await.unwrap();
    users.by_email("7@example.org").await.unwrap();
    users.names(&[user]).await.unwrap();
    users.owner().await.unwrap();
    users.rename(user, "Another").await.unwrap();
    users.set_banned(user, true, done()).await.unwrap();
    users.use_recovery_code(user, secret(5)).await.unwrap();
    let logins = database.logins();
    logins.get(number::<LoginId>(4, 7)).await.unwrap();
    logins.of(user).await.unwrap();
    logins.by_token(secret(4)).await.unwrap();
    logins
        .rotate(secret(4), secret(40), Duration::HOUR)
        .await
        .unwrap();
    logins.end(user, number(4, 6), done()).await.unwrap();
    let new = NewLogin {
        user,
        user_agent: "x".to_owned(),
        network: "192.0.2.0/24".to_owned(),
        token: secret(41),
        lifetime: Duration::HOUR,
    };
    logins.create(new, done()).await.unwrap();
    let links = database.links();
    links
        .create(
            LinkPurpose::Reset,
            Some(user),
            secret(6),
            Duration::HOUR,
            None,
        )
        .await
        .unwrap();
    links.take(LinkPurpose::Reset, secret(6)).await.unwrap();
    let keys = database.idempotency();
    keys.claim(user, "key-6", secret(11)).await.unwrap();
    for about in [None, Some(user)] {
        for action in [None, Some("action.7".to_owned()), Some("none".to_owned())] {
            for order in [Order::Newest, Order::Oldest] {
                let filter = AuditFilter {
                    about,
                    action: action.clone(),
                };
                let after = Some(number::<AuditId>(9, 9_000));
                database
                    .audit()
                    .list(&filter, order, None, 50)
                    .await
                    .unwrap();
                database
                    .audit()
                    .list(&filter, order, after, 50)
                    .await
                    .unwrap();
            }
        }
    }
}

async fn ask_for_viewers(database: &Database) {
    let (shares, stream) = (database.shares(), number::<StreamId>(2, 90));
    let link = number::<ShareLinkId>(7, 89);
    let session = PlaybackSession {
        id: SessionId::new(),
        link: Some(link),
        user: None,
        issued_at: OffsetDateTime::now_utc(),
    };
    shares.by_secret(secret(7)).await.unwrap();
    shares.of(stream).await.unwrap();
    shares
        .create(stream, "x".to_owned(), secret(70), done())
        .await
        .unwrap();
    shares.open(stream, &session).await.unwrap();
    shares.sessions(stream, None, 50).await.unwrap();
    shares.sessions(stream, Some(session.id), 50).await.unwrap();
    shares
        .revoke_session(stream, session.id, done())
        .await
        .unwrap();
    shares.revoked(stream).await.unwrap();
    shares.revoke(stream, link, done()).await.unwrap();
}

/// The plans in a server's log that read a whole table of ours; sub-plans are part of theirs.
fn whole_reads(log: &str) -> Vec<&str> {
    log.split("plan:\n")
        .skip(1)
        .map(|plan| {
            // A plan's lines are indented; the next entry's is not.
            let end = plan
                .match_indices('\n')
                .find(|(at, _)| !plan[at + 1..].starts_with('\t'))
                .map_or(plan.len(), |(at, _)| at);
            &plan[..end]
        })
        .filter(|plan| {
            plan.split("Seq Scan on ").skip(1).any(|rest| {
                let table = rest.split([' ', '\n']).next().unwrap_or_default();
                !WHOLE.contains(&table)
            })
        })
        .collect()
}

#[tokio::test]
async fn no_query_that_is_asked_often_reads_a_whole_table() {
    let postgres = Postgres::start_with(&[
        "session_preload_libraries=auto_explain",
        "auto_explain.log_min_duration=0",
        "fsync=off",
    ])
    .await
    .unwrap();
    let url = Secret::new(postgres.url());
    let database = Database::connect(&url).await.unwrap();
    for statement in ROWS {
        database.execute_for_tests(statement).await.unwrap();
    }
    let loaded = postgres.log().len();
    ask_for_streams(&database).await;
    ask_for_people(&database).await;
    ask_for_viewers(&database).await;
    let log = postgres.log();
    let asked = &log[loaded..];
    assert!(asked.matches("plan:\n").count() > 80, "plans are logged");
    let whole = whole_reads(asked);
    assert!(
        whole.is_empty(),
        "{} read whole tables:\n{}",
        whole.len(),
        whole.join("\n\n")
    );
}
