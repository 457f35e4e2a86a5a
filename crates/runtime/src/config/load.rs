//! Reading the configuration and saying what is wrong with it.

use std::{collections::HashMap, net::SocketAddr, path::PathBuf};

use clap::Args;

use super::{Bus, Config, ConfigError, LogFormat};

/// Flags that every program takes; they win over file and environment.
#[derive(Debug, Clone, Default, Args)]
pub struct Flags {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder that holds everything kept.
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Check the configuration, print it with secrets masked, and exit.
    #[arg(long)]
    pub check_config: bool,
}

/// A program's own defaults for logs.
#[derive(Debug, Clone, Copy)]
pub struct LogDefaults {
    /// The level.
    pub level: &'static str,
    /// The format.
    pub format: LogFormat,
}

impl LogDefaults {
    /// Of a service: JSON for machines.
    pub const SERVICE: Self = Self {
        level: "info",
        format: LogFormat::Json,
    };
    /// Of the all-in-one program: for a person at a terminal, who reads its banner.
    pub const TERMINAL: Self = Self {
        level: "warn",
        format: LogFormat::Text,
    };
}

/// Reads a program's command line and its configuration. `None` when it was only to be checked: the
/// effective one was printed, secrets masked.
#[expect(
    clippy::print_stdout,
    reason = "--check-config prints the configuration"
)]
pub fn from_command_line<Cli: clap::Parser>(
    flags: impl FnOnce(Cli) -> Flags,
    log: LogDefaults,
) -> Result<Option<Config>, ConfigError> {
    let flags = flags(Cli::parse());
    let config = load(&flags, log)?;
    if flags.check_config {
        println!("{config:#?}");
        return Ok(None);
    }
    Ok(Some(config))
}

/// Loads and checks the configuration from the process's environment.
pub fn load(flags: &Flags, log: LogDefaults) -> Result<Config, ConfigError> {
    let environment = std::env::vars().collect();
    load_from(flags, log, environment)
}

/// [`load`] with a given environment, for tests.
#[expect(clippy::implicit_hasher, reason = "the type that `config` takes")]
pub fn load_from(
    flags: &Flags,
    log: LogDefaults,
    environment: HashMap<String, String>,
) -> Result<Config, ConfigError> {
    let format = match log.format {
        LogFormat::Json => "json",
        LogFormat::Text => "text",
    };
    let mut builder = config::Config::builder()
        .set_default("log.level", log.level)
        .and_then(|builder| builder.set_default("log.format", format))
        .map_err(ConfigError::File)?;
    if let Some(file) = &flags.config {
        builder =
            builder.add_source(config::File::from(file.as_path()).format(config::FileFormat::Toml));
    }
    let source = config::Environment::with_prefix("STREAMR")
        .prefix_separator("__")
        .separator("__")
        .ignore_empty(true)
        .source(Some(environment));
    let merged = builder
        .add_source(source)
        .build()
        .map_err(ConfigError::File)?;
    let mut config: Config = serde_path_to_error::deserialize(merged.clone()).map_err(|error| {
        let key = error.path().to_string();
        let value = merged.get_string(&key).ok().filter(|_| !is_secret(&key));
        let problem = error.into_inner();
        ConfigError::Key {
            key,
            value,
            problem: plain(&problem),
        }
    })?;
    if let Some(data_dir) = &flags.data_dir {
        config.data_dir.clone_from(data_dir);
    }
    config.tls.folder = config.data_dir.join("tls");
    config.tls.public_url.clone_from(&config.public_url);
    check(&config)?;
    Ok(config)
}

fn plain(error: &config::ConfigError) -> String {
    match error {
        config::ConfigError::Message(message) => message.clone(),
        other => other.to_string(),
    }
}

fn is_secret(key: &str) -> bool {
    ["token", "password", "stream_key", "url"]
        .iter()
        .any(|word| key.ends_with(word))
}

/// What only the whole configuration can tell.
fn check(config: &Config) -> Result<(), ConfigError> {
    for (key, bind) in [
        ("coordinator.grpc_bind", config.coordinator.grpc_bind),
        ("ingest.grpc_bind", config.ingest.grpc_bind),
        ("packager.grpc_bind", config.packager.grpc_bind),
    ] {
        check_internal(config, key, bind)?;
    }
    for (key, url) in [
        ("public_url", &config.public_url),
        ("playback.public_url", &config.playback.public_url),
        ("telemetry.otlp_endpoint", &config.telemetry.otlp_endpoint),
        ("packager.public_url", &config.packager.public_url),
    ] {
        if let Some(url) = url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            return Err(ConfigError::key(
                key,
                url,
                "write it with its scheme, such as https://live.example.org",
            ));
        }
    }
    if !(0.0..=1.0).contains(&config.telemetry.sample_ratio) {
        return Err(ConfigError::key(
            "telemetry.sample_ratio",
            config.telemetry.sample_ratio,
            "write a number from 0 (none) to 1 (all)",
        ));
    }
    super::tls::check(&config.tls)?;
    crate::ServiceTokens::open(config)?;
    let database = config.database.url.as_ref().map(types::Secret::expose);
    let scheme = database.and_then(|url| url.split(':').next());
    if !matches!(scheme, None | Some("sqlite" | "postgres" | "postgresql")) {
        return Err(ConfigError::secret(
            "database.url",
            "no such database; write \"sqlite:<file>\" or \"postgres://<user>@<host>/<database>\"",
        ));
    }
    check_bus(&config.bus)?;
    match config.cache.url.expose().split(':').next() {
        Some("memory" | "redis" | "rediss") => {}
        _ => {
            return Err(ConfigError::secret(
                "cache.url",
                "no such cache; write \"memory:\" or \"redis://<host>:6379\"",
            ));
        }
    }
    let prefix = &config.cache.prefix;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if prefix.is_empty() || prefix.len() > 64 || !prefix.chars().all(plain) {
        return Err(ConfigError::key(
            "cache.prefix",
            prefix,
            "write 1 to 64 letters, digits, \"-\", \"_\" or \".\"",
        ));
    }
    Ok(())
}

fn check_bus(bus: &Bus) -> Result<(), ConfigError> {
    let scheme = bus.url.expose().split(':').next();
    if !matches!(scheme, Some("local" | "amqp" | "amqps")) {
        return Err(ConfigError::secret(
            "bus.url",
            "no such event bus; write \"local:\" or \"amqp://<user>:<password>@<host>\"",
        ));
    }
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if bus.name.is_empty() || bus.name.len() > 64 || !bus.name.chars().all(fits) {
        return Err(ConfigError::key(
            "bus.name",
            &bus.name,
            "write 1 to 64 letters, digits, '-', '_' or '.'",
        ));
    }
    Ok(())
}

fn check_internal(config: &Config, key: &str, bind: SocketAddr) -> Result<(), ConfigError> {
    if bind.ip().is_loopback()
        || config.service_token.is_some()
        || config.service_token_file.is_some()
    {
        return Ok(());
    }
    Err(ConfigError::key(
        key,
        bind,
        "internal gRPC beyond loopback needs a service token; set STREAMR__SERVICE_TOKEN, or STREAMR__SERVICE_TOKEN_FILE, to the same secret in every service",
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Role;

    fn load_env(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let environment = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        load_from(&Flags::default(), LogDefaults::SERVICE, environment)
    }

    #[test]
    fn defaults_need_no_environment() {
        let config = load_env(&[]).unwrap();
        assert_eq!(config.ingest.bind.port(), 1935);
        assert!(config.packager.roles.has(Role::Origin) && config.packager.roles.has(Role::Edge));
    }

    #[test]
    fn the_environment_overrides_with_typed_values() {
        let config = load_env(&[
            ("STREAMR__INGEST__GRACE", "5s"),
            ("STREAMR__PACKAGER__ROLES", "edge"),
            ("STREAMR__INGEST__MAX_CONNECTIONS", "7"),
            ("STREAMR__BOOTSTRAP__STREAM_KEY", "1234567890123456789012"),
        ])
        .unwrap();
        assert_eq!(config.ingest.grace.0, Duration::from_secs(5));
        assert!(!config.packager.roles.has(Role::Origin));
        assert_eq!(config.ingest.max_connections, 7);
        assert_eq!(
            config.bootstrap.stream_key.unwrap().expose(),
            "1234567890123456789012"
        );
    }

    #[test]
    fn a_mistake_names_key_value_and_remedy() {
        let error = load_env(&[("STREAMR__INGEST__GRACE", "60")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("STREAMR__INGEST__GRACE")
                && error.contains("\"60\"")
                && error.contains("\"2s\""),
            "{error}"
        );
        let error = load_env(&[("STREAMR__INGEST__GRACEFUL", "60s")])
            .unwrap_err()
            .to_string();
        assert!(error.contains("graceful"), "{error}");
        let error = load_env(&[("STREAMR__CACHE__URL", "memcached://localhost")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("STREAMR__CACHE__URL") && error.contains("redis:"),
            "{error}"
        );
        let error = load_env(&[("STREAMR__DATABASE__URL", "mysql://host/x")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("STREAMR__DATABASE__URL") && error.contains("sqlite:"),
            "{error}"
        );
        let error = load_env(&[("STREAMR__INGEST__GRPC_BIND", "0.0.0.0:9001")])
            .unwrap_err()
            .to_string();
        assert!(error.contains("STREAMR__SERVICE_TOKEN"), "{error}");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let error = load_env(&[("STREAMR__BUS__URL", "nats://user:hunter2@host")])
            .unwrap_err()
            .to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
