//! What a cluster keeps its data on: servers that all tests share, or some of its own.

use std::{env, fs, io::Read};

use anyhow::{Context, Result};
use tokio::sync::Mutex;

use crate::engines::{Postgres, RabbitMq, Redis, add_database};

/// PostgreSQL, Redis and RabbitMQ of one cluster.
#[derive(Debug)]
pub struct Engines {
    database: String,
    cache: String,
    bus: String,
    /// Names what is this cluster's on shared servers.
    name: String,
    own: Option<Mutex<Own>>,
}

/// Servers of one cluster alone.
#[derive(Debug)]
pub struct Own {
    /// Its PostgreSQL.
    pub postgres: Postgres,
    /// Its Redis.
    pub redis: Redis,
    /// Its RabbitMQ.
    pub rabbitmq: RabbitMq,
}

fn shared(name: &str) -> Result<String> {
    env::var(name)
        .with_context(|| format!("{name} is unset; ./scripts/test starts the server and sets it"))
}

impl Engines {
    /// A database and names of its own on the shared servers; or servers of its own.
    pub(super) async fn get(own: bool) -> Result<Self> {
        let mut bytes = [0; 12];
        fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let name = format!("t{}", hex::encode(bytes));
        if own {
            let (postgres, redis, rabbitmq) =
                tokio::try_join!(Postgres::start(), Redis::start(), RabbitMq::start())?;
            return Ok(Self {
                database: postgres.url(),
                cache: redis.url(),
                bus: rabbitmq.url(),
                name,
                own: Some(Mutex::new(Own {
                    postgres,
                    redis,
                    rabbitmq,
                })),
            });
        }
        let server = shared("STREAMR_TEST_POSTGRES")?;
        Ok(Self {
            database: add_database(&server, &name).await?,
            cache: shared("STREAMR_TEST_REDIS")?,
            bus: shared("STREAMR_TEST_RABBITMQ")?,
            name,
            own: None,
        })
    }

    /// The database's URL.
    pub fn database_url(&self) -> &str {
        &self.database
    }

    /// What the services are told of them.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DATABASE__URL", self.database.clone()),
            ("CACHE__URL", self.cache.clone()),
            ("CACHE__PREFIX", self.name.clone()),
            ("BUS__URL", self.bus.clone()),
            ("BUS__NAME", self.name.clone()),
        ]
    }

    /// The servers, to be killed and stopped.
    pub fn own(&self) -> Result<&Mutex<Own>> {
        self.own
            .as_ref()
            .context("these engines are shared; use `own_engines`")
    }
}
