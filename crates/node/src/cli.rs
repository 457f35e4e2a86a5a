//! The command line.

mod show;

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
};

use clap::{Args, Parser, Subcommand};
use runtime::Shutdown;

use crate::{
    app::App,
    doctor::{self, Health},
    enrol::{enrol, leave},
    error::Error,
    files::DataDir,
    identity::Identity,
    invite::InviteLink,
    net::Net,
    page::{self, Place, Status},
    service::System,
    settings::{self, Given, Settings},
};

/// `streamr-node`.
#[derive(Debug, Parser)]
#[command(
    name = "streamr-node",
    version,
    about = "Carries a friend's live stream to its viewers",
    after_help = "Flags win over the environment, that over node.toml in the data folder, that over defaults."
)]
pub struct Cli {
    /// Folder for identity and settings [default: ~/.local/share/streamr-node]
    #[arg(long, global = true, env = "STREAMR_NODE_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// What to log, such as info or debug
    #[arg(long, global = true, env = "STREAMR_NODE_LOG", default_value = "info")]
    log: String,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Accept an invite, then help
    Join(Join),
    /// Help those who invited this node
    Run {
        #[command(flatten)]
        given: Given,
    },
    /// Show how the node that runs is doing
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Stop helping a stream, or all
    Leave {
        /// The stream's name or id; without it: all
        stream: Option<String>,
        #[command(flatten)]
        given: Given,
    },
    /// Find out why it does not help, and what to do
    Doctor {
        #[command(flatten)]
        given: Given,
    },
    /// Write a service that starts the node with your session; what flags say goes into node.toml
    InstallService {
        /// Print the text instead of writing it
        #[arg(long)]
        print: bool,
        /// For another system than this
        #[arg(long, value_enum)]
        system: Option<System>,
        #[command(flatten)]
        given: Given,
    },
}

#[derive(Debug, Args)]
struct Join {
    /// The link that the streamer sent, in quotes
    link: String,
    #[command(flatten)]
    given: Given,
}

/// Does what the command line asks; whether all is well.
pub async fn run(cli: Cli) -> Result<bool, Error> {
    log_to_stderr(&cli.log)?;
    let folder = data_dir(cli.data_dir)?;
    let data = DataDir::open(&folder)?;
    match cli.verb {
        Verb::Join(wanted) => join(data, wanted).await?,
        Verb::Run { given } => help(data, given).await?,
        Verb::Status { json } => status(&data, json).await?,
        Verb::Leave { stream, given } => let_go(&data, given, stream.as_deref()).await?,
        Verb::Doctor { given } => return examine(&data, given).await,
        Verb::InstallService {
            print,
            system,
            given,
        } => install(&data, print, system, &given)?,
    }
    Ok(true)
}

async fn join(data: DataDir, join: Join) -> Result<(), Error> {
    let link: InviteLink = join.link.parse()?;
    let settings = settings(&data, join.given.clone())?;
    let net = Net::new(settings.authority.as_deref())?;
    let mut identity = Identity::load(&data)?.unwrap_or_else(Identity::generate);
    // Before the invite is used up: it is good for one key.
    identity.save(&data)?;
    let name = settings.name.unwrap_or_else(machine_name);
    let stream = enrol(&net, &mut identity, &link, &name).await?;
    identity.save(&data)?;
    say(&format!(
        "You help {} carry \"{}\" as {name}.",
        stream.streamer, stream.title
    ));
    match data.lock() {
        Ok(lock) => drop(lock),
        Err(Error::Running(_)) => {
            say("The streamr-node that runs already takes it up.");
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    help(data, join.given).await
}

async fn help(data: DataDir, given: Given) -> Result<(), Error> {
    let shutdown = Shutdown::on_signal();
    let app = App::start(data, given).await?;
    say(&format!(
        "Your page: http://{}/   Stop with Ctrl-C.",
        app.page()
    ));
    shutdown.cancelled().await;
    app.stop().await;
    Ok(())
}

async fn status(data: &DataDir, json: bool) -> Result<(), Error> {
    let status = ask_status(data).await?;
    if json {
        let text = serde_json::to_string_pretty(&status)
            .map_err(|error| Error::System(error.to_string()))?;
        say(&text);
    } else {
        say(&show::status(&status));
    }
    Ok(())
}

/// From the node that runs with this folder.
async fn ask_status(data: &DataDir) -> Result<Status, Error> {
    let not_running = || Error::NotRunning(data.path().to_owned());
    let place = data.read(page::FILE)?.ok_or_else(not_running)?;
    let place: Place = serde_json::from_str(&place).map_err(|_| not_running())?;
    let net = Net::new(None)?;
    let url = format!("http://127.0.0.1:{}/api/status", place.port);
    let asked = net.http().get(url).timeout(crate::net::CONNECT_TIMEOUT);
    let answer = asked.send().await.map_err(|_| not_running())?;
    Ok(answer.json().await?)
}

async fn let_go(data: &DataDir, given: Given, stream: Option<&str>) -> Result<(), Error> {
    let mut identity = Identity::load(data)?.ok_or(Error::NotEnrolled)?;
    let net = Net::new(settings(data, given)?.authority.as_deref())?;
    let mut left = 0;
    for server in identity.servers.clone() {
        let named = |s: &&crate::identity::Stream| {
            stream.is_none_or(|name| s.slug == name || s.id.to_string() == name)
        };
        let streams: Vec<_> = server.streams.iter().filter(named).cloned().collect();
        for stream in streams {
            leave(&net, &identity, &server, Some(stream.id)).await?;
            identity.left(&server.origin, Some(stream.id));
            identity.save(data)?;
            say(&format!("You no longer help \"{}\".", stream.title));
            left += 1;
        }
    }
    match stream {
        Some(name) if left == 0 => Err(Error::NoStream(name.to_owned())),
        _ => Ok(()),
    }
}

async fn examine(data: &DataDir, given: Given) -> Result<bool, Error> {
    let settings = settings(data, given)?;
    let running = matches!(data.lock(), Err(Error::Running(_)));
    let findings = doctor::examine(data, &settings, running).await;
    for finding in &findings {
        say(&show::finding(finding));
    }
    Ok(findings.iter().all(|finding| finding.health < Health::Bad))
}

fn install(
    data: &DataDir,
    print: bool,
    system: Option<System>,
    given: &Given,
) -> Result<(), Error> {
    let system = system.unwrap_or(System::here());
    let fail = |path: &Path, source| Error::File {
        path: path.to_owned(),
        source,
    };
    let binary = std::env::current_exe().map_err(|error| fail(Path::new("streamr-node"), error))?;
    let folder = data.path().canonicalize();
    let folder = folder.map_err(|error| fail(data.path(), error))?;
    let text = system.text(&binary.to_string_lossy(), &folder.to_string_lossy());
    if print || system != System::here() {
        say(&text);
        return Ok(());
    }
    // A service has neither these flags nor this environment.
    if settings::keep(data, given)? {
        say(&format!("Kept: {}", data.file(settings::FILE).display()));
    }
    let place = system.place(&home().ok_or_else(no_home)?);
    let folder = place.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| fail(folder, error))?;
    std::fs::write(&place, text).map_err(|error| fail(&place, error))?;
    say(&format!("Written: {}\n{}", place.display(), system.next()));
    Ok(())
}

fn settings(data: &DataDir, given: Given) -> Result<Settings, Error> {
    Settings::resolve(given.or(Given::from_file(data)?))
}

/// What viewers see when the friend names nothing.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().take(40).collect();
    if name.is_empty() {
        "a friend".to_owned()
    } else {
        name
    }
}

fn home() -> Option<PathBuf> {
    variable("HOME").or_else(|| variable("USERPROFILE"))
}

fn variable(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty());
    value.map(PathBuf::from)
}

fn data_dir(given: Option<PathBuf>) -> Result<PathBuf, Error> {
    let base = || variable("XDG_DATA_HOME").or_else(|| Some(home()?.join(".local/share")));
    given
        .or_else(|| Some(base()?.join("streamr-node")))
        .ok_or_else(no_home)
}

fn no_home() -> Error {
    Error::System("there is no home folder; name a folder with --data-dir".to_owned())
}

fn log_to_stderr(level: &str) -> Result<(), Error> {
    // The transport's own lines speak of strangers' packets.
    let quiet = "str0m=error,is=error,sctp_proto=error,dimpl=error,hickory_resolver=error";
    let filter = tracing_subscriber::EnvFilter::try_new(format!("{quiet},{level}"))
        .map_err(|error| Error::System(format!("--log: {error}")))?;
    // A second one in the same process, as in tests, is no harm.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
    Ok(())
}

/// Tells the friend.
#[expect(clippy::print_stdout, reason = "a command line speaks on stdout")]
fn say(text: &str) {
    println!("{text}");
}
