//! A server in a process of its own, to be killed: the test's program, started once more with nothing to do but serve.
//! The test that calls [`serve_if_asked`] must be named `serve`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};
use vicinity_server::config::Settings;
use vicinity_server::serve::Running;

const DATA: &str = "VICINITY_TEST_DATA";
const AT: &str = "VICINITY_TEST_AT";

/// A start, and an end that was asked for, may take so long on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(600);

/// A server process over a directory.
pub struct Process {
    child: Child,
    address: SocketAddr,
    /// What it says goes here.
    said: PathBuf,
}

/// Serves, if this program was started by [`Process::start`], until it is killed.
pub async fn serve_if_asked() {
    let (Some(data), Some(at)) = (std::env::var_os(DATA), std::env::var_os(AT)) else { return };
    let settings = Settings {
        listen: Some(vec!["127.0.0.1:0".to_owned()]),
        data: Some(PathBuf::from(data)),
        settings: [("max_prepared_transactions".to_owned(), "4".to_owned())].into(),
        ..Settings::default()
    };
    let running = Running::start(&settings.finish().unwrap()).await.unwrap();
    // Whole at once: who waits for it reads no half of it.
    let at = PathBuf::from(at);
    let draft = at.with_extension("new");
    std::fs::write(&draft, running.addresses()[0].to_string()).unwrap();
    std::fs::rename(draft, at).unwrap();
    std::future::pending::<()>().await;
}

impl Process {
    /// Starts one; `before` is a command that becomes it, with its arguments.
    pub fn start(data: &Path, before: &[String]) -> Process {
        let at = data.with_extension("at");
        let _ = std::fs::remove_file(&at);
        let own = std::env::current_exe().unwrap();
        let mut command = match before.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(own);
                command
            }
            None => Command::new(own),
        };
        let said = data.with_extension("said");
        command.args(["--exact", "serve", "--nocapture"]).env(DATA, data).env(AT, &at);
        command.stdout(Stdio::null()).stderr(std::fs::File::create(&said).unwrap());
        let child = command.spawn().unwrap();
        let mut process = Process { child, address: ([127, 0, 0, 1], 0).into(), said };
        let began = Instant::now();
        loop {
            if let Ok(address) = std::fs::read_to_string(&at) {
                process.address = address.parse().unwrap();
                return process;
            }
            let ended = process.child.try_wait().unwrap();
            assert!(ended.is_none(), "the server does not start: {}", process.said());
            assert!(began.elapsed() < PATIENCE, "the server takes too long to start");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A session of user postgres.
    pub async fn connect(&self) -> Client {
        let login = format!("host=127.0.0.1 port={} user=postgres", self.address.port());
        let (client, connection) = tokio_postgres::connect(&login, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// What it wrote to its standard error.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap()
    }

    /// Waits until it has ended by itself; `None` if it does not.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    /// Ends it in the middle of whatever it does.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
