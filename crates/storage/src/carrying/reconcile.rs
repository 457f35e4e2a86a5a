//! Sessions of which something new was told: their facts are read together, and what counts is written.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use economy::{Assigned, Claimed, Contribution, Received, Reconciled, SessionFacts, Sources};
use events::Fact;
use sea_orm::{
    ConnectionTrait, QueryResult,
    sea_query::{Alias, Expr, ExprTrait, Order, Query, SelectStatement},
};
use types::{Bitrate, ByteCount, NodeId, RunId, SessionId, StreamId};
use uuid::Uuid;

use super::{
    Carrying,
    facts::mark_days,
    rows::{Merge, count, id, iden, upsert},
};
use crate::{StorageError, outbox};

/// Sessions of one transaction.
const AT_ONCE: u64 = 200;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Now, Unix time in milliseconds.
pub(super) fn now_ms() -> i64 {
    (time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000) as i64
}

/// The start of a day (UTC).
pub(super) fn day_of(at_ms: i64) -> i64 {
    at_ms.div_euclid(DAY_MS) * DAY_MS
}

/// A session with its stream and what is known of it.
struct Known {
    stream: StreamId,
    facts: SessionFacts,
}

/// What does not add up, by session, node and kind.
type Findings = BTreeMap<(SessionId, NodeId, &'static str), (StreamId, ByteCount)>;

/// A contribution's key: session, node, minute.
type Key = (SessionId, NodeId, i64);

fn select(table: &'static str, columns: &[&'static str], sessions: &[Uuid]) -> SelectStatement {
    Query::select()
        .columns(columns.iter().map(|column| Alias::new(*column)))
        .from(iden(table))
        .and_where(Expr::col(iden("session_id")).is_in(sessions.iter().copied()))
        .take()
}

fn session_of(row: &QueryResult) -> Result<SessionId, StorageError> {
    Ok(SessionId::from_uuid(row.try_get("", "session_id")?))
}

fn node_of(row: &QueryResult) -> Result<NodeId, StorageError> {
    Ok(NodeId::from_uuid(row.try_get("", "node_id")?))
}

fn bytes(row: &QueryResult, column: &str) -> Result<ByteCount, StorageError> {
    let value: i64 = row.try_get("", column)?;
    Ok(ByteCount::new(Ord::max(value, 0).cast_unsigned()))
}

impl Carrying {
    /// Reconciles sessions that are due, some at once. Answers how many.
    pub async fn reconcile(&self) -> Result<usize, StorageError> {
        let transaction = self.database.begin().await?;
        let due = Query::select()
            .column(iden("session_id"))
            .from(iden("dirty_sessions"))
            .and_where(Expr::col(iden("due_ms")).lte(now_ms()))
            .order_by(iden("due_ms"), Order::Asc)
            .limit(AT_ONCE)
            .take();
        let rows = transaction.query_all(&due).await?;
        let sessions: Vec<Uuid> = rows
            .iter()
            .map(|row| row.try_get("", "session_id"))
            .collect::<Result<_, _>>()?;
        if sessions.is_empty() {
            return Ok(0);
        }
        // First: what is told from here on marks the session again.
        let done = Query::delete()
            .from_table(iden("dirty_sessions"))
            .and_where(Expr::col(iden("session_id")).is_in(sessions.iter().copied()))
            .take();
        transaction.execute(&done).await?;
        let known = read(&transaction, &sessions).await?;
        let before = contributions(&transaction, &sessions).await?;
        let mut written = Written::default();
        for (session, known) in &known {
            let reconciled = economy::reconcile(&known.facts);
            written.add(*session, known.stream, &reconciled, &before);
        }
        for (session, minute) in minutes(&transaction, &sessions).await? {
            if let Some(known) = known.get(&session) {
                written.clear(session, known.stream, minute);
            }
        }
        forget_explained(&transaction, &sessions, &written.findings).await?;
        written.write(&transaction).await?;
        transaction.commit().await?;
        Ok(sessions.len())
    }
}

async fn read(
    connection: &impl ConnectionTrait,
    sessions: &[Uuid],
) -> Result<BTreeMap<SessionId, Known>, StorageError> {
    let now = now_ms();
    let mut known: BTreeMap<SessionId, Known> = BTreeMap::new();
    let columns = ["session_id", "stream_id", "started_ms", "ended_ms"];
    for row in connection
        .query_all(&select("carried_sessions", &columns, sessions))
        .await?
    {
        let facts = SessionFacts {
            started_ms: row.try_get("", "started_ms")?,
            ended_ms: row.try_get("", "ended_ms")?,
            now_ms: now,
            ..SessionFacts::default()
        };
        let stream = StreamId::from_uuid(row.try_get("", "stream_id")?);
        known.insert(session_of(&row)?, Known { stream, facts });
    }
    // A session whose beginning was not told yet waits for it.
    let columns = [
        "session_id",
        "node_id",
        "from_ms",
        "until_ms",
        "bitrate_bps",
        "own",
    ];
    for row in connection
        .query_all(&select("assignments", &columns, sessions))
        .await?
    {
        if let Some(session) = known.get_mut(&session_of(&row)?) {
            session.facts.assigned.push(Assigned {
                node: node_of(&row)?,
                from_ms: row.try_get("", "from_ms")?,
                until_ms: row.try_get("", "until_ms")?,
                bitrate: Bitrate::new(bytes(&row, "bitrate_bps")?.get()),
                own: row.try_get("", "own")?,
            });
        }
    }
    read_receipts(connection, sessions, &mut known).await?;
    let columns = [
        "session_id",
        "node_id",
        "run_id",
        "sequence",
        "from_ms",
        "to_ms",
        "bytes",
        "refused",
    ];
    for row in connection
        .query_all(&select("deliveries", &columns, sessions))
        .await?
    {
        if let Some(session) = known.get_mut(&session_of(&row)?) {
            let refused: String = row.try_get("", "refused")?;
            session.facts.claimed.push(Claimed {
                node: node_of(&row)?,
                run: RunId::from_uuid(row.try_get("", "run_id")?),
                sequence: bytes(&row, "sequence")?.get(),
                from_ms: row.try_get("", "from_ms")?,
                to_ms: row.try_get("", "to_ms")?,
                bytes: bytes(&row, "bytes")?,
                refused: !refused.is_empty(),
            });
        }
    }
    Ok(known)
}

async fn read_receipts(
    connection: &impl ConnectionTrait,
    sessions: &[Uuid],
    known: &mut BTreeMap<SessionId, Known>,
) -> Result<(), StorageError> {
    let mut nodes: HashMap<(SessionId, i32, i64), Vec<(NodeId, ByteCount)>> = HashMap::new();
    let columns = ["session_id", "epoch", "counter", "node_id", "bytes"];
    for row in connection
        .query_all(&select("receipt_nodes", &columns, sessions))
        .await?
    {
        let key = (
            session_of(&row)?,
            row.try_get("", "epoch")?,
            row.try_get("", "counter")?,
        );
        let part = (node_of(&row)?, bytes(&row, "bytes")?);
        nodes.entry(key).or_default().push(part);
    }
    let columns = [
        "session_id",
        "epoch",
        "counter",
        "at_ms",
        "peer_bytes",
        "edge_bytes",
    ];
    for row in connection
        .query_all(&select("receipts", &columns, sessions))
        .await?
    {
        let session = session_of(&row)?;
        let (epoch, counter): (i32, i64) = (row.try_get("", "epoch")?, row.try_get("", "counter")?);
        let Some(known) = known.get_mut(&session) else {
            continue;
        };
        known.facts.received.push(Received {
            epoch: epoch.cast_unsigned(),
            counter: counter.cast_unsigned(),
            at_ms: row.try_get("", "at_ms")?,
            nodes: nodes.remove(&(session, epoch, counter)).unwrap_or_default(),
            peers: bytes(&row, "peer_bytes")?,
            edge: bytes(&row, "edge_bytes")?,
        });
    }
    Ok(())
}

async fn contributions(
    connection: &impl ConnectionTrait,
    sessions: &[Uuid],
) -> Result<HashMap<Key, Contribution>, StorageError> {
    let columns = [
        "session_id",
        "node_id",
        "minute_ms",
        "carried_bytes",
        "earning_bytes",
    ];
    let rows = connection
        .query_all(&select("contributions", &columns, sessions))
        .await?;
    let mut known = HashMap::with_capacity(rows.len());
    for row in rows {
        let key = (
            session_of(&row)?,
            node_of(&row)?,
            row.try_get("", "minute_ms")?,
        );
        let contribution = Contribution {
            carried: bytes(&row, "carried_bytes")?,
            earning: bytes(&row, "earning_bytes")?,
        };
        known.insert(key, contribution);
    }
    Ok(known)
}

/// Minutes of which it is known where their bytes came from.
async fn minutes(
    connection: &impl ConnectionTrait,
    sessions: &[Uuid],
) -> Result<Vec<(SessionId, i64)>, StorageError> {
    let columns = ["session_id", "minute_ms"];
    let rows = connection
        .query_all(&select("session_minutes", &columns, sessions))
        .await?;
    let read = |row: &QueryResult| Ok((session_of(row)?, row.try_get("", "minute_ms")?));
    rows.iter().map(read).collect()
}

/// What reconciling changes.
#[derive(Default)]
struct Written {
    contributions: BTreeMap<Key, (StreamId, Contribution)>,
    minutes: BTreeMap<(SessionId, i64), (StreamId, Sources)>,
    findings: Findings,
    days: BTreeSet<(StreamId, i64)>,
}

impl Written {
    fn add(
        &mut self,
        session: SessionId,
        stream: StreamId,
        reconciled: &Reconciled,
        before: &HashMap<Key, Contribution>,
    ) {
        for ((node, minute), contribution) in &reconciled.contributions {
            let key = (session, *node, *minute);
            if before.get(&key) != Some(contribution) {
                self.contributions.insert(key, (stream, *contribution));
                self.days.insert((stream, day_of(*minute)));
            }
        }
        // What a later word moved to another minute no longer counts in this one.
        let gone = before.iter().filter(|((of, node, minute), known)| {
            *of == session
                && known.carried > ByteCount::ZERO
                && !reconciled.contributions.contains_key(&(*node, *minute))
        });
        for (key, _) in gone {
            self.contributions
                .insert(*key, (stream, Contribution::default()));
            self.days.insert((stream, day_of(key.2)));
        }
        for (minute, sources) in &reconciled.sources {
            self.minutes.insert((session, *minute), (stream, *sources));
            self.days.insert((stream, day_of(*minute)));
        }
        for finding in &reconciled.findings {
            let key = (session, finding.node, finding.oddity.as_str());
            self.findings.insert(key, (stream, finding.bytes));
        }
    }

    /// A minute from which a later word moved all bytes to others.
    fn clear(&mut self, session: SessionId, stream: StreamId, minute: i64) {
        let none = (stream, Sources::default());
        self.minutes.entry((session, minute)).or_insert(none);
        self.days.insert((stream, day_of(minute)));
    }

    async fn write(self, connection: &impl ConnectionTrait) -> Result<(), StorageError> {
        let facts: Vec<Fact> = self
            .contributions
            .iter()
            .map(
                |((session, node, minute_ms), (stream, counted))| Fact::ContributionRecorded {
                    node: *node,
                    stream: *stream,
                    session: *session,
                    minute_ms: *minute_ms,
                    verified: counted.earning,
                },
            )
            .collect();
        let rows =
            self.contributions
                .into_iter()
                .map(|((session, node, minute), (stream, counted))| {
                    vec![
                        id(session.as_uuid()),
                        id(node.as_uuid()),
                        minute.into(),
                        id(stream.as_uuid()),
                        count(counted.carried.get()),
                        count(counted.earning.get()),
                    ]
                });
        upsert(
            connection,
            "contributions",
            &["session_id", "node_id", "minute_ms"],
            &[
                "session_id",
                "node_id",
                "minute_ms",
                "stream_id",
                "carried_bytes",
                "earning_bytes",
            ],
            rows.collect(),
            &[
                Merge::Replace("carried_bytes"),
                Merge::Replace("earning_bytes"),
            ],
        )
        .await?;
        let rows = self
            .minutes
            .into_iter()
            .map(|((session, minute), (stream, sources))| {
                vec![
                    id(session.as_uuid()),
                    minute.into(),
                    id(stream.as_uuid()),
                    count(sources.friends.get()),
                    count(sources.peers.get()),
                    count(sources.edge.get()),
                ]
            });
        upsert(
            connection,
            "session_minutes",
            &["session_id", "minute_ms"],
            &[
                "session_id",
                "minute_ms",
                "stream_id",
                "friend_bytes",
                "peer_bytes",
                "edge_bytes",
            ],
            rows.collect(),
            &[
                Merge::Replace("friend_bytes"),
                Merge::Replace("peer_bytes"),
                Merge::Replace("edge_bytes"),
            ],
        )
        .await?;
        write_findings(connection, self.findings).await?;
        mark_days(connection, self.days).await?;
        if !facts.is_empty() {
            sea_orm::EntityTrait::insert_many(outbox::rows(facts))
                .exec_without_returning(connection)
                .await?;
        }
        Ok(())
    }
}

/// What was odd and was explained since is no evidence any more.
async fn forget_explained(
    connection: &impl ConnectionTrait,
    sessions: &[Uuid],
    found: &Findings,
) -> Result<(), StorageError> {
    let columns = ["session_id", "node_id", "kind"];
    for row in connection
        .query_all(&select("findings", &columns, sessions))
        .await?
    {
        let (session, node) = (session_of(&row)?, node_of(&row)?);
        let kind: String = row.try_get("", "kind")?;
        let still = found
            .keys()
            .any(|known| *known == (session, node, kind.as_str()));
        if !still {
            let explained = Query::delete()
                .from_table(iden("findings"))
                .and_where(Expr::col(iden("session_id")).eq(session.as_uuid()))
                .and_where(Expr::col(iden("node_id")).eq(node.as_uuid()))
                .and_where(Expr::col(iden("kind")).eq(kind))
                .take();
            connection.execute(&explained).await?;
        }
    }
    Ok(())
}

async fn write_findings(
    connection: &impl ConnectionTrait,
    findings: Findings,
) -> Result<(), StorageError> {
    let now = now_ms();
    let rows = findings
        .into_iter()
        .map(|((session, node, kind), (stream, bytes))| {
            vec![
                id(session.as_uuid()),
                id(node.as_uuid()),
                kind.into(),
                id(stream.as_uuid()),
                now.into(),
                count(bytes.get()),
            ]
        });
    upsert(
        connection,
        "findings",
        &["session_id", "node_id", "kind"],
        &[
            "session_id",
            "node_id",
            "kind",
            "stream_id",
            "at_ms",
            "bytes",
        ],
        rows.collect(),
        &[Merge::Replace("bytes")],
    )
    .await
}
