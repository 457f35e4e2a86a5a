//! Accounts, log-ins, links, shares, settings, the audit log and idempotency.

use events::Fact;
use storage::{
    AuditFilter, Claim, Database, KeyPurpose, LinkPurpose, NewAudit, NewLogin, NewStream, NewUser,
    Order, PlaybackSession, Rotation, Scope, Sealed, SecretHash, Seen, StorageError, StreamChange,
    User,
};
use time::{Duration, OffsetDateTime};
use types::{Role, Secret, SessionId, StreamState, Visibility};

use crate::{a_stream, done, facts_of, unique_key, unique_slug};

contract!(
    an_address_has_one_account,
    a_refresh_token_is_used_once_and_reuse_ends_the_log_in,
    of_two_that_refresh_at_once_one_is_reuse,
    a_new_password_ends_the_other_log_ins,
    a_ban_ends_log_ins_and_streams,
    a_deleted_account_leaves_nothing_personal,
    one_time_links_work_once_and_in_time,
    an_invitation_is_used_once,
    a_revoked_link_takes_its_sessions_along,
    a_stream_is_changed_only_as_it_was_read,
    a_rehearsal_starts_as_one_and_goes_live,
    lists_hold_what_one_may_see,
    the_audit_log_can_only_grow,
    a_setting_is_changed_and_told,
    totp_steps_and_recovery_codes_are_used_once,
    an_idempotency_key_belongs_to_one_request,
    signing_keys_are_kept_in_order,
);

pub(crate) fn hash() -> SecretHash {
    SecretHash(unique_key().0)
}

async fn a_user(database: &Database, role: Role) -> User {
    let new = NewUser {
        email: format!("{}@example.org", unique_slug()),
        display_name: "Ana".to_owned(),
        password: Secret::new("$argon2id$".to_owned()),
        role,
    };
    database.users().create(new, done()).await.unwrap()
}

async fn a_login(database: &Database, user: &User) -> (storage::Login, SecretHash) {
    let token = hash();
    let new = NewLogin {
        user: user.id,
        user_agent: "Firefox".to_owned(),
        network: "192.0.2.0/24".to_owned(),
        token,
        lifetime: Duration::days(7),
    };
    (database.logins().create(new, done()).await.unwrap(), token)
}

async fn an_address_has_one_account(database: Database) {
    let user = a_user(&database, Role::Streamer).await;
    let email = user.email.clone().unwrap();
    let again = NewUser {
        email: email.clone(),
        display_name: String::new(),
        password: Secret::new(String::new()),
        role: Role::Admin,
    };
    let refused = database.users().create(again, done()).await;
    assert!(matches!(refused, Err(StorageError::EmailTaken)));
    let found = database.users().by_email(&email).await.unwrap().unwrap();
    assert_eq!((found.id, found.role), (user.id, Role::Streamer));
}

async fn a_refresh_token_is_used_once_and_reuse_ends_the_log_in(database: Database) {
    let user = a_user(&database, Role::Streamer).await;
    let (login, first) = a_login(&database, &user).await;
    let logins = database.logins();
    let (second, third) = (hash(), hash());
    let week = Duration::days(7);
    let rotated = logins.rotate(first, second, week).await.unwrap();
    assert!(matches!(rotated, Rotation::Rotated(went_on) if went_on.id == login.id));
    let reused = logins.rotate(first, third, week).await.unwrap();
    assert_eq!(reused, Rotation::Reused(login.id));
    let over = logins.rotate(second, hash(), week).await.unwrap();
    assert_eq!(over, Rotation::Refused, "the whole family is over");
    assert!(logins.of(user.id).await.unwrap().is_empty());
    let unknown = logins.rotate(hash(), hash(), week).await.unwrap();
    assert_eq!(unknown, Rotation::Refused);
}

async fn of_two_that_refresh_at_once_one_is_reuse(database: Database) {
    let user = a_user(&database, Role::Streamer).await;
    let (login, token) = a_login(&database, &user).await;
    let logins = database.logins();
    let week = Duration::days(7);
    let (a, b) = tokio::join!(
        logins.rotate(token, hash(), week),
        logins.rotate(token, hash(), week)
    );
    let (a, b) = (a.unwrap(), b.unwrap());
    let rotated = [&a, &b]
        .iter()
        .filter(|r| matches!(r, Rotation::Rotated(_)))
        .count();
    assert_eq!(rotated, 1, "{a:?} {b:?}");
    assert!([a, b].contains(&Rotation::Reused(login.id)));
}

async fn a_new_password_ends_the_other_log_ins(database: Database) {
    let user = a_user(&database, Role::Streamer).await;
    let (kept, _) = a_login(&database, &user).await;
    let (ended, _) = a_login(&database, &user).await;
    let password = Secret::new("new".to_owned());
    let users = database.users();
    users
        .set_password(user.id, &password, Some(kept.id), done())
        .await
        .unwrap();
    let lasting: Vec<_> = database.logins().of(user.id).await.unwrap();
    assert_eq!(
        lasting.iter().map(|login| login.id).collect::<Vec<_>>(),
        [kept.id]
    );
    let ended = database.logins().get(ended.id).await.unwrap().unwrap();
    assert!(ended.revoked_at.is_some());
    users.log_out_everywhere(user.id, done()).await.unwrap();
    assert!(database.logins().of(user.id).await.unwrap().is_empty());
}

async fn owned_stream(database: &Database, owner: &User) -> storage::Stream {
    let new = NewStream {
        owner: Some(owner.id),
        ..NewStream::new(unique_slug(), "Mine".to_owned(), unique_key())
    };
    database.streams().create(new, done()).await.unwrap()
}

async fn a_ban_ends_log_ins_and_streams(database: Database) {
    a_user(&database, Role::Admin).await;
    let user = a_user(&database, Role::Streamer).await;
    a_login(&database, &user).await;
    let stream = owned_stream(&database, &user).await;
    database.streams().start(stream.id).await.unwrap();
    let users = database.users();
    let banned = users.set_banned(user.id, true, done()).await.unwrap();
    assert!(banned.banned_at.is_some());
    assert!(database.logins().of(user.id).await.unwrap().is_empty());
    let stream = database.streams().by_id(stream.id).await.unwrap().unwrap();
    assert_eq!(stream.state, StreamState::Offline);
    assert!(stream.stopped_at.is_some());
    let stopped = Fact::StreamStopped { stream: stream.id };
    assert!(
        facts_of(&database, stream.id)
            .await
            .iter()
            .any(|(_, fact)| *fact == stopped)
    );
    let lifted = users.set_banned(user.id, false, done()).await.unwrap();
    assert!(lifted.banned_at.is_none());
}

async fn a_deleted_account_leaves_nothing_personal(database: Database) {
    a_user(&database, Role::Admin).await;
    let user = a_user(&database, Role::Friend).await;
    a_login(&database, &user).await;
    let stream = owned_stream(&database, &user).await;
    database.users().delete(user.id, done()).await.unwrap();
    let row = database.users().by_id(user.id).await.unwrap().unwrap();
    assert_eq!(
        (row.email, row.password.is_some(), row.totp),
        (None, false, None)
    );
    assert!(row.deleted_at.is_some() && row.display_name == "deleted account");
    assert!(database.streams().by_id(stream.id).await.unwrap().is_none());
    assert!(database.logins().of(user.id).await.unwrap().is_empty());
    let email = user.email.unwrap();
    assert!(database.users().by_email(&email).await.unwrap().is_none());
}

async fn one_time_links_work_once_and_in_time(database: Database) {
    let user = a_user(&database, Role::Streamer).await;
    let links = database.links();
    let (old, new) = (hash(), hash());
    let hour = Duration::hours(1);
    for secret in [old, new] {
        links
            .create(LinkPurpose::Reset, Some(user.id), secret, hour, None)
            .await
            .unwrap();
    }
    let take = async |secret| links.take(LinkPurpose::Reset, secret).await.unwrap();
    assert_eq!(take(old).await, None, "a newer one replaced it");
    assert!(links.is_good(LinkPurpose::Reset, new).await.unwrap());
    assert!(
        !links.is_good(LinkPurpose::Setup, new).await.unwrap(),
        "another purpose"
    );
    assert_eq!(take(new).await, Some(Some(user.id)));
    assert_eq!(take(new).await, None, "used");
    let late = hash();
    let over = Duration::seconds(-1);
    links
        .create(LinkPurpose::Reset, Some(user.id), late, over, None)
        .await
        .unwrap();
    assert_eq!(take(late).await, None, "over");
}

async fn an_invitation_is_used_once(database: Database) {
    let admin = a_user(&database, Role::Admin).await;
    let secret = hash();
    let links = database.links();
    let week = Duration::days(7);
    let made = links
        .invite(admin.id, None, Role::Friend, secret, week, done())
        .await
        .unwrap();
    let found = links.invitation(secret).await.unwrap().unwrap();
    assert_eq!((found.id, found.role), (made.id, Role::Friend));
    assert!(links.use_invitation(made.id).await.unwrap());
    assert!(!links.use_invitation(made.id).await.unwrap());
    assert!(links.withdraw(made.id, done()).await.unwrap());
    assert!(links.invitation(secret).await.unwrap().is_none());
}

async fn a_revoked_link_takes_its_sessions_along(database: Database) {
    let (stream, _) = a_stream(&database).await;
    let (shares, secret) = (database.shares(), hash());
    let link = shares
        .create(stream.id, "Friends".to_owned(), secret, done())
        .await
        .unwrap();
    assert_eq!(shares.by_secret(secret).await.unwrap().unwrap().id, link.id);
    let session = |link| PlaybackSession {
        id: SessionId::new(),
        link,
        user: None,
        issued_at: OffsetDateTime::now_utc().replace_nanosecond(0).unwrap(),
    };
    let (theirs, mine) = (session(Some(link.id)), session(None));
    shares.open(stream.id, &theirs).await.unwrap();
    shares.open(stream.id, &mine).await.unwrap();
    let listed = shares.sessions(stream.id, None, 10).await.unwrap();
    assert_eq!(listed, [mine.clone(), theirs.clone()]);
    assert!(shares.revoke(stream.id, link.id, done()).await.unwrap());
    assert!(!shares.revoke(stream.id, link.id, done()).await.unwrap());
    assert!(shares.by_secret(secret).await.unwrap().is_none());
    assert_eq!(shares.revoked(stream.id).await.unwrap(), [theirs.id]);
    assert_eq!(shares.sessions(stream.id, None, 10).await.unwrap(), [mine]);
    let fact = Fact::SessionRevoked {
        stream: stream.id,
        session: theirs.id,
    };
    assert!(
        facts_of(&database, stream.id)
            .await
            .iter()
            .any(|(_, told)| *told == fact)
    );
}

async fn a_stream_is_changed_only_as_it_was_read(database: Database) {
    let (stream, _) = a_stream(&database).await;
    let streams = database.streams();
    let private = StreamChange {
        visibility: Some(Visibility::Private),
        title: Some("Secret".to_owned()),
        ..StreamChange::default()
    };
    let changed = streams
        .change(
            stream.id,
            private.clone(),
            Some(stream.version),
            Some(done()),
        )
        .await
        .unwrap();
    assert!(changed.is_restricted() && changed.title == "Secret");
    assert_eq!(changed.version, stream.version + 1);
    let stale = streams
        .change(stream.id, private, Some(stream.version), None)
        .await;
    assert!(matches!(stale, Err(StorageError::Changed(_))));
    let kept = streams.by_id(stream.id).await.unwrap().unwrap();
    assert_eq!(kept.version, changed.version, "and nothing happened");
}

async fn a_rehearsal_starts_as_one_and_goes_live(database: Database) {
    let (stream, _) = a_stream(&database).await;
    let streams = database.streams();
    let rehearse = StreamChange {
        testing: Some(true),
        ..StreamChange::default()
    };
    streams
        .change(stream.id, rehearse, None, None)
        .await
        .unwrap();
    let testing = streams.start(stream.id).await.unwrap();
    assert_eq!(testing.state, StreamState::Testing);
    assert!(testing.is_restricted());
    let refused = streams.delete(stream.id, done()).await;
    assert!(matches!(refused, Err(StorageError::OnAir(_))));
    let live = streams
        .transition(stream.id, StreamState::Live, Seen::default(), Some(done()))
        .await
        .unwrap();
    assert!(!live.is_restricted());
    assert_eq!(
        live.started_at, testing.started_at,
        "it is the same broadcast"
    );
    let stopped = streams
        .stop(stream.id, Seen::default(), done())
        .await
        .unwrap();
    assert_eq!(stopped.state, StreamState::Offline);
    streams.delete(stream.id, done()).await.unwrap();
    assert!(streams.by_id(stream.id).await.unwrap().is_none());
}

async fn lists_hold_what_one_may_see(database: Database) {
    let owner = a_user(&database, Role::Streamer).await;
    let streams = database.streams();
    let mut ids = Vec::new();
    for visibility in Visibility::ALL {
        let new = NewStream {
            owner: Some(owner.id),
            visibility: *visibility,
            ..NewStream::new(unique_slug(), String::new(), unique_key())
        };
        ids.push(streams.create(new, done()).await.unwrap().id);
    }
    let listed = async |scope| {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = streams.list(scope, None, after, 50).await.unwrap();
            let Some(last) = page.last().map(|stream| stream.id) else {
                return found;
            };
            found.extend(
                page.into_iter()
                    .map(|stream| stream.id)
                    .filter(|id| ids.contains(id)),
            );
            after = Some(last);
        }
    };
    assert_eq!(listed(Scope::Public).await, ids[..1]);
    assert_eq!(listed(Scope::OwnedBy(owner.id)).await, ids);
    assert_eq!(listed(Scope::All).await, ids);
    assert_eq!(streams.owned(&[owner.id]).await.unwrap(), [(owner.id, 3)]);
}

async fn the_audit_log_can_only_grow(database: Database) {
    let user = a_user(&database, Role::Streamer).await;
    let entry = NewAudit {
        actor: Some(user.id),
        network: Some("192.0.2.0/24".to_owned()),
        detail: Some("{}".to_owned()),
        ..NewAudit::new("key.changed")
    };
    database.audit().add(entry).await.unwrap();
    let about = AuditFilter {
        about: Some(user.id),
        action: None,
    };
    let list = async |order, after, limit| {
        database
            .audit()
            .list(&about, order, after, limit)
            .await
            .unwrap()
    };
    let newest = list(Order::Newest, None, 10).await;
    let actions: Vec<_> = newest.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["key.changed", "test.done"]);
    let oldest = list(Order::Oldest, None, 1).await;
    assert_eq!(oldest[0].action, "test.done");
    let rest = list(Order::Oldest, Some(oldest[0].id), 10).await;
    assert_eq!(rest, newest[..1]);
    for statement in ["UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log"] {
        let refused = database.execute_for_tests(statement).await.unwrap_err();
        assert!(refused.to_string().contains("append only"), "{refused}");
    }
}

async fn a_setting_is_changed_and_told(database: Database) {
    let name = format!("flag/{}", unique_slug());
    let settings = database.settings();
    for value in ["off", "on"] {
        settings.put(&name, value, None, done()).await.unwrap();
    }
    let all = settings.all().await.unwrap();
    let kept = all.iter().find(|setting| setting.name == name).unwrap();
    assert_eq!(kept.value, "on");
    let pending = events::Outbox::pending(&database.outbox(), 10_000)
        .await
        .unwrap();
    let versions: Vec<_> = pending
        .iter()
        .filter(|p| p.event.fact == Fact::SettingChanged { name: name.clone() })
        .map(|p| p.event.version)
        .collect();
    assert_eq!(versions, [1, 2]);
}

async fn totp_steps_and_recovery_codes_are_used_once(database: Database) {
    let user = a_user(&database, Role::Streamer).await;
    let (users, code) = (database.users(), hash());
    users.propose_totp(user.id, Sealed(vec![1])).await.unwrap();
    users
        .enable_totp(user.id, 10, &[code], done())
        .await
        .unwrap();
    let again = users.propose_totp(user.id, Sealed(vec![2])).await;
    assert!(matches!(again, Err(StorageError::TotpEnabled)));
    assert!(!users.use_totp_step(user.id, 10).await.unwrap());
    assert!(users.use_totp_step(user.id, 11).await.unwrap());
    assert!(!users.use_totp_step(user.id, 11).await.unwrap());
    assert!(users.use_recovery_code(user.id, code).await.unwrap());
    assert!(!users.use_recovery_code(user.id, code).await.unwrap());
    users.disable_totp(user.id, done()).await.unwrap();
    let user = users.by_id(user.id).await.unwrap().unwrap();
    assert!(!user.totp_enabled && user.totp.is_none());
}

async fn an_idempotency_key_belongs_to_one_request(database: Database) {
    let user = a_user(&database, Role::Streamer).await;
    let (repository, request) = (database.idempotency(), hash());
    let claim = async |request| {
        repository
            .claim(user.id, "key-1234", request)
            .await
            .unwrap()
    };
    assert_eq!(claim(request).await, Claim::Fresh);
    assert_eq!(claim(request).await, Claim::InFlight);
    assert_eq!(claim(hash()).await, Claim::Other);
    let answer = Sealed(b"answer".to_vec());
    repository
        .complete(user.id, "key-1234", answer.clone())
        .await
        .unwrap();
    assert_eq!(claim(request).await, Claim::Answered(answer));
    repository.release(user.id, "key-1234").await.unwrap();
    assert_eq!(claim(request).await, Claim::Fresh);
    let other = a_user(&database, Role::Streamer).await;
    let theirs = repository
        .claim(other.id, "key-1234", hash())
        .await
        .unwrap();
    assert_eq!(theirs, Claim::Fresh, "another user's key is another key");
}

async fn signing_keys_are_kept_in_order(database: Database) {
    let keys = database.signing_keys();
    let names: Vec<String> = (0..2).map(|_| unique_slug().to_string()).collect();
    for name in &names {
        keys.add(KeyPurpose::Playback, name, [7; 32], Sealed(vec![1, 2]))
            .await
            .unwrap();
    }
    let kept = keys.of(KeyPurpose::Playback).await.unwrap();
    let ours: Vec<_> = kept
        .iter()
        .filter(|record| names.contains(&record.key_id))
        .map(|record| record.key_id.clone())
        .collect();
    assert_eq!(ours, names);
    let access = keys.of(KeyPurpose::Access).await.unwrap();
    assert!(access.iter().all(|record| !names.contains(&record.key_id)));
}
