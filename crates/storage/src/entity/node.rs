//! `nodes`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "nodes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub public_key: Vec<u8>,
    pub name: String,
    pub version: String,
    pub created_at: TimeDateTimeWithTimeZone,
    pub measured_bps: Option<i64>,
    pub measured_at: Option<TimeDateTimeWithTimeZone>,
    pub quarantined_at: Option<TimeDateTimeWithTimeZone>,
    pub quarantine_reason: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
