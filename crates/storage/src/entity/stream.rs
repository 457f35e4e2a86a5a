//! `streams`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "streams")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub slug: String,
    pub title: String,
    pub state: String,
    pub version: i64,
    pub created_at: TimeDateTimeWithTimeZone,
    pub started_at: Option<TimeDateTimeWithTimeZone>,
    pub ended_at: Option<TimeDateTimeWithTimeZone>,
    pub owner_id: Option<Uuid>,
    pub description: String,
    pub visibility: String,
    pub testing: bool,
    pub peak_viewers: i32,
    pub stopped_at: Option<TimeDateTimeWithTimeZone>,
    pub broadcast_id: Option<Uuid>,
    pub delivery: String,
    pub friends_only: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
