//! Writing many rows of a table at once, within what the databases allow.

use sea_orm::{
    ConnectionTrait,
    sea_query::{Alias, Expr, ExprTrait, Func, Iden, IntoIden, OnConflict, Query, Value},
};
use uuid::Uuid;

use crate::StorageError;

/// Values of one statement; SQLite allows 32,766.
const MOST_VALUES: usize = 20_000;

/// What happens to a column of a row that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    /// The new value.
    Replace(&'static str),
    /// The larger one.
    Larger(&'static str),
    /// The smaller one.
    Smaller(&'static str),
    /// The new value, unless there is none.
    Fill(&'static str),
    /// The larger one, or whichever there is.
    Later(&'static str),
    /// None, where it is smaller than the new value of another column: what ended and begins again goes on.
    Clear(&'static str, &'static str),
}

fn name(text: &'static str) -> Alias {
    Alias::new(text)
}

/// Inserts rows; on a key that is there, merges, or does nothing when there is nothing to merge.
pub(super) async fn upsert(
    connection: &impl ConnectionTrait,
    table: &'static str,
    keys: &[&'static str],
    columns: &[&'static str],
    rows: Vec<Vec<Value>>,
    merges: &[Merge],
) -> Result<(), StorageError> {
    let new = |column: &'static str| Expr::col((name("excluded"), name(column)));
    let kept = |column: &'static str| Expr::col((name(table), name(column)));
    let mut conflict = OnConflict::columns(keys.iter().map(|key| name(key)));
    if merges.is_empty() {
        conflict.do_nothing();
    }
    for merge in merges {
        let (column, value) = match *merge {
            Merge::Replace(column) => (column, new(column)),
            Merge::Larger(column) => {
                let larger = Expr::case(new(column).gt(kept(column)), new(column));
                (column, larger.finally(kept(column)).into())
            }
            Merge::Smaller(column) => {
                let smaller = Expr::case(new(column).lt(kept(column)), new(column));
                (column, smaller.finally(kept(column)).into())
            }
            Merge::Later(column) => {
                let earlier = Expr::case(new(column).lt(kept(column)), kept(column));
                let later = Func::coalesce([new(column), kept(column)]);
                (column, earlier.finally(later).into())
            }
            Merge::Clear(column, since) => {
                let over = kept(column).lt(new(since));
                let cleared = Expr::case(over, Expr::val(Value::BigInt(None)));
                (column, cleared.finally(kept(column)).into())
            }
            Merge::Fill(column) => (column, Func::coalesce([new(column), kept(column)]).into()),
        };
        conflict.value(name(column), value);
    }
    let at_once = (MOST_VALUES / columns.len().max(1)).max(1);
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut statement = Query::insert();
        statement
            .into_table(name(table))
            .columns(columns.iter().map(|column| name(column).into_iden()))
            .on_conflict(conflict.clone());
        for row in rows.by_ref().take(at_once) {
            statement.values_panic(row.into_iter().map(Expr::val));
        }
        connection.execute(&statement).await?;
    }
    Ok(())
}

/// A count as databases keep it.
pub(super) fn count(value: u64) -> Value {
    Value::from(i64::try_from(value).unwrap_or(i64::MAX))
}

/// An id as databases keep it.
pub(super) fn id(value: Uuid) -> Value {
    Value::from(value)
}

/// Text for a name in a statement.
pub(super) fn iden(text: &'static str) -> impl IntoIden + Iden + Clone {
    Alias::new(text)
}
